"""What a process knows to be revoked, how it learns it, and when it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any
from uuid import UUID

import pytest
from django.db import InterfaceError, OperationalError, connection

from rotating_sessions import revocations
from rotating_sessions.exceptions import Unavailable
from rotating_sessions.models import SessionFamily
from tests.factories import SessionFamilyFactory

NOW = datetime(2026, 3, 2, 9, 30, 7, 250_000, tzinfo=UTC)
TICK = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
POLL = 5 * SECOND
MAX_STALENESS = 60 * SECOND
# Access lifetime, staleness and clock skew: what is revoked longer ago is harmless.
HORIZON = timedelta(minutes=30) + MAX_STALENESS + 5 * SECOND
STRANGER = UUID("3b7e61c8-5d20-4f94-8a6b-e1907c2d45fa")


def revoked(at: datetime) -> UUID:
    """Return the id of a family that was revoked at this moment, by another process."""
    return SessionFamilyFactory.create(now=NOW, revoked_at=at).pk


@contextmanager
def failing(error: type[Exception] = OperationalError) -> Iterator[None]:
    """Let every query of this thread's connection fail, as a lost server would."""

    def refuse(*args: Any) -> Any:
        raise error("server closed the connection unexpectedly")

    with connection.execute_wrapper(refuse):
        yield


class TellingLock:
    """A lock that tells when a second thread is about to wait for it."""

    def __init__(self, queued: Event) -> None:
        self.lock, self.queued, self.callers = Lock(), queued, 0
        self.release = self.lock.release

    def acquire(self, *, timeout: float) -> bool:
        """Acquire it as any lock."""
        self.callers += 1
        if self.callers == 2:
            self.queued.set()
        return self.lock.acquire(timeout=timeout)


def run_in_thread(work: Callable[[], None]) -> Thread:
    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("at", "known"),
    [
        (NOW, True),
        (NOW + 3 * SECOND, True),
        (NOW - HORIZON + TICK, True),
        (NOW - HORIZON, False),
        (NOW - timedelta(days=3), False),
    ],
)
def test_the_first_poll_loads_what_still_matters(db, at, known):
    """RV-05: A process that starts knows each family whose access tokens may live."""
    family_id = revoked(at)

    revocations.poll(NOW)

    assert revocations.is_revoked(family_id) is known


def test_a_live_family_is_not_revoked(db):
    """A poll takes no live family for revoked."""
    family = SessionFamilyFactory.create(now=NOW)

    revocations.poll(NOW)

    assert not revocations.is_revoked(family.pk)


@pytest.mark.parametrize(
    ("waited", "queries"),
    [
        (timedelta(), 0),
        (POLL - TICK, 0),
        (POLL, 1),
        (2 * POLL, 1),
        (MAX_STALENESS, 1),
        (-POLL + TICK, 0),
        (-POLL, 1),
    ],
)
def test_a_poll_is_due_once_in_an_interval(
    db, django_assert_num_queries, waited, queries
):
    """I-18: A process asks again after POLL, or when its clock ran back as far."""
    revocations.poll(NOW)

    with django_assert_num_queries(queries):
        revocations.poll(NOW + waited)

    assert not revocations.is_due(NOW + waited)
    assert revocations.is_due(NOW + max(waited, timedelta()) + POLL)


def test_a_poll_is_due_before_the_first():
    """RV-05: A process that has loaded nothing yet has to before it answers."""
    assert revocations.is_due(NOW)


@pytest.mark.parametrize(
    ("at", "known"),
    [
        (NOW + POLL, True),
        (NOW - TICK, True),
        (NOW - timedelta(minutes=5) + TICK, True),
        (NOW - timedelta(minutes=5), False),
    ],
)
def test_windows_overlap_for_late_commits(db, at, known):
    """I-18: A commit that comes five minutes after its `revoked_at` is still seen."""
    revocations.poll(NOW)
    family_id = revoked(at)

    revocations.poll(NOW + POLL)

    assert revocations.is_revoked(family_id) is known


