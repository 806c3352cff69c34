"""Purge: rows go when they cannot change any answer any more, batch by batch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import OperationalError, connection, models
from django.db.models.signals import post_delete, pre_delete
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from rotating_sessions.exceptions import (
    InvalidToken,
    RefreshTokenReused,
    SessionEnded,
    Unavailable,
)
from rotating_sessions.models import RefreshToken, SessionFamily
from rotating_sessions.services import PurgeCount, purge, purge_sessions
from rotating_sessions.transports import TokenPair
from tests.acting import TICK, Clock, W, columns, log_in, present, rows_of
from tests.factories import RefreshTokenFactory, SessionFamilyFactory

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
RETENTION = 30 * DAY


def total(**options: Any) -> PurgeCount:
    """Purge to the end, and return what that deleted altogether."""
    return sum(purge_sessions(**options), PurgeCount())


def families(count: int, **fields: Any) -> list[SessionFamily]:
    # As of the clock of the test, which the factory does not know.
    return SessionFamilyFactory.create_batch(count, now=timezone.now(), **fields)


@contextmanager
def aborted(verb: str, *, times: int) -> Iterator[None]:
    """Let the database abort such statements, as if for another transaction's sake."""
    aborts = [OperationalError(1213, "Deadlock found") for _ in range(times)]

    def contend(execute: Any, sql: str, *args: Any) -> Any:
        if aborts and sql.startswith(verb):
            raise aborts.pop()
        return execute(sql, *args)

    with connection.execute_wrapper(contend):
        yield


# What goes.


@pytest.mark.parametrize("ended", ["revoked_at", "expires_at", "idle_at"])
@pytest.mark.parametrize(
    ("ago", "purged"),
    [
        (DAY, False),
        (RETENTION - TICK, False),
        (RETENTION, False),
        (RETENTION + TICK, True),
    ],
)
def test_session_is_purged_once_it_ended_longer_ago_than_retention(
    clock, ended, ago, purged
):
    """A session stays for RETENTION after it was revoked, expired or idle too long."""
    families(1, **{ended: clock.now - ago})

    count = total()

    assert count == PurgeCount(families=int(purged))
    assert SessionFamily.objects.exists() != purged


def test_live_session_is_never_purged(clock):
    """A session that goes on is kept, however old."""
    families(1, created_at=clock.now - 900 * DAY)

    count = total()

    assert count == PurgeCount()
    assert SessionFamily.objects.exists()


def test_tokens_are_purged_with_their_session(clock):
    """LG-04: The ledger of a purged session goes with it, and is counted."""
    gone, kept = families(1, revoked_at=clock.now - 31 * DAY) + families(1)
    for family in (gone, gone, gone, kept):
        RefreshTokenFactory.create(family=family)

    count = total()

    assert count == PurgeCount(families=1, tokens=3)
    assert [token.family_id for token in RefreshToken.objects.all()] == [kept.pk]


@override_settings(ROTATING_SESSIONS={"RETENTION": DAY})
def test_site_says_how_long_sessions_are_kept(clock):
    """LG-04: RETENTION decides when an ended session goes, with what it knew."""
    families(1, revoked_at=clock.now - DAY - TICK)
    (kept,) = families(1, revoked_at=clock.now - DAY + TICK)

    total()

    assert list(SessionFamily.objects.all()) == [kept]


@pytest.mark.parametrize("older_than", [60 * DAY, 9 * DAY])
def test_one_run_may_keep_sessions_for_longer_or_shorter(clock, older_than):
    """OLDER_THAN stands in for RETENTION, in either direction."""
    families(1, revoked_at=clock.now - older_than - TICK)
    (kept,) = families(1, revoked_at=clock.now - older_than)

    count = total(older_than=older_than)

    assert count == PurgeCount(families=1)
    assert list(SessionFamily.objects.all()) == [kept]


