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
from random import Random
from threading import Event, Lock, Thread
from typing import Any
from uuid import UUID

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.test.utils import CaptureQueriesContext

from rotating_sessions import revocations
from rotating_sessions.exceptions import Unavailable
from rotating_sessions.models import SessionFamily
from tests.factories import SessionFamilyFactory

NOW = datetime(2026, 3, 2, 9, 30, 7, 250_000, tzinfo=UTC)
TICK = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
POLL = 5 * SECOND
MAX_STALENESS = 60 * SECOND
# Access lifetime, staleness, late commits and clock skew: longer ago is harmless.
HORIZON = timedelta(minutes=30) + MAX_STALENESS + timedelta(minutes=5) + 5 * SECOND
# How late a revocation may be committed, and how far apart clocks may stand.
LATENESS = timedelta(minutes=5) + 5 * SECOND
STRANGER = UUID("3b7e61c8-5d20-4f94-8a6b-e1907c2d45fa")


def revoked(at: datetime) -> UUID:
    """Return the id of a family that was revoked at this moment, by another process."""
    return SessionFamilyFactory.create(now=NOW, revoked_at=at).pk


def revoke_many(number: int, at: datetime) -> None:
    """Insert families that were revoked at this moment, by another process."""
    model = SessionFamilyFactory.build(now=NOW, user=None, user_pk="7", auth_hash="x")
    values = {
        field.attname: getattr(model, field.attname)
        for field in SessionFamily._meta.fields
        if field.attname not in {"id", "secret", "revoked_at"}
    }
    SessionFamily.objects.bulk_create(
        (SessionFamily(revoked_at=at, **values) for _ in range(number)), batch_size=500
    )


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a process list three families at most."""
    monkeypatch.setattr(revocations, "_LISTED", 3)
    revocations.reset()


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
    """RV-08: One query loads them, in 500 bytes each: five megabytes at most."""
    revoke_many(3000, NOW)

    tracemalloc.start()
    with django_assert_num_queries(1):
        revocations.poll(NOW)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(revocations._known.revoked_at) == 3000
    assert kept < peak < 3000 * 500


def test_a_mass_revocation_ships_the_newest(db, few):
    """RV-08: One query, of one row more than the limit, however many are revoked."""
    revoke_many(50, NOW - 2 * SECOND)
    newest = [revoked(NOW - SECOND) for _ in range(2)]

    with CaptureQueriesContext(connection) as queries:
        revocations.poll(NOW)

    [query] = queries.captured_queries
    assert query["sql"].endswith("LIMIT 4")
    assert len(revocations._known.revoked_at) == 3
    assert all(revocations.is_revoked(pk) for pk in newest)
    assert revocations.is_in_doubt(STRANGER, NOW)


def test_polls_after_a_mass_revocation_read_only_what_is_new(db, few):
    """RV-08: What one poll left out no later poll reads again."""
    revoke_many(50, NOW - SECOND)
    revocations.poll(NOW)
    late = revoked(NOW + SECOND)
    fetched = []

    def note(execute: Any, sql: str, params: Any, *args: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.cursor.execute(sql, params)
            fetched.append(len(cursor.fetchall()))
        return execute(sql, params, *args)

    with connection.execute_wrapper(note):
        revocations.poll(NOW + POLL)

    assert fetched == [1]
    assert revocations.is_revoked(late)


@pytest.mark.parametrize(
    ("skew", "doubt"),
    [
        (timedelta(), True),
        (LATENESS, True),
        (LATENESS + TICK, False),
    ],
)
def test_a_token_of_a_fast_clock_is_in_doubt(db, few, skew, doubt):
    """I-1: Five minutes may a revocation commit late, five seconds clocks be apart."""
    begun = NOW - 20 * timedelta(minutes=1)
    revoke_many(4, begun)

    revocations.poll(NOW)

    assert revocations.is_in_doubt(STRANGER, begun + skew) is doubt


def test_without_a_mass_revocation_nothing_is_in_doubt(db, few):
    """As many as the limit are all listed, and no token has to be looked into."""
    revoke_many(3, NOW - SECOND)

    revocations.poll(NOW)

    assert not revocations.is_in_doubt(STRANGER, NOW - timedelta(hours=1))


def test_what_no_longer_matters_puts_nothing_in_doubt(db, few):
    """A family that is forgotten for its age leaves room, and no doubt."""
    revoke_many(3, NOW)
    revocations.poll(NOW)
    revoke_many(3, NOW + HORIZON)

    revocations.poll(NOW + HORIZON)

    assert not revocations.is_in_doubt(STRANGER, NOW)


def test_a_process_that_starts_late_learns_of_the_doubt(db, few):
    """RV-05: Who starts after a mass revocation doubts what those doubt who saw it."""
    revoke_many(4, NOW)

    revocations.poll(NOW + timedelta(minutes=20))

    assert revocations.is_in_doubt(STRANGER, NOW)
    assert not revocations.is_in_doubt(STRANGER, NOW + timedelta(minutes=6))


def test_a_process_bounds_what_it_revokes_itself(few):
    """RV-08: The process that revokes a million families keeps the newest as well."""
    for batch in range(5):
        numbers = range(4 * batch, 4 * batch + 4)
        revocations.add([UUID(int=n) for n in numbers], NOW + batch * SECOND)

    assert len(revocations._known.revoked_at) == 3
    assert revocations.is_in_doubt(UUID(int=0), NOW)


def test_a_clock_that_ran_back_vouches_for_nothing(db, few):
    """RT-14: What was looked at by a clock that was ahead is looked at again."""
    ahead = NOW + timedelta(hours=2)
    revocations.poll(ahead)
    revoke_many(4, NOW - SECOND)
    revocations.add([UUID(int=n) for n in range(4)], NOW - SECOND)
    revocations.vouch(STRANGER, ahead)

    revocations.poll(NOW)

    assert revocations.is_in_doubt(STRANGER, NOW - SECOND)


# What keeps the statistics, what tells the plan, and what a plan must not say.
PLANS = {
    "sqlite": ("ANALYZE", "EXPLAIN QUERY PLAN", {"SCAN", "TEMP B-TREE"}),
    "postgresql": ("ANALYZE", "EXPLAIN", {"Seq Scan", "Sort"}),
    "mysql": (
        "ANALYZE TABLE rotating_sessions_sessionfamily",
        "EXPLAIN FORMAT=JSON",
        {'"access_type": "ALL"', "filesort"},
    ),
}


def test_the_poll_reads_its_index_backwards(transactional_db, few):
    """TH-09: A poll neither scans the table nor sorts a mass revocation."""
    # In no transaction, for MySQL commits it before it analyses a table.
    revoke_many(1500, NOW - timedelta(days=2))
    revoke_many(1500, NOW - SECOND)
    SessionFamilyFactory.create_batch(50, now=NOW)
    analyse, explain, faults = PLANS[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(analyse)
        cursor.fetchall() if connection.vendor == "mysql" else None
    plans = []

    def note(execute: Any, sql: str, params: Any, *args: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.cursor.execute(f"{explain} {sql}", params)
            plans.append(str(cursor.fetchall()))
        return execute(sql, params, *args)

    with connection.execute_wrapper(note):
        revocations.poll(NOW)

    [plan] = plans
    assert "revoked_at" in plan
    assert {fault for fault in faults if fault in plan} == set()


class Fates:
    """Eight families, revoked at random, with commits up to five minutes late."""

    def __init__(self, random: Random) -> None:
        self.random = random
        # As young as a token can be: until the end is committed it is not known.
        self.issued_at = {UUID(int=number): NOW for number in range(8)}
        self.committed_at: dict[UUID, datetime] = {}
        self.awaited: dict[UUID, tuple[datetime, datetime]] = {}
        for pk in self.issued_at:
            SessionFamilyFactory.create(now=NOW, pk=pk)

    def go_on(self, moment: datetime) -> None:
        for pk in self.issued_at.keys() - self.committed_at.keys():
            at, commit = self.awaited.get(pk, (moment, moment + SECOND))
            if commit <= moment:
                SessionFamily.objects.filter(pk=pk).update(revoked_at=at)
                self.committed_at[pk] = commit
            else:
                self.issued_at[pk] = moment
        for pk in self.issued_at.keys() - self.awaited.keys():
            if self.random.random() < 0.1:
                late = self.random.random() * timedelta(minutes=5)
                self.awaited[pk] = (moment, moment + late)

    def must_be_refused(self, pk: UUID, moment: datetime) -> bool:
        """Tell whether a token lives of a family that was revoked before the poll."""
        polled_at = revocations._known.loaded_at
        alive = moment - self.issued_at[pk] < timedelta(minutes=30)
        return alive and self.committed_at.get(pk, moment + SECOND) <= polled_at


@pytest.mark.parametrize("seed", range(25))
def test_nothing_revoked_is_ever_taken_for_good(db, few, seed):
    """I-1, I-18: What is revoked is listed or in doubt from the next poll on."""
    random, moment = Random(seed), NOW  # noqa: S311 - no secret
    fates = Fates(random)

    for _ in range(60):
        moment += random.choice([SECOND, POLL, timedelta(minutes=2)])
        fates.go_on(moment)
        revocations.poll(moment)

        for pk, issued_at in fates.issued_at.items():
            doubt = revocations.is_in_doubt(pk, issued_at)
            if fates.must_be_refused(pk, moment):
                assert doubt or revocations.is_revoked(pk)
            if doubt and pk not in fates.committed_at and random.random() < 0.7:
                revocations.vouch(pk, moment)
                assert not revocations.is_in_doubt(pk, issued_at)

    assert fates.committed_at


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