def test_the_window_of_a_clock_that_ran_back_begins_earlier(db):
    """RT-14: After the clock ran back, what is revoked by the new clock is seen."""
    revocations.poll(NOW)
    family_id = revoked(NOW - timedelta(minutes=9))

    revocations.poll(NOW - timedelta(minutes=8, seconds=30))

    assert revocations.is_revoked(family_id)


def test_what_was_known_stays_known(db):
    """I-1: A poll forgets no family that an earlier poll or this process knows of."""
    family_id = revoked(NOW - timedelta(minutes=7))
    revocations.poll(NOW)
    revocations.add([STRANGER], NOW + SECOND)

    revocations.poll(NOW + POLL)

    assert revocations.is_revoked(family_id)
    assert revocations.is_revoked(STRANGER)


def test_a_process_knows_at_once_what_it_revokes():
    """RV-01: The process that revokes knows it with no poll."""
    revocations.add([STRANGER], NOW)

    assert revocations.is_revoked(STRANGER)
    assert revocations.is_due(NOW)


@pytest.mark.parametrize(("later", "known"), [(-TICK, True), (timedelta(), False)])
def test_what_no_longer_matters_is_forgotten(db, later, known):
    """RV-08: A family leaves the set when none of its access tokens can live."""
    revocations.poll(NOW)
    revocations.add([STRANGER], NOW)

    revocations.poll(NOW + HORIZON + later)

    assert revocations.is_revoked(STRANGER) is known


def test_a_revoked_family_is_half_a_kilobyte_at_most(db, django_assert_num_queries):
    """RV-08: One query loads them all, in 500 bytes each: half a gigabyte a million."""
    model = SessionFamilyFactory.build(now=NOW, user=None, user_pk="7", auth_hash="x")
    values = {
        field.attname: getattr(model, field.attname)
        for field in SessionFamily._meta.fields
        if field.attname not in {"id", "secret", "revoked_at"}
    }
    SessionFamily.objects.bulk_create(
        (SessionFamily(revoked_at=NOW, **values) for _ in range(3000)), batch_size=500
    )

    tracemalloc.start()
    with django_assert_num_queries(1):
        revocations.poll(NOW)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(revocations._known.revoked_at) == 3000
    assert kept < peak < 3000 * 500


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_a_failed_poll_keeps_the_set_in_hand(db, caplog, error):
    """I-18: While the set is fresh enough a lost database changes nothing."""
    caplog.set_level("WARNING", logger="rotating_sessions.security")
    family_id = revoked(NOW - SECOND)
    revocations.poll(NOW)

    with failing(error):
        revocations.poll(NOW + MAX_STALENESS - TICK)

    assert revocations.is_revoked(family_id)
    assert [record.event for record in caplog.records] == ["revocations_stale"]


def test_a_failed_poll_is_tried_again_after_the_interval(db):
    """I-18: A database that is down is asked once in an interval, not by everybody."""
    revocations.poll(NOW)
    failed_at = NOW + POLL
    with failing():
        revocations.poll(failed_at)

    due = [revocations.is_due(failed_at + wait) for wait in (SECOND, POLL - TICK, POLL)]

    assert due == [False, False, True]


@pytest.mark.parametrize(
    "waited", [MAX_STALENESS, MAX_STALENESS + TICK, -MAX_STALENESS]
)
def test_not_to_know_is_to_refuse(db, waited):
    """RV-07, I-18: Unknown for MAX_STALENESS, the answer is 503 and not a guess."""
    revocations.poll(NOW)

    with failing(), pytest.raises(Unavailable):
        revocations.poll(NOW + waited)


def test_the_first_poll_may_not_fail(db):
    """RV-05, RV-07: A process that never loaded the set refuses, again and again."""
    with failing():
        for moment in (NOW, NOW + TICK, NOW + POLL):
            with pytest.raises(Unavailable):
                revocations.poll(moment)

    assert revocations.is_due(NOW + POLL + TICK)