# ACCESS_LIFETIME, MAX_STALENESS, a late commit and the clocks' skew, by default.
LEAST = timedelta(minutes=30 + 5, seconds=60 + 5)


def test_sessions_stay_known_while_an_access_token_may_be_good(clock):
    """RV-06: No run purges what a process has to know to refuse an access token."""
    families(1, revoked_at=clock.now - LEAST - TICK)

    with pytest.raises(ValueError, match="0:36:05"):
        total(older_than=LEAST - TICK)

    assert total(older_than=LEAST) == PurgeCount(families=1)


def test_session_that_ended_in_several_ways_is_counted_once(clock):
    """A session that was revoked, idle and expired is one session, in a dry run too."""
    long_ago = clock.now - 31 * DAY
    fields = ("revoked_at", "expires_at", "idle_at")
    for number in range(1, 8):
        ended = [field for place, field in enumerate(fields) if number & 1 << place]
        families(1, **dict.fromkeys(ended, long_ago))

    counts = [total(dry_run=dry, batch_size=2) for dry in (True, False)]

    assert counts == [PurgeCount(families=7)] * 2


def test_sessions_that_ended_at_one_moment_all_go(clock):
    """Sessions that were revoked together are purged together, batch after batch."""
    families(7, revoked_at=clock.now - 31 * DAY)

    counts = list(purge_sessions(batch_size=3, dry_run=True))

    assert [count.families for count in counts[:3]] == [3, 3, 1]


# The history.


@pytest.mark.parametrize(
    ("generation", "kept"),
    [(0, [0]), (2, [0, 1, 2]), (3, [1, 2, 3]), (7, [5, 6, 7])],
)
@override_settings(ROTATING_SESSIONS={"TOKEN_HISTORY": 3})
def test_last_tokens_of_a_live_session_are_kept(clock, generation, kept):
    """LG-04: Of a live session the last TOKEN_HISTORY tokens stay in the ledger."""
    (family,) = families(1, generation=generation)
    for number in range(generation + 1):
        RefreshTokenFactory.create(family=family, generation=number)

    count = total()

    found = RefreshToken.objects.order_by("generation")
    assert list(found.values_list("generation", flat=True)) == kept
    assert count == PurgeCount(tokens=generation + 1 - len(kept))


@override_settings(ROTATING_SESSIONS={"TOKEN_HISTORY": 1})
def test_ledger_of_an_ended_session_is_kept_whole(clock):
    """What staff need to look into a theft is not trimmed while the session is kept."""
    (family,) = families(1, generation=4, revoked_at=clock.now - DAY)
    for number in range(5):
        RefreshTokenFactory.create(family=family, generation=number)

    count = total()

    assert count == PurgeCount()
    assert RefreshToken.objects.count() == 5


@override_settings(ROTATING_SESSIONS={"TOKEN_HISTORY": 1})
def test_trimmed_token_still_exposes_theft(rf, user, clock):
    """Authority needs no ledger: a token whose row is trimmed is reuse as before."""
    first = newest = log_in(rf, user)
    for _ in range(4):
        newest = present(newest)
        clock.forward(W)
    count = total()

    with pytest.raises(RefreshTokenReused):
        present(first)

    assert count == PurgeCount(tokens=4)


def test_purge_changes_no_answer(rf, user, clock):
    """Before its session is purged a token is refused as ended, after it as unknown."""
    pair = log_in(rf, user)
    rows_of(pair).update(revoked_at=clock.now, revoked_reason="staff")
    clock.forward(RETENTION)
    total()
    with pytest.raises(SessionEnded):
        present(pair)
    clock.forward(TICK)

    total()

    with pytest.raises(InvalidToken):
        present(pair)


# Batches.


@pytest.mark.parametrize(
    ("size", "batches"),
    [(1, [1] * 5), (2, [2, 2, 1]), (5, [5]), (6, [5])],
)
def test_sessions_go_in_batches(clock, size, batches):
    """TH-09: Each batch deletes as many sessions as it may, and says how many."""
    families(5, revoked_at=clock.now - 31 * DAY)

    counts = list(purge_sessions(batch_size=size))

    assert [count.families for count in counts] == batches
    assert not SessionFamily.objects.exists()


