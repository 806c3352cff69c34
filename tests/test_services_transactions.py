"""Transactions: durable, retried for the database's sake, never taken for theft."""

from __future__ import annotations

import sqlite3
import time
from threading import Event, Thread
from typing import Any

import pytest
from django.db import (
    DatabaseError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    connection,
    transaction,
)

from rotating_sessions.exceptions import RefreshTokenReused, Unavailable
from rotating_sessions.models import RefreshToken, RevokedReason, SessionFamily
from rotating_sessions.services import revoke_session
from rotating_sessions.services.transactions import (
    announce,
    run_durably,
    run_in_transaction,
    write_database,
)
from rotating_sessions.signals import refresh_token_reused, session_started
from rotating_sessions.transports import TokenPair
from tests.acting import (
    Clock,
    W,
    claims_of,
    columns,
    heard,
    log_in,
    lose_commit,
    present,
    rows_of,
    use,
)
from tests.factories import SessionFamilyFactory

pytestmark = pytest.mark.django_db(transaction=True)


class DriverError(Exception):
    """What a database driver raises, as far as it tells the kinds apart."""

    def __init__(self, **marks: Any) -> None:
        super().__init__(*marks)
        vars(self).update(marks)


def failure(*args: Any, kind: type[Exception] = OperationalError, **marks: Any) -> Any:
    """Return a database error as Django wraps it."""
    error = kind(*args)
    error.__cause__ = DriverError(**marks) if marks else None
    return error


TRANSIENT = {
    "postgresql serialization failure": failure("x", sqlstate="40001"),
    "postgresql deadlock": failure("x", sqlstate="40P01"),
    "mysql deadlock": failure(1213, "x"),
    "mysql lock wait timeout": failure(1205, "x"),
    "mariadb snapshot changed": failure(1020, "x"),
    "sqlite busy": failure("x", sqlite_errorcode=sqlite3.SQLITE_BUSY),
    "sqlite locked": failure("x", sqlite_errorcode=sqlite3.SQLITE_LOCKED),
    "sqlite busy snapshot": failure("x", sqlite_errorcode=sqlite3.SQLITE_BUSY | 2 << 8),
}
LASTING = {
    "nothing known": failure(),
    "connection refused": failure("x", sqlstate="08006"),
    "mysql gone away": failure(2006, "x"),
    "sqlite full": failure("x", sqlite_errorcode=sqlite3.SQLITE_FULL),
    "interface": failure("x", kind=InterfaceError),
    "postgresql out of step": failure("x", kind=DatabaseError),
    "sqlite damaged": failure(
        "x", kind=DatabaseError, sqlite_errorcode=sqlite3.SQLITE_CORRUPT
    ),
    "postgresql read only": failure("x", kind=InternalError, sqlstate="25006"),
}


class Fault:
    """Fail the first so many writes to sessions."""

    def __init__(self, error: Exception, times: int) -> None:
        self.error, self.times, self.tries = error, times, 0

    def __call__(self, execute: Any, sql: str, *args: Any) -> Any:
        if sql.startswith(("UPDATE", "WITH")) and "sessionfamily" in sql:
            self.tries += 1
            if self.tries <= self.times:
                raise self.error.with_traceback(None)
        return execute(sql, *args)


@pytest.fixture
def first(rf: Any, user: Any, clock: Clock) -> TokenPair:
    """Return the pair of a login."""
    return log_in(rf, user)


# Retries.


@pytest.mark.parametrize("error", TRANSIENT.values(), ids=TRANSIENT)
@pytest.mark.parametrize("times", [1, 3])
def test_serialization_failure_is_tried_again(first, error, times):
    """DB-05, I-6: A transaction aborted for another's sake runs again."""
    fault = Fault(error, times)

    with connection.execute_wrapper(fault):
        answer = present(first)

    assert answer.refresh is not None
    assert fault.tries == times + 1
    assert columns(first)["generation"] == 1
    assert RefreshToken.objects.count() == 2


