"""What an operator reads of the tables: who is here, and what happened lately."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from rotating_sessions.exceptions import RefreshTokenReused, Unavailable
from rotating_sessions.models import RefreshToken, RevokedReason
from rotating_sessions.services import (
    Statistics,
    purge_sessions,
    read_last_addresses,
    read_statistics,
    revoke_session,
)
from tests.acting import MOMENT, START, TICK, W, log_in, present, rows_of
from tests.browsing import database_down
from tests.factories import RefreshTokenFactory, SessionFamilyFactory, UserFactory

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _frozen(clock: Any) -> None:
    """Let every test be at START."""


def read(window: timedelta = DAY) -> Statistics:
    return read_statistics(window)


def test_an_empty_site_has_nothing_to_tell():
    """Without a row every count is 0, and no moment is made up."""
    found = read()

    counts = (found.live, found.users, found.refreshes, found.ended)
    assert counts == ({}, 0, 0, 0)
    assert found.revoked == dict.fromkeys(RevokedReason.values, 0)
    assert found.oldest_ended_at is None
    assert (found.at, found.window) == (START, DAY)


def test_live_sessions_are_counted_by_transport():
    """A session that is revoked, expired or idle too long is not live."""
    SessionFamilyFactory.create_batch(3, transport="cookie")
    SessionFamilyFactory.create_batch(2, transport="header")
    for column in ("revoked_at", "expires_at", "idle_at"):
        SessionFamilyFactory.create(transport="header", **{column: START - TICK})

    found = read()

    assert found.live == {"cookie": 3, "header": 2}
    assert found.ended == 3


def test_a_user_counts_once():
    """Users are those with a live session, however many each has."""
    ada, grace = UserFactory.create(), UserFactory.create()
    SessionFamilyFactory.create_batch(2, user=ada)
    SessionFamilyFactory.create(user=ada, transport="cookie")
    SessionFamilyFactory.create(user=grace, revoked_at=START - HOUR)

    assert read().users == 1


@pytest.mark.parametrize(("ago", "counted"), [(DAY - TICK, 1), (DAY, 0)])
def test_revocations_of_the_window_are_counted_by_reason(ago, counted):
    """What was revoked before the window is not counted, and each reason by itself."""
    SessionFamilyFactory.create(revoked_at=START - ago, revoked_reason="reused")
    SessionFamilyFactory.create(revoked_at=START - HOUR, revoked_reason="logout")

    found = read()

    nothing = dict.fromkeys(RevokedReason.values, 0)
    assert found.revoked == {**nothing, "reused": counted, "logout": 1}
    assert found.reuse_detected == counted


def test_a_theft_is_counted(first, clock):
    """A superseded token that came back is one reuse detected."""
    newest = present(first)
    clock.forward(W)
    present(newest)
    clock.forward(W)
    with pytest.raises(RefreshTokenReused):
        present(first)

    found = read()

    assert (found.reuse_detected, found.refreshes) == (1, 2)


@pytest.mark.parametrize(
    ("ago", "generation", "counted"),
    [(DAY - TICK, 1, 1), (DAY, 1, 0), (HOUR, 0, 0), (-MOMENT, 2, 1)],
)
def test_a_refresh_is_a_token_that_replaced_another(ago, generation, counted):
    """Tokens issued in the window count, those of a login do not."""
    RefreshTokenFactory.create(generation=generation, issued_at=START - ago)

    assert read().refreshes == counted


def test_refreshes_per_hour_are_the_mean_of_the_window():
    """Half the hours of a window double the rate of as many refreshes."""
    family = SessionFamilyFactory.create()
    for generation in range(1, 13):
        RefreshTokenFactory.create(
            family=family, generation=generation, issued_at=START - HOUR
        )

    rates = [read(hours * HOUR).refreshes_per_hour for hours in (3, 6, 24)]

    assert rates == [4, 2, 0.5]


@pytest.mark.parametrize("seed", range(3))
def test_refreshes_are_found_by_their_keys(seed):
    """Gaps in the keys, and keys a little out of order, hide no refresh."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    family = SessionFamilyFactory.create()
    moments = sorted(START - 3 * DAY * chance.random() for _ in range(60))
    late = [at + timedelta(minutes=4) * chance.random() for at in moments]
    for number, at in enumerate(late, start=1):
        RefreshTokenFactory.create(family=family, generation=number, issued_at=at)
    keys = list(RefreshToken.objects.values_list("pk", flat=True))
    RefreshToken.objects.filter(pk__in=chance.sample(keys, 25)).delete()

    found = read()

    expected = RefreshToken.objects.filter(issued_at__gt=START - DAY).count()
    assert found.refreshes == expected > 0