@pytest.mark.parametrize("after", [timedelta(), TICK, POLL - 2 * SECOND])
def test_a_recent_failure_does_not_stretch_the_staleness(db, after):
    """I-18: Past MAX_STALENESS a process refuses, however short ago it last tried."""
    revocations.poll(NOW)
    with failing():
        revocations.poll(NOW + MAX_STALENESS - SECOND)

    due = revocations.is_due(NOW + MAX_STALENESS + after)

    assert due
    with failing(), pytest.raises(Unavailable):
        revocations.poll(NOW + MAX_STALENESS + after)


def test_a_process_recovers_with_its_database(db):
    """RV-07: The first poll that succeeds ends the refusals."""
    family_id = revoked(NOW)
    with failing(), pytest.raises(Unavailable):
        revocations.poll(NOW)

    revocations.poll(NOW + TICK)

    assert revocations.is_revoked(family_id)


@pytest.mark.django_db(transaction=True)
def test_who_waits_for_a_poll_that_fails_fails_with_it(monkeypatch):
    """RV-07: Of requests that queue up while the database is down only one asks it."""
    asked, queued, asks = Event(), Event(), []
    monkeypatch.setattr(revocations._known, "lock", TellingLock(queued))

    def fail(*args: Any) -> Any:
        asks.append(args)
        asked.set()
        assert queued.wait(20)
        raise OperationalError

    def poll_in_vain() -> None:
        with connection.execute_wrapper(fail), pytest.raises(Unavailable):
            revocations.poll(NOW)

    first = run_in_thread(poll_in_vain)
    assert asked.wait(20)
    second = run_in_thread(poll_in_vain)
    first.join(20)
    second.join(20)

    assert len(asks) == 1


# Just begun; and hung for so long that others wait for a second, and no longer.
@pytest.mark.parametrize("since", [TICK, SECOND])
@pytest.mark.django_db(transaction=True)
def test_one_thread_polls_while_the_others_go_on(since):
    """I-18: A poll is one query, and nobody waits long for it who knows enough."""
    known, late = revoked(NOW - SECOND), revoked(NOW + POLL - SECOND)
    revocations.poll(NOW)
    asked, answered = Event(), Event()

    def wait(execute: Any, *args: Any) -> Any:
        asked.set()
        assert answered.wait(20)
        return execute(*args)

    def poll_slowly() -> None:
        with connection.execute_wrapper(wait):
            revocations.poll(NOW + POLL)

    thread = run_in_thread(poll_slowly)
    assert asked.wait(20)

    with failing():
        revocations.poll(NOW + POLL + since)
    meanwhile = revocations.is_revoked(known)

    answered.set()
    thread.join(20)
    assert meanwhile
    assert revocations.is_revoked(late)


@pytest.mark.django_db(transaction=True)
def test_after_idle_time_nobody_goes_on_with_an_old_set(monkeypatch):
    """I-18: A process that sat idle lets no request pass while another one polls."""
    # So that a slow machine does not make the waiting end before the query.
    monkeypatch.setattr(revocations, "_QUERY_TIME", 20 * SECOND)
    revocations.poll(NOW)
    family_id, outcomes = revoked(NOW + SECOND), []
    asked, answered = Event(), Event()

    def wait(execute: Any, *args: Any) -> Any:
        asked.set()
        assert answered.wait(20)
        return execute(*args)

    def poll() -> None:
        with connection.execute_wrapper(wait):
            revocations.poll(NOW + POLL + 21 * SECOND)
        outcomes.append(revocations.is_revoked(family_id))

    first = run_in_thread(poll)
    assert asked.wait(20)
    second = run_in_thread(poll)
    # Long enough to see a request that does not wait; the answer comes afterwards.
    second.join(0.3)

    answered.set()
    first.join(20)
    second.join(20)

    assert outcomes == [True, True]