@override_settings(ROTATING_SESSIONS={"TOKEN_HISTORY": 1})
def test_histories_are_trimmed_in_batches(clock):
    """TH-09: After the ended sessions, live ones are trimmed, as many at a time."""
    families(1, revoked_at=clock.now - 31 * DAY)
    for family in families(3, generation=1):
        for number in (0, 1):
            RefreshTokenFactory.create(family=family, generation=number)

    counts = list(purge_sessions(batch_size=2))

    assert counts == [
        PurgeCount(families=1),
        PurgeCount(tokens=2),
        PurgeCount(tokens=1),
    ]


@pytest.mark.parametrize(("limit", "left"), [(1, 3), (2, 1), (3, 0), (9, 0)])
def test_purge_stops_after_as_many_batches_as_it_may(clock, limit, left):
    """MAX_BATCHES bounds a run, and the next run goes on where it stopped."""
    families(5, revoked_at=clock.now - 31 * DAY)

    counts = list(purge_sessions(batch_size=2, max_batches=limit))

    assert sum(count.families for count in counts) == 5 - left
    assert total() == PurgeCount(families=left)


@pytest.fixture
def durations(monkeypatch):
    """Let each batch of sessions take as long as the list says, and then no time."""
    found: list[float] = []
    elapsed = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: elapsed[0])

    def take(execute: Any, sql: str, *args: Any) -> Any:
        if found and sql.startswith("DELETE") and sql.split()[2][1:-1] == table:
            elapsed[0] += found.pop(0)
        return execute(sql, *args)

    table = SessionFamily._meta.db_table
    with connection.execute_wrapper(take):
        yield found


def test_run_stops_when_its_time_is_over(clock, durations):
    """MAX_TIME ends a run after the batch in flight, which says that there is more."""
    families(5, revoked_at=clock.now - 31 * DAY)
    durations += [3, 4, 9]

    counts = list(purge_sessions(batch_size=1, max_time=timedelta(seconds=7)))

    assert counts == [
        PurgeCount(families=1),
        PurgeCount(families=1, stopped=True),
    ]
    assert sum(counts, PurgeCount()) == PurgeCount(families=2, stopped=True)
    assert SessionFamily.objects.count() == 3


def test_batches_grow_and_shrink_with_the_time_they_take(clock, durations, monkeypatch):
    """TH-09: A batch takes as many sessions as go in a quarter of a second."""
    monkeypatch.setattr(purge, "_FIRST", 4)
    monkeypatch.setattr(purge, "_FEWEST", 2)
    families(30, revoked_at=clock.now - 31 * DAY)
    durations += [0, 0.5, 9, 0.25, 0.125]

    counts = list(purge_sessions(batch_size=5))

    sizes = [count.families for count in counts]
    assert sizes == [4, 5, 2, 2, 2, 4, 5, 5, 1]


def test_purge_deletes_batch_by_batch_as_it_is_asked(clock):
    """A batch is deleted when it is asked for, so a run can stop after any."""
    families(5, revoked_at=clock.now - 31 * DAY)
    run = purge_sessions(batch_size=2)

    first = next(run)
    run.close()

    assert first == PurgeCount(families=2)
    assert SessionFamily.objects.count() == 3


def test_nothing_to_purge_is_no_batch():
    """An empty run yields nothing."""
    assert list(purge_sessions()) == []