def test_a_token_that_came_late_hides_no_refresh_before_it():
    """A token may have a higher key than one that was issued minutes after it."""
    family = SessionFamilyFactory.create()
    since = START - DAY
    offsets = [MOMENT, timedelta(minutes=-4), timedelta(minutes=-3), 2 * MOMENT]
    for number, offset in enumerate(offsets, start=1):
        RefreshTokenFactory.create(
            family=family, generation=number, issued_at=since + offset
        )

    assert read().refreshes == 2


def test_what_happened_before_the_window_is_not_read():
    """The ledger is searched by its keys: a longer one takes few more queries."""
    family = SessionFamilyFactory.create()
    counts = []
    for start in (0, 50):
        for number in range(start, start + 50):
            RefreshTokenFactory.create(
                family=family, generation=number, issued_at=START - 3 * DAY
            )
        with CaptureQueriesContext(connection) as queries:
            read()
        counts.append(len(queries))

    assert counts[1] <= counts[0] + 1
    assert counts[0] <= 16


def test_a_purge_leaves_a_lower_bound(first, clock, settings):
    """Of a session that refreshed more often, the last TOKEN_HISTORY count."""
    settings.ROTATING_SESSIONS = {"TOKEN_HISTORY": 2}
    newest = first
    for _ in range(5):
        newest = present(newest)
        clock.forward(W)
    before = read().refreshes
    list(purge_sessions())

    after = read().refreshes

    assert (before, after) == (5, 2)


@pytest.mark.parametrize("column", ["revoked_at", "expires_at", "idle_at"])
def test_the_oldest_end_is_the_first_of_all(column):
    """A session ends by whatever comes first, and the first to end is the oldest."""
    ended_at = START - 9 * DAY
    SessionFamilyFactory.create(**{column: ended_at})
    SessionFamilyFactory.create(revoked_at=START - DAY)
    SessionFamilyFactory.create()

    assert read().oldest_ended_at == ended_at


@pytest.mark.parametrize("column", ["revoked_at", "expires_at", "idle_at"])
def test_what_ends_at_this_moment_has_ended(column):
    """At its deadline a session is over, and its end is one."""
    SessionFamilyFactory.create(**{column: START})

    found = read()

    assert (found.ended, found.oldest_ended_at) == (1, START)


def test_nothing_ended_has_no_oldest_end():
    """Deadlines to come are no ends."""
    SessionFamilyFactory.create()

    assert read().oldest_ended_at is None


def test_the_size_is_that_on_disk():
    """The tables take up a number of bytes, which is at least a page."""
    SessionFamilyFactory.create()

    size = read().size

    assert size is not None
    assert size >= 4096


def test_the_size_on_another_database_is_unknown(monkeypatch):
    """A database that this package knows no way to ask is asked for no size."""
    monkeypatch.setattr(connection, "vendor", "another")

    assert read().size is None


def test_a_session_revoked_just_now_has_ended(rf, user):
    """The services and the statistics agree on what is live."""
    pair = log_in(rf, user)
    before = read()
    revoke_session(rows_of(pair).get().pk, reason=RevokedReason.STAFF)

    after = read()

    assert (before.live, before.ended) == ({"header": 1}, 0)
    assert (after.live, after.ended, after.revoked["staff"]) == ({}, 1, 1)


@pytest.mark.parametrize("statement", ["", "COUNT", "MIN"])
def test_a_database_that_fails_is_told(statement):
    """No half of the statistics is returned."""
    with database_down(statement), pytest.raises(Unavailable):
        read()


def test_the_sessions_last_seen_are_listed_first():
    """Addresses are those of live sessions, the one that was refreshed last first."""
    for hours in (5, 3, 4, 2):
        deadline = START + timedelta(days=14) - hours * HOUR
        SessionFamilyFactory.create(idle_at=deadline, ip_address=f"10.0.0.{hours}")
    SessionFamilyFactory.create(idle_at=START + 14 * DAY, revoked_at=START - HOUR)

    found = read_last_addresses(3)

    assert [address for _user, address in found] == ["10.0.0.2", "10.0.0.3", "10.0.0.4"]
    assert len({user for user, _address in found}) == 3


def test_no_addresses_without_a_database():
    """A database that fails lists nothing."""
    with database_down(), pytest.raises(Unavailable):
        read_last_addresses(3)
