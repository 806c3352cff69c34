"""Locks: another connection holds the row, and the wait for it comes to its end."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from django.db import connection

from tests.acting import columns
from tests.browsing import Api
from tests.faults.aftermath import (
    assert_ended,
    assert_unavailable,
    carries_on,
    family_of,
    newcomer,
    passing,
    theft_is_caught,
)
from tests.faults.rivals import Rival, on_each_connection, rival
from tests.faults.stages import first_refresh, first_use, lost_answer, rotation, theft
from tests.figures import count

# How README tells sites to bound the wait for a lock: PostgreSQL raises 55P03 then,
# MariaDB 1205, and SQLite says that it is busy.
_SHORT_WAITS = {
    "postgresql": "SET lock_timeout = '200ms'",
    "mysql": "SET SESSION innodb_lock_wait_timeout = 1",
    "sqlite": "PRAGMA busy_timeout = 100",
}


@pytest.fixture
def short_waits() -> Iterator[None]:
    with on_each_connection(_SHORT_WAITS[connection.vendor]):
        yield


@pytest.fixture
def other() -> Iterator[Rival]:
    """Return another connection that can be in the way."""
    with rival() as stranger:
        yield stranger


@pytest.mark.parametrize("stage", [first_refresh, rotation, lost_answer])
def test_refresh_that_waits_too_long_is_asked_to_come_again(
    rf, clock, short_waits, other, stage
):
    """TH-08, I-6: A lock that is never released is 503, and the token serves later."""
    client = newcomer(rf)
    request = stage(client, clock)
    row = columns(client)
    other.hold(family_of(client))

    answer = request.send(Api())

    assert_unavailable(answer)
    count("lock timeouts forced")
    other.release()
    assert columns(client) == row
    carries_on(client, passing(clock))
    theft_is_caught(client, passing(clock))


def test_refresh_that_may_wait_is_answered(rf, clock, other):
    """I-2: A lock that is released in time costs nothing but the time."""
    client = newcomer(rf)
    other.hold(family_of(client))
    threading.Timer(0.05, other.release).start()

    answer = client.refreshes()

    assert answer.status == 200
    assert "refresh" in answer.body
    carries_on(client, passing(clock))


def test_theft_is_caught_although_its_row_was_locked(rf, clock, short_waits, other):
    """I-1, I-6: A thief gains nothing by a locked row, and is caught once it frees."""
    client = newcomer(rf)
    request = theft(client, clock)
    other.hold(family_of(client))

    answer = request.send(Api())

    assert_unavailable(answer)
    count("lock timeouts forced")
    other.release()
    assert columns(client)["revoked_at"] is None
    assert request.send(Api()).code == (401, "session_ended")
    assert_ended(client, "reused")
    count("thefts caught after a fault")


def test_access_token_serves_although_it_cannot_be_confirmed(
    rf, clock, short_waits, other
):
    """I-6: A locked row keeps no good access token out, and it confirms later."""
    client = newcomer(rf)
    request = first_use(client, clock)
    other.hold(family_of(client))

    answer = request.send(Api())

    assert answer.status == 200
    count("lock timeouts forced")
    other.release()
    assert columns(client)["confirmed_at"] is None
    carries_on(client, passing(clock))