@pytest.mark.parametrize("vendor", ["postgresql", "mysql"])
def test_retry_runs_at_read_committed(first, monkeypatch, vendor):
    """I-6: Who tries again waits for the row, and is not aborted for having waited."""
    real = connection.vendor
    monkeypatch.setattr(connection, "vendor", vendor)
    levels: list[str] = []

    def record(execute: Any, sql: str, *args: Any) -> Any:
        if not sql.startswith("SET TRANSACTION"):
            return execute(sql, *args)
        levels.append(sql)
        return None if real == "sqlite" else execute(sql, *args)

    fault = Fault(TRANSIENT["postgresql serialization failure"], 2)
    with connection.execute_wrapper(fault), connection.execute_wrapper(record):
        use(first)

    assert columns(first)["confirmed_at"] is not None
    assert levels == ["SET TRANSACTION ISOLATION LEVEL READ COMMITTED"] * 2


@pytest.mark.parametrize("error", TRANSIENT.values(), ids=TRANSIENT)
def test_serialization_failure_is_retried_three_times_at_most(first, error):
    """DB-05, I-6: After three retries the client is asked to come again."""
    before = columns(first)
    fault = Fault(error, 4)

    with connection.execute_wrapper(fault), pytest.raises(Unavailable) as refusal:
        present(first)

    assert fault.tries == 4
    assert refusal.value.__cause__ is error
    assert columns(first) == before
    assert present(first).refresh is not None


@pytest.mark.parametrize("error", LASTING.values(), ids=LASTING)
def test_other_failure_of_the_database_is_not_retried(first, error):
    """DB-05, I-6: A database that is down or read-only is not asked again and again."""
    before = columns(first)
    fault = Fault(error, 1)

    with connection.execute_wrapper(fault), pytest.raises(Unavailable):
        present(first)

    assert fault.tries == 1
    assert columns(first) == before
    assert present(first).refresh is not None


def test_fault_of_ours_is_not_dressed_up(first):
    """An error that is not the database's own is not answered as its failure."""
    fault = Fault(IntegrityError("x"), 1)

    with connection.execute_wrapper(fault), pytest.raises(IntegrityError):
        present(first)

    assert fault.tries == 1


@pytest.mark.parametrize("error", TRANSIENT.values(), ids=TRANSIENT)
def test_aborted_transaction_is_never_taken_for_theft(first, clock, error):
    """I-2: A conflict that clears up leaves the session as unharmed as it was."""
    newest = present(first)
    clock.forward(W)

    with connection.execute_wrapper(Fault(error, 2)):
        present(newest)

    assert columns(first)["revoked_at"] is None


def test_theft_is_recorded_once_although_its_first_write_was_aborted(first, clock):
    """A revocation that is retried is announced once."""
    use(present(first))
    clock.forward(W)
    fault = Fault(TRANSIENT["postgresql deadlock"], 2)

    with (
        heard(refresh_token_reused) as events,
        connection.execute_wrapper(fault),
        pytest.raises(RefreshTokenReused),
    ):
        present(first)

    assert len(events) == 1


def test_each_attempt_is_a_transaction_of_its_own():
    """What an aborted attempt wrote is gone when the next one begins."""
    seen: list[int] = []

    def work() -> None:
        seen.append(SessionFamily.objects.count())
        SessionFamilyFactory.create()
        if len(seen) < 3:
            raise TRANSIENT["mysql deadlock"].with_traceback(None)

    run_durably(work)

    assert seen == [0, 0, 0]
    assert SessionFamily.objects.count() == 1


def test_retries_do_not_keep_step(first, monkeypatch):
    """DB-05: Each retry waits for a random while, of up to twice as long as before."""
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)

    with (
        connection.execute_wrapper(Fault(TRANSIENT["mysql deadlock"], 4)),
        pytest.raises(Unavailable),
    ):
        present(first)

    assert len(set(pauses)) == 3
    assert all(p <= limit for p, limit in zip(pauses, (0.04, 0.08, 0.16), strict=True))


def test_work_within_a_transaction_is_never_tried_again(first):
    """DB-05: What a caller's transaction was aborted for is the caller's to repeat."""
    fault = Fault(TRANSIENT["postgresql deadlock"], 9)
    key = claims_of(first).family_id

    with (
        connection.execute_wrapper(fault),
        pytest.raises(OperationalError),
        transaction.atomic(),
    ):
        revoke_session(key, reason=RevokedReason.STAFF)

    assert fault.tries == 1
    assert columns(first)["revoked_at"] is None


