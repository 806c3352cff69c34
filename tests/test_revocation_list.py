"""What a process lists of the revoked, and what it knows of those left out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from uuid import UUID

import pytest

from rotating_sessions import revocation_list
from rotating_sessions.revocation_list import NEVER, RevocationList

NOW = datetime(2026, 5, 9, 14, 3, 21, 670_000, tzinfo=UTC)
TICK = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
# How late a revocation may be committed.
LATENESS = 5 * MINUTE
# Revoked so long ago that nothing of it is still to be committed.
LONG_AGO = NOW - 9 * MINUTE
LATE_LIMIT = NOW - LATENESS


def family(number: int) -> UUID:
    return UUID(int=0x3B7E61C85D204F948A6BE1907C2D0000 + number)


def revoked(*moments: datetime) -> list[tuple[UUID, datetime]]:
    """Return families with the moments of their revocation, as a poll reads them."""
    return [(family(number), at) for number, at in enumerate(moments)]


@pytest.fixture
def known() -> RevocationList:
    """Return an empty list of three."""
    return RevocationList(limit=3, lateness=LATENESS)


@pytest.fixture
def doubting(known: RevocationList) -> RevocationList:
    """Return a list that left out a family revoked LONG_AGO."""
    known.add(revoked(LONG_AGO, NOW - 3 * SECOND, NOW - 2 * SECOND, NOW - SECOND), NOW)
    return known


def test_as_many_as_the_limit_are_listed_and_nothing_is_in_doubt(known):
    """Where all that is revoked is listed, no token has to be looked into."""
    rows = revoked(NOW - 3 * SECOND, NOW - 2 * SECOND, NOW - SECOND)

    known.add(rows, NOW)

    assert known.revoked_at == dict(rows)
    assert known.unlisted_until == NEVER
    assert not known.is_in_doubt(family(7), LONG_AGO, NOW)


def test_beyond_the_limit_the_newest_are_listed(doubting):
    """RV-08: One more than the limit leaves the oldest out, and tells when it was."""
    assert set(doubting.revoked_at) == {family(1), family(2), family(3)}
    assert doubting.unlisted_until == LONG_AGO
    assert doubting.doubted_until == LONG_AGO + LATENESS


def test_limit_holds_over_many_additions(known):
    """RV-08: However often and in whichever order, no more than the limit is kept."""
    for number in (5, 1, 8, 2, 7, 3, 6, 4):
        known.add([(family(number), LONG_AGO + number * SECOND)], NOW)

    assert set(known.revoked_at) == {family(6), family(7), family(8)}
    assert known.unlisted_until == LONG_AGO + 5 * SECOND


def test_families_of_one_moment_are_in_doubt_together(known):
    """A batch has one moment: what is left out of it is in doubt, if some is listed."""
    known.add(revoked(*[LONG_AGO] * 5), NOW)

    assert len(known.revoked_at) == 3
    assert known.unlisted_until == LONG_AGO


def test_family_that_is_listed_already_is_not_counted_twice(known):
    """Windows overlap: what is read again leaves nothing out."""
    rows = revoked(NOW - 3 * SECOND, NOW - 2 * SECOND, NOW - SECOND)
    known.add(rows, NOW)

    known.add(rows, NOW + SECOND)

    assert known.unlisted_until == NEVER


@pytest.mark.parametrize(
    ("left_out", "until"),
    [
        (LATE_LIMIT, LATE_LIMIT),
        (LATE_LIMIT + TICK, NOW),
        (NOW - 4 * SECOND, NOW),
        (NOW + SECOND, NOW + SECOND),
    ],
)
def test_what_puts_every_token_in_doubt_leaves_all_out(known, left_out, until):
    """While all is in doubt, nothing that is listed has to be read again."""
    newer = [left_out + number * TICK for number in (1, 2, 3)]

    known.add(revoked(left_out, *newer), NOW)

    assert known.unlisted_until == until
    assert len(known.revoked_at) == 3


def test_single_revocation_does_not_prolong_the_doubt(known):
    """What drops out and was in doubt before changes nothing."""
    known.add(revoked(*[NOW - SECOND] * 4), NOW)

    known.add([(family(9), NOW + MINUTE)], NOW + MINUTE)

    assert known.unlisted_until == NOW
    assert family(9) in known.revoked_at


@pytest.mark.parametrize(
    ("issued_at", "doubt"),
    [
        (LONG_AGO - MINUTE, True),
        (LONG_AGO, True),
        (LONG_AGO + LATENESS, True),
        (LONG_AGO + LATENESS + TICK, False),
        (NOW, False),
    ],
)
def test_token_is_in_doubt_until_the_last_late_commit(doubting, issued_at, doubt):
    """I-1: A token may be issued until a revocation is committed, however late."""
    assert doubting.is_in_doubt(family(7), issued_at, NOW) is doubt


@pytest.mark.parametrize(
    ("read_at", "polled_at", "doubt"),
    [
        # Nothing that was left out is still to be committed.
        (LONG_AGO + LATENESS + TICK, NOW, False),
        # Something is: until the next poll the look serves.
        (LONG_AGO + LATENESS, LONG_AGO + LATENESS, False),
        (LONG_AGO + LATENESS, LONG_AGO + LATENESS + TICK, True),
        (LONG_AGO, LONG_AGO - TICK, False),
        (LONG_AGO, NOW, True),
        (LONG_AGO, None, True),
    ],
)
def test_look_at_the_row_clears_a_family(doubting, read_at, polled_at, doubt):
    """I-18: A look serves for good once all is committed, and before until the poll."""
    doubting.vouch(family(7), read_at)

    assert doubting.is_in_doubt(family(7), LONG_AGO, polled_at) is doubt


def test_look_at_one_family_clears_no_other(doubting):
    """Each family's row speaks for itself."""
    doubting.vouch(family(7), NOW)

    assert not doubting.is_in_doubt(family(7), LONG_AGO, NOW)
    assert doubting.is_in_doubt(family(8), LONG_AGO, NOW)


