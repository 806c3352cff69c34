"""Failovers: a replica takes over that had not yet heard of the last few commits."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection

from rotating_sessions.models import RefreshToken
from rotating_sessions.signals import lost_commit
from tests.acting import MOMENT, Clock, W, columns, heard, restore
from tests.browsing import Api
from tests.faults.aftermath import (
    Honest,
    Request,
    assert_ended,
    carries_on_with_a_hole,
    is_whole,
)
from tests.faults.stages import settled
from tests.figures import count

FailOver = Callable[[], None]


@contextmanager
def replica(client: Honest) -> Iterator[FailOver]:
    """Take a snapshot, and provide what makes the database fall back to it."""
    if connection.vendor != "sqlite":
        saved = columns(client)
        yield lambda: restore(client, saved)
        return
    # The file itself, whole.
    path = Path(connection.settings_dict["NAME"])
    copy = path.with_suffix(".replica")
    _close()
    shutil.copy(path, copy)

    def fall_back() -> None:
        _close()
        shutil.copy(copy, path)

    try:
        yield fall_back
    finally:
        copy.unlink()


def _close() -> None:
    """Bring all that was committed into SQLite's one file, and close it."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def fail_over(client: Honest, clock: Clock, commits: int, *, unheard: int = 0) -> None:
    """Refresh so many times, the last of it unheard by the client, and lose it all."""
    with replica(client) as fall_back:
        for heard_of in [*[True] * (commits - unheard), *[False] * unheard]:
            answer = client.asks.send(Api())
            assert "refresh" in answer.body
            if heard_of:
                client.take(answer)
                client.visits.send(Api())
            clock.forward(W)
        fall_back()
    clock.forward(MOMENT)
    count("failovers")


@pytest.mark.parametrize(
    ("commits", "unheard"), [(1, 0), (1, 1), (2, 0), (2, 1), (3, 1)]
)
def test_client_of_a_database_that_lost_commits_carries_on(rf, clock, commits, unheard):
    """I-15: A token that is ahead of the row by one or two is taken as the newest."""
    client = settled(rf, clock)
    row = columns(client)
    fail_over(client, clock, commits, unheard=unheard)
    assert columns(client) == row
    ahead = commits - unheard

    with heard(lost_commit) as events:
        answer = client.refreshes()

    assert "refresh" in answer.body
    assert [event["generation"] for event in events] == (
        [2 + ahead - 1] if ahead else []
    )
    is_whole(client, lost=ahead)
    clock.forward(W)
    carries_on_with_a_hole(client, clock)


def test_client_further_ahead_logs_in_again(rf, clock, caplog):
    """I-15: A token that is ahead by three is refused, and ends nothing but itself."""
    client = settled(rf, clock)
    row = columns(client)
    fail_over(client, clock, 3)
    caplog.set_level(logging.ERROR, "rotating_sessions.security")

    answer = client.refreshes()

    assert answer.code == (401, "session_ended")
    assert columns(client) == row
    assert [record.getMessage() for record in caplog.records] == ["generation_ahead"]


@pytest.mark.parametrize("commits", [1, 2])
@pytest.mark.parametrize("first", ["victim", "thief"])
def test_failover_hides_no_thief(rf, clock, commits, first):
    """I-8, I-16: Of thief and victim, the second to come ends the session for both."""
    client = settled(rf, clock)
    stolen = Request(path="/auth/refresh/", body={"refresh": client.refresh})
    fail_over(client, clock, commits)
    presented = {"victim": client.asks, "thief": stolen}
    second = "thief" if first == "victim" else "victim"

    assert "refresh" in presented[first].send(Api()).body
    clock.forward(W)
    answer = presented[second].send(Api())

    assert answer.code == (401, "session_ended")
    assert_ended(client, "reused")
    count("thefts caught after a fault")


def test_token_superseded_before_the_snapshot_is_theft(rf, clock):
    """I-8: What was theft before the failover is theft after it."""
    client = settled(rf, clock)
    stolen = Request(path="/auth/refresh/", body={"refresh": client.superseded[0]})
    fail_over(client, clock, 2)

    answer = stolen.send(Api())

    assert answer.code == (401, "session_ended")
    assert_ended(client, "reused")
    count("thefts caught after a fault")
    assert not RefreshToken.objects.filter(generation__gt=1).exists()
