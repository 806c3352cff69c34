"""Deadlocks: two transactions wait for each other, and ours is the one aborted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import OperationalError, connection

from rotating_sessions.models import RefreshToken, SessionFamily
from tests.acting import Clock, columns
from tests.browsing import Api
from tests.faults.aftermath import (
    Honest,
    assert_unavailable,
    carries_on,
    family_of,
    newcomer,
    passing,
    theft_is_caught,
)
from tests.faults.rivals import Rival, begin, on_each_connection, rival, roll_back
from tests.faults.stages import first_refresh, lost_answer, rotation
from tests.figures import count

# PostgreSQL aborts whoever looks first, MariaDB whoever has written less.
_PREPARATIONS = {
    "postgresql": ("SET deadlock_timeout = '50ms'",),
    "mysql": ("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",),
}


@pytest.fixture(autouse=True)
def _aborted_first() -> Iterator[None]:
    with on_each_connection(*_PREPARATIONS[connection.vendor]):
        yield


# Whoever waits for a lock, of those who work in this database.
_WAITING = """
SELECT 1 FROM pg_locks WHERE NOT granted AND pid IN (
    SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = database
    WHERE datname = current_database()
)
"""


class Embrace:
    """Let a rival take the ledger before the row, where we take them after it."""

    def __init__(self, other: Rival, client: Honest, *, times: int) -> None:
        self._other, self._left = other, times
        self._family_id = family_of(client)
        self._generation = columns(client)["generation"] + 1
        self.aborted: list[object] = []

    def __call__(self, execute: Any, sql: str, *args: Any) -> Any:
        if self._left and sql.startswith(("UPDATE", "WITH")) and "sessionfamily" in sql:
            self._other.do(self._take_ledger).result()
        if self._left and sql.startswith("WITH"):
            # One statement writes the row and then the ledger.
            self._left -= 1
            self._other.do(self._take_row_of_who_waits)
        if self._left and sql.startswith("INSERT") and "refreshtoken" in sql:
            self._left -= 1
            self._other.do(self._take_row)
        try:
            return execute(sql, *args)
        except OperationalError as error:
            cause: Any = error.__cause__
            self.aborted.append(getattr(cause, "sqlstate", None) or error.args[0])
            raise

    def _take_ledger(self) -> None:
        """Keep anybody from issuing the next generation."""
        begin()
        key = {"family_id": self._family_id, "generation": self._generation}
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL deadlock_timeout = '60s'")
            moment = {"digest": b"rival", "issued_at": "2031-01-02T03:04:05Z"}
            RefreshToken.objects.create(**key, **moment)
            return
        Group.objects.bulk_create(Group(name=f"weight {n}") for n in range(50))
        assert not RefreshToken.objects.select_for_update().filter(**key).exists()

    def _take_row_of_who_waits(self) -> None:
        with connection.cursor() as cursor:
            waiting = None
            while waiting is None:
                cursor.execute(_WAITING)
                waiting = cursor.fetchone()
        self._take_row()

    def _take_row(self) -> None:
        rows = SessionFamily.objects.filter(pk=self._family_id)
        try:
            rows.update(user_agent="rival")
        finally:
            roll_back()


@pytest.mark.parametrize("stage", [first_refresh, rotation, lost_answer])
@pytest.mark.parametrize("times", [1, 3])
def test_refresh_that_loses_a_deadlock_is_answered(rf, clock, stage, times):
    """I-2, I-6: A refresh that the database aborts for another's sake runs again."""
    client, embrace, answer = embraced(rf, clock, stage, times)

    assert answer.status == 200
    assert "refresh" in answer.body
    assert embrace.aborted == [_deadlock()] * times
    client.take(answer)
    carries_on(client, passing(clock))
    theft_is_caught(client, passing(clock))


@pytest.mark.parametrize("stage", [first_refresh, rotation, lost_answer])
def test_refresh_that_loses_every_deadlock_is_asked_to_come_again(rf, clock, stage):
    """I-6: Aborted four times in a row, a refresh is 503 and its token serves later."""
    client, embrace, answer = embraced(rf, clock, stage, 4)

    assert_unavailable(answer)
    assert embrace.aborted == [_deadlock()] * 4
    carries_on(client, passing(clock))
    theft_is_caught(client, passing(clock))


def embraced(rf: Any, clock: Clock, stage: Any, times: int) -> Any:
    """Send a refresh into so many deadlocks, and return what came of it."""
    client = newcomer(rf)
    request = stage(client, clock)
    with rival() as other:
        embrace = Embrace(other, client, times=times)
        with connection.execute_wrapper(embrace):
            answer = request.send(Api())
    count("deadlocks forced", len(embrace.aborted))
    return client, embrace, answer


def _deadlock() -> object:
    return {"postgresql": "40P01", "mysql": 1213}[connection.vendor]