def test_later_mass_revocation_puts_in_doubt_what_was_cleared(doubting):
    """I-1: A look says nothing of what is revoked after it."""
    doubting.vouch(family(7), NOW)
    late = NOW + 20 * MINUTE

    doubting.add([(family(number), late) for number in range(10, 14)], late)

    assert doubting.is_in_doubt(family(7), NOW, late + SECOND)


def test_looks_are_remembered_while_there_is_doubt_only(known):
    """RV-08: Without a mass revocation nothing is kept of a family that is live."""
    known.vouch(family(7), NOW)

    assert not known._vouched_at


def test_memory_of_looks_is_bounded(doubting, monkeypatch):
    """TH-10: Beyond the bound the row read longest ago is read again."""
    monkeypatch.setattr(revocation_list, "_VOUCHED", 2)
    for number in (7, 8, 7, 9):
        doubting.vouch(family(number), NOW + number * SECOND)

    doubts = [doubting.is_in_doubt(family(n), LONG_AGO, NOW) for n in (7, 8, 9)]

    assert doubts == [False, True, False]


def test_clock_that_ran_back_vouches_for_nothing(doubting):
    """RT-14: A look that was dated ahead is not taken for one of after the end."""
    doubting.vouch(family(7), NOW + 60 * MINUTE)

    doubting.distrust()

    assert doubting.is_in_doubt(family(7), LONG_AGO, NOW)


