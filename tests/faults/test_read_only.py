"""Read-only: the database answers, and takes nothing, as a standby does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection

from rotating_sessions import revocations
from tests.acting import Clock, columns, rows_of
from tests.browsing import Api, database_down
from tests.factories import PASSWORD
from tests.faults.aftermath import (
    Honest,
    Request,
    assert_ended,
    assert_unavailable,
    carries_on,
    newcomer,
    passing,
    theft_is_caught,
)
from tests.faults.rivals import on_each_connection
from tests.faults.stages import HONEST, first_use, second_tab, theft
from tests.figures import count

_READ_ONLY = {
    "postgresql": "SET default_transaction_read_only = on",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "sqlite": "PRAGMA query_only = ON",
}
WRITING = [stage for stage in HONEST.values() if stage not in {first_use, second_tab}]


@contextmanager
def read_only() -> Iterator[None]:
    """Let the database take no write while the context lasts."""
    with on_each_connection(_READ_ONLY[connection.vendor]):
        yield
    count("databases made read-only")


@pytest.mark.parametrize("stage", WRITING)
def test_refresh_that_has_to_write_is_asked_to_come_again(rf, clock, stage):
    """I-6: A database that takes no write is 503, and the same token serves later."""
    client = newcomer(rf)
    request = stage(client, clock)
    row = columns(client)

    with read_only():
        answer = request.send(Api())

    assert_unavailable(answer)
    assert columns(client) == row
    if stage.__name__ != "lost_commit":
        carries_on(client, passing(clock))
        theft_is_caught(client, passing(clock))


def test_thief_is_caught_once_it_can_be_written_down(rf, clock):
    """I-1: A theft that cannot be recorded is 503: no token, and no verdict either."""
    client = newcomer(rf)
    request = theft(client, clock)

    with read_only():
        assert_unavailable(request.send(Api()))

    assert request.send(Api()).code == (401, "session_ended")
    assert_ended(client, "reused")
    count("thefts caught after a fault")


def test_access_tokens_serve_on(rf, clock):
    """I-6, I-18: Access tokens need no write: polls are reads, confirming can wait."""
    client = newcomer(rf)
    request = first_use(client, clock)

    with read_only():
        answers = []
        for _ in range(20):
            answers.append(request.send(Api()).status)
            clock.forward(timedelta(seconds=7))

    assert set(answers) == {200}
    assert columns(client)["confirmed_at"] is None
    carries_on(client, passing(clock))


def test_access_tokens_serve_for_max_staleness_without_a_database(rf, clock):
    """I-18: A process that cannot poll serves what it knows, and then fails closed."""
    client = newcomer(rf)
    request = Request(path="/plain/", access=client.access)
    request.send(Api())

    statuses = {seconds: _ask_a_lost_database(request, clock) for seconds in range(70)}

    assert {s for second, s in statuses.items() if second < 59} == {200}
    assert {s for second, s in statuses.items() if second >= 59} == {503}
    revocations.reset()
    carries_on(client, passing(clock))


def _ask_a_lost_database(request: Request, clock: Clock) -> int:
    clock.forward(timedelta(seconds=1))
    with database_down():
        return request.send(Api()).status


@pytest.mark.parametrize("path", ["login", "logout", "logout-everywhere"])
def test_what_cannot_be_written_is_not_claimed(rf, clock, path):
    """RV-09, I-6: A login or logout that cannot be stored is 503, and works later."""
    client = newcomer(rf)
    request = _wish(client, path)

    with read_only():
        answer = request.send(Api())

    assert_unavailable(answer)
    assert columns(client)["revoked_at"] is None
    assert request.send(Api()).status in {200, 204}


def _wish(client: Honest, path: str) -> Request:
    name = rows_of(client).get().user.get_username()
    body = {
        "login": {"username": name, "password": PASSWORD},
        "logout": {"refresh": client.refresh},
        "logout-everywhere": {},
    }[path]
    access = client.access if path == "logout-everywhere" else ""
    return Request(path=f"/auth/{path}/", body=body, access=access)