IMPATIENT = {
    "sqlite": "PRAGMA busy_timeout = 50",
    "postgresql": "SET lock_timeout = 50",
    "mysql": "SET innodb_lock_wait_timeout = 1",
}


def test_refresh_waits_for_a_lock_no_longer_than_it_may(first):
    """TH-08: A refresh whose wait for a lock is over is 503, and the token serves."""
    held, over = Event(), Event()

    def hold() -> None:
        with transaction.atomic():
            rows_of(first).update(device="locked")
            held.set()
            over.wait(60)
        connection.close()

    thread = Thread(target=hold)
    thread.start()
    assert held.wait(20)
    with connection.cursor() as cursor:
        cursor.execute(IMPATIENT[connection.vendor])
    try:
        with pytest.raises(Unavailable):
            present(first)
    finally:
        over.set()
        thread.join(60)
        # With it goes its impatience.
        connection.close()

    assert present(first).refresh is not None


# Durability.


@pytest.mark.parametrize("arrived", [False, True])
def test_commit_of_unknown_outcome_hands_out_nothing(first, monkeypatch, arrived):
    """DB-06, I-5: Where nobody knows whether a commit arrived, there is no token."""
    lose_commit(monkeypatch, arrived=arrived)

    with pytest.raises(Unavailable):
        present(first)

    assert columns(first)["generation"] == int(arrived)


@pytest.mark.parametrize("arrived", [False, True])
def test_token_serves_after_a_commit_of_unknown_outcome(
    first, clock, monkeypatch, arrived
):
    """DB-06, I-6: Whichever way the commit went, the same token recovers."""
    lose_commit(monkeypatch, arrived=arrived)
    with pytest.raises(Unavailable):
        present(first)
    clock.forward(W)

    answer = present(first)

    assert answer.refresh is not None
    assert columns(first)["displaced"] == int(arrived)


def test_nothing_is_announced_of_a_commit_that_failed(rf, user, monkeypatch):
    """Signals tell of what is committed for certain."""
    lose_commit(monkeypatch, arrived=False)

    with heard(session_started) as events, pytest.raises(Unavailable):
        log_in(rf, user)

    assert events == []
    assert not SessionFamily.objects.exists()


def test_durable_work_is_committed_when_it_returns():
    """I-5: What durable work wrote outlives the connection."""
    family = run_durably(SessionFamilyFactory.create)

    connection.close()

    assert SessionFamily.objects.get() == family


def test_durable_work_is_refused_inside_a_transaction():
    """I-5: No caller's transaction can take durable work back."""
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        run_durably(SessionFamilyFactory.create)

    assert not SessionFamily.objects.exists()


def test_work_joins_the_transaction_of_its_caller():
    """Work that may be a part of a larger whole is taken back with it."""
    with transaction.atomic():
        run_in_transaction(SessionFamilyFactory.create)
        transaction.set_rollback(True)

    assert not SessionFamily.objects.exists()


def test_failed_work_leaves_the_transaction_of_its_caller_usable():
    """A part that fails takes itself back, and its caller can go on."""

    def work() -> None:
        SessionFamilyFactory.create()
        raise LookupError

    with transaction.atomic():
        with pytest.raises(LookupError):
            run_in_transaction(work)
        kept = SessionFamilyFactory.create()

    assert list(SessionFamily.objects.all()) == [kept]


def test_work_of_its_own_is_durable():
    """Outside a transaction, work runs in a durable one."""
    run_in_transaction(SessionFamilyFactory.create)

    connection.close()

    assert SessionFamily.objects.count() == 1


def test_announcement_waits_for_the_commit():
    """A signal is sent once the transaction that it tells of has committed."""
    family = SessionFamilyFactory.create()

    with heard(session_started) as events, transaction.atomic():
        announce(session_started, family, new_device=False)
        before = list(events)

    assert before == []
    assert events == [
        {"family_id": family.pk, "user_pk": family.user_pk, "new_device": False}
    ]


def test_sessions_are_written_to_the_database_that_the_router_names():
    """Without a router that is the default one."""
    assert write_database() == "default"