def test_dry_run_counts_and_deletes_nothing(clock):
    """A dry run tells what a run would delete, and deletes none of it."""
    gone = families(3, revoked_at=clock.now - 31 * DAY)
    for number in range(4):
        RefreshTokenFactory.create(family=gone[0], generation=number)
    (live,) = families(1, generation=52)
    for number in (1, 2, 3, 52):
        RefreshTokenFactory.create(family=live, generation=number)

    counts = [total(batch_size=2, dry_run=dry) for dry in (True, True, False)]

    assert counts == [PurgeCount(families=3, tokens=6)] * 3
    assert list(SessionFamily.objects.all()) == [live]


def test_purge_pauses_between_batches(clock, monkeypatch):
    """SLEEP is how long the database is left alone after each batch."""
    families(3, revoked_at=clock.now - 31 * DAY)
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)

    list(purge_sessions(batch_size=1, sleep=timedelta(milliseconds=250)))

    assert pauses == [0.25] * 3


def test_purge_runs_on_the_database_that_it_is_told(clock):
    """USING names the database, where it is not the one sessions are written to."""
    families(1, revoked_at=clock.now - 31 * DAY)

    count = total(using="default")

    assert count == PurgeCount(families=1)


# What a site has hung on its sessions.


@pytest.fixture(params=[models.ForeignKey, models.OneToOneField])
def note(request):
    """Return a model of the site's whose rows go with their session, and its table."""

    class Note(models.Model):  # noqa: DJ008 - nobody reads it
        family = request.param(SessionFamily, on_delete=models.CASCADE)

        class Meta:
            app_label = "tests"

    with connection.schema_editor() as editor:
        editor.create_model(Note)
    yield Note
    with connection.schema_editor() as editor:
        editor.delete_model(Note)
    del apps.all_models["tests"]["note"]
    apps.clear_cache()


@pytest.mark.django_db(transaction=True)
def test_rows_of_the_sites_own_go_with_their_session(clock, note):
    """What points to a session with CASCADE is deleted with it, and not in the way."""
    gone, kept = families(1, revoked_at=clock.now - 31 * DAY) + families(1)
    RefreshTokenFactory.create(family=gone)
    for family in (gone, kept):
        note.objects.create(family=family)

    count = total()

    assert count == PurgeCount(families=1, tokens=1)
    assert [row.family_id for row in note.objects.all()] == [kept.pk]


@pytest.mark.parametrize("sent", [pre_delete, post_delete])
def test_receivers_of_the_sites_own_hear_of_a_purge(clock, sent):
    """Who receives the deletion of sessions receives a purge's as well."""
    (gone,) = families(1, revoked_at=clock.now - 31 * DAY)
    heard = []

    def receive(instance: SessionFamily, **kwargs: Any) -> None:
        heard.append(instance.pk)

    sent.connect(receive, sender=SessionFamily)
    count = total()
    sent.disconnect(receive, sender=SessionFamily)

    assert count == PurgeCount(families=1)
    assert heard == [gone.pk]


# What comes between.


def test_session_that_is_no_longer_over_is_not_purged(clock):
    """What counts is what the deleting transaction sees, not what was listed."""
    _, revived = families(2, idle_at=clock.now - 31 * DAY)

    def intervene(execute: Any, sql: str, *args: Any) -> Any:
        result = execute(sql, *args)
        if state and sql.startswith("SELECT"):
            state.pop()
            SessionFamily.objects.filter(pk=revived.pk).update(idle_at=clock.now + DAY)
        return result

    state = ["waiting"]
    with connection.execute_wrapper(intervene):
        count = total()

    assert count == PurgeCount(families=1)
    assert list(SessionFamily.objects.all()) == [revived]


def test_batch_that_others_were_faster_with_deletes_nothing(clock):
    """Where another purge has deleted the whole batch meanwhile, nothing is counted."""
    families(2, idle_at=clock.now - 31 * DAY)
    state = ["waiting"]

    def intervene(execute: Any, sql: str, *args: Any) -> Any:
        result = execute(sql, *args)
        if state and sql.startswith("SELECT"):
            state.pop()
            SessionFamily.objects.all().delete()
        return result

    with connection.execute_wrapper(intervene):
        count = total()

    assert count == PurgeCount()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("verb", ["SELECT", "DELETE"])