@pytest.mark.django_db(transaction=True)
def test_poll_that_hangs_for_ever_is_a_poll_that_fails(settings):
    """RV-07, I-18: Who knows nothing is refused, although the query never returns."""
    settings.ROTATING_SESSIONS = {"POLL_INTERVAL": TICK, "MAX_STALENESS": SECOND / 10}
    asked, answered, refusals = Event(), Event(), []

    def hang(execute: Any, *args: Any) -> Any:
        asked.set()
        assert answered.wait(20)
        return execute(*args)

    def poll_and_hang() -> None:
        with connection.execute_wrapper(hang):
            revocations.poll(NOW)

    def poll() -> None:
        try:
            revocations.poll(NOW)
        except Unavailable as error:
            refusals.append(error)

    first = run_in_thread(poll_and_hang)
    assert asked.wait(20)
    second = run_in_thread(poll)
    second.join(5)
    refused = len(refusals)

    answered.set()
    first.join(20)
    second.join(20)
    assert refused == 1


@pytest.mark.django_db(transaction=True)
def test_threads_that_know_nothing_wait_for_one_query():
    """RV-05: Of the threads that start together one loads the set for all of them."""
    family_id = revoked(NOW)
    queries, outcomes = [], []
    asked, answered = Event(), Event()

    def count(execute: Any, *args: Any) -> Any:
        queries.append(args[0])
        asked.set()
        assert answered.wait(20)
        return execute(*args)

    def poll() -> None:
        with connection.execute_wrapper(count):
            revocations.poll(NOW)
        outcomes.append(revocations.is_revoked(family_id))

    first = run_in_thread(poll)
    assert asked.wait(20)
    others = [run_in_thread(poll) for _ in range(3)]

    answered.set()
    for thread in (first, *others):
        thread.join(20)

    assert len([sql for sql in queries if "sessionfamily" in sql]) == 1
    assert outcomes == [True] * 4


def test_a_forked_child_knows_nothing_yet(db):
    """RV-12: After a fork the child has to load the set, the parent keeps its own."""
    revocations.poll(NOW)
    revocations.add([STRANGER], NOW)

    child = os.fork()
    if child == 0:  # pragma: no cover - the child is measured by its exit code
        knows = revocations.is_revoked(STRANGER) or not revocations.is_due(NOW)
        os._exit(int(knows))
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert revocations.is_revoked(STRANGER)
    assert not revocations.is_due(NOW)


def test_a_child_is_not_locked_out_by_a_poll_of_its_parent():
    """RV-12: A lock that is held at the fork is not held in the child."""
    with revocations._known.lock:
        child = os.fork()
        if child == 0:  # pragma: no cover - the child is measured by its exit code
            os._exit(not revocations._known.lock.acquire(blocking=False))
        _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0


PRELOADED = """
import os
import sys
import django
django.setup()
from django.core.management import call_command
from django.db import connections
from django.utils import timezone
from rotating_sessions import revocations
from tests.factories import SessionFamilyFactory
call_command("migrate", verbosity=0)
family = SessionFamilyFactory.create()
revocations.poll(timezone.now())
type(family).objects.update(revoked_at=timezone.now())
connections.close_all()
if os.fork() == 0:
    revocations.poll(timezone.now())
    os._exit(int(not revocations.is_revoked(family.pk)))
_, status = os.wait()
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_a_worker_of_a_preloaded_site_loads_the_set(tmp_path):
    """RV-05, RV-12: A worker forked after a poll knows what was revoked since."""
    root = Path(__file__).parent.parent
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'preloaded.sqlite3'}",
        "PYTHONPATH": str(root),
    }

    site = subprocess.run(  # noqa: S603 - our own lines
        [sys.executable, "-c", PRELOADED], env=env, cwd=root, check=False
    )

    assert site.returncode == 0