@pytest.mark.parametrize(
    ("horizon", "until", "looks"),
    [
        (LONG_AGO + LATENESS - TICK, LONG_AGO, 1),
        (LONG_AGO + LATENESS, NEVER, 0),
        (NOW - 2 * SECOND, NEVER, 0),
    ],
)
def test_doubt_lapses_with_the_last_token(doubting, horizon, until, looks):
    """RV-08: When no token of before can live, doubt and looks are forgotten."""
    doubting.vouch(family(7), NOW)

    doubting.forget(horizon)

    assert doubting.unlisted_until == until
    assert len(doubting._vouched_at) == looks


@pytest.mark.parametrize(
    ("horizon", "left"),
    [(NOW - 3 * SECOND - TICK, 3), (NOW - 3 * SECOND, 2), (NOW - SECOND, 0)],
)
def test_family_leaves_the_list_with_its_last_token(doubting, horizon, left):
    """RV-08: What was revoked until the horizon is dropped, and nothing else."""
    doubting.forget(horizon)

    assert len(doubting.revoked_at) == left


def test_forgetting_leaves_nothing_in_doubt_that_was_not(known):
    """A list that left nothing out has nothing to lapse."""
    known.add(revoked(LONG_AGO), NOW)

    known.forget(NOW)

    assert known.unlisted_until == NEVER
    assert not known.revoked_at


def test_lull_is_the_same_until_the_list_learns_something(known):
    """What was found out in a lull holds: it is the same object, whoever asks."""
    known.note(NOW, NOW)
    lull = known.current_lull(MINUTE, 2 * MINUTE)

    assert known.current_lull(MINUTE, 2 * MINUTE) is lull
    assert known.lull is lull


@pytest.mark.parametrize(
    "learn",
    [
        lambda known: known.note(NOW, NOW),
        lambda known: known.note(NOW + SECOND, None),
        lambda known: known.add(revoked(NOW), NOW),
        lambda known: known.add(revoked(*[NOW] * 4), NOW),
    ],
)
def test_lull_ends_with_whatever_is_learned(known, learn):
    """I-1: Another poll, and each revocation, ends what was found out before."""
    known.note(NOW, NOW)
    lull = known.current_lull(MINUTE, 2 * MINUTE)

    learn(known)

    assert known.current_lull(MINUTE, 2 * MINUTE) is not lull


def test_lull_is_of_its_settings(known):
    """Whoever asks by another interval or staleness is told of another while."""
    known.note(NOW, NOW)
    lull = known.current_lull(MINUTE, 2 * MINUTE)

    others = [
        known.current_lull(*spans) for spans in [(SECOND, 2 * MINUTE), (MINUTE, SECOND)]
    ]

    assert lull.has(NOW + MINUTE - TICK)
    assert not lull.has(NOW + MINUTE)
    assert [each.has(NOW + SECOND) for each in others] == [False, False]


@pytest.fixture
def hasty() -> Iterator[None]:
    """Let threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_reader_never_finds_a_family_neither_listed_nor_in_doubt(hasty):
    """I-1: While others add, each family is listed or in doubt at every moment."""
    missed, over = [], Event()
    current = [RevocationList(limit=9, lateness=LATENESS)]

    def read() -> None:
        while not over.is_set():
            known = current[0]
            listed = family(0) in known.revoked_at
            if not (listed or known.is_in_doubt(family(0), NOW, None)):
                missed.append(known)  # pragma: no cover - what must not be

    def write(first: int) -> None:
        for number in range(first, first + 5):
            current[0].add([(family(number), NOW + number * TICK)], NOW)
            current[0].vouch(family(number), NOW)

    reader = Thread(target=read)
    for round_ in range(300):
        known = RevocationList(limit=9, lateness=LATENESS)
        known.add([(family(0), NOW)], NOW)
        current[0] = known
        if round_ == 0:
            reader.start()
        writers = [Thread(target=write, args=(start,)) for start in (1, 6, 11)]
        for thread in writers:
            thread.start()
        for thread in writers:
            thread.join(60)
        assert family(0) not in known.revoked_at
        assert len(known.revoked_at) == 9
    over.set()
    reader.join(20)

    assert missed == []