def test_failure_keeps_the_batches_before_it(clock, verb):
    """A database that fails midway ends the run with what it had deleted."""
    families(4, revoked_at=clock.now - 31 * DAY)
    run = purge_sessions(batch_size=2)
    next(run)

    def broken(execute: Any, sql: str, *args: Any) -> Any:
        if sql.startswith(verb):
            raise OperationalError("The server went away.")
        return execute(sql, *args)

    with connection.execute_wrapper(broken), pytest.raises(Unavailable):
        next(run)

    assert SessionFamily.objects.count() == 2
    assert total() == PurgeCount(families=2)


@pytest.mark.django_db(transaction=True)
def test_batch_that_is_in_the_way_of_others_is_left_to_the_next_run(clock, monkeypatch):
    """A batch aborted for others' sake at every try is skipped; the rest is purged."""
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    families(5, revoked_at=clock.now - 31 * DAY)

    with aborted("DELETE", times=4):
        counts = list(purge_sessions(batch_size=2))

    assert counts == [
        PurgeCount(skipped=2),
        PurgeCount(families=2),
        PurgeCount(families=1),
        # The history of what is left needs no trimming.
        PurgeCount(),
    ]
    assert total() == PurgeCount(families=2)


@pytest.mark.django_db(transaction=True)
def test_reading_what_to_purge_is_tried_again(clock, monkeypatch):
    """At a strict isolation level a mere read may be aborted, and is made again."""
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    families(2, revoked_at=clock.now - 31 * DAY)

    with aborted("SELECT", times=3):
        count = total()

    assert count == PurgeCount(families=2)


@override_settings(ROTATING_SESSIONS={"TOKEN_HISTORY": 1})
def test_no_statement_names_more_rows_than_databases_take(clock):
    """A session with very many tokens is trimmed by several statements."""
    (family,) = families(1, generation=12_000)
    RefreshToken.objects.bulk_create(
        RefreshTokenFactory.build(family=family, generation=number)
        for number in range(12_001)
    )
    sizes = []

    def measure(execute: Any, sql: str, params: Any, *args: Any) -> Any:
        sizes.append(len(params or ()))
        return execute(sql, params, *args)

    with connection.execute_wrapper(measure):
        count = total()

    assert count == PurgeCount(tokens=12_000)
    assert max(sizes) <= 5_001


@override_settings(ROTATING_SESSIONS={"TOKEN_HISTORY": 1})
def test_no_delete_names_two_tables(clock):
    """A purge locks rows of one table at a time, each before it deletes them."""
    (gone,) = families(1, revoked_at=clock.now - 31 * DAY)
    (live,) = families(1, generation=1)
    for family in (gone, live):
        RefreshTokenFactory.create(family=family, generation=0)

    with CaptureQueriesContext(connection) as queries:
        total()

    deletes = [q["sql"] for q in queries if q["sql"].startswith("DELETE")]
    assert deletes
    assert not [sql for sql in deletes if "JOIN" in sql or "SELECT" in sql]


def test_counts_add_up():
    """Two counts are added field by field."""
    one = PurgeCount(families=1, tokens=20, skipped=7)
    other = PurgeCount(families=300, tokens=4000, skipped=80, stopped=True)
    both = PurgeCount(families=301, tokens=4020, skipped=87, stopped=True)

    assert one + other == other + one == both
    assert not (one + one).stopped


def test_row_of_a_revoked_session_is_kept_while_it_matters(
    rf: Any, user: Any, clock: Clock
):
    """RV-06, I-1: A revocation is kept while a token of the session is genuine."""
    pair: TokenPair = log_in(rf, user)
    rows_of(pair).update(revoked_at=clock.now, revoked_reason="staff")
    clock.forward(29 * DAY)

    total()

    assert columns(pair)["revoked_reason"] == "staff"
