"""What there is to purge: how much, and for how long it has been due."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from rotating_sessions.conf import get_conf
from rotating_sessions.exceptions import Unavailable
from rotating_sessions.services import (
    PurgeCount,
    count_ended,
    purge_sessions,
    read_purge_delay,
)
from tests.acting import START, TICK
from tests.browsing import database_down
from tests.factories import SessionFamilyFactory

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
RETENTION = 30 * DAY
# In UTC, at the moment where the tests' clock starts.
SINCE_MIDNIGHT = START - START.replace(hour=0, minute=0, second=0, microsecond=0)


def families(count: int, **fields: Any) -> None:
    # As of the clock of the test, which the factory does not know.
    SessionFamilyFactory.create_batch(count, now=timezone.now(), **fields)


@pytest.mark.parametrize(
    ("ago", "delay"),
    [
        (RETENTION - TICK, timedelta()),
        (RETENTION, timedelta()),
        (RETENTION + TICK, TICK),
        (41 * DAY, 11 * DAY),
    ],
)
def test_delay_is_that_of_the_oldest_revoked_session(clock, ago, delay):
    """A purge is late by as long as the oldest revoked session is beyond RETENTION."""
    families(1, revoked_at=clock.now - ago)
    families(1, revoked_at=clock.now - RETENTION + HOUR)
    families(1)

    assert read_purge_delay() == delay


@pytest.mark.parametrize("ended", ["expires_at", "idle_at"])
@pytest.mark.parametrize(
    ("ago", "delay"),
    [
        (RETENTION - HOUR, timedelta()),
        (RETENTION + HOUR, timedelta()),
        (RETENTION + DAY, SINCE_MIDNIGHT),
        (41 * DAY, 10 * DAY + SINCE_MIDNIGHT),
    ],
)
def test_delay_counts_from_the_end_of_a_sessions_last_day(clock, ended, ago, delay):
    """A session that nobody revoked is due once its last day is beyond RETENTION."""
    families(1, **{ended: clock.now - ago})
    families(1, revoked_at=clock.now - RETENTION + HOUR)
    families(1)

    assert read_purge_delay() == delay


def test_nothing_is_late_where_there_is_nothing():
    """A site without sessions is not late."""
    assert read_purge_delay() == timedelta()


def test_nothing_is_late_after_a_purge(clock):
    """A purge that ran to its end leaves nothing that is due."""
    families(3, idle_at=clock.now - 31 * DAY)
    before = read_purge_delay(using="default")

    list(purge_sessions())

    assert (before, read_purge_delay()) == (SINCE_MIDNIGHT, timedelta())


def test_delay_is_one_query(clock, django_assert_num_queries):
    """A health endpoint may ask each time."""
    families(2, idle_at=clock.now - 31 * DAY)

    with django_assert_num_queries(1):
        read_purge_delay()


@pytest.mark.parametrize("limit", [0, 1, 3, 5, 6, 7])
def test_ended_sessions_are_counted_up_to_a_limit(clock, limit):
    """The count takes no longer than the limit allows, and no session counts twice."""
    long_ago = clock.now - 31 * DAY
    families(2, idle_at=long_ago)
    families(1, idle_at=long_ago, expires_at=long_ago)
    families(2, expires_at=long_ago, revoked_at=long_ago)
    families(1, revoked_at=long_ago)
    families(3)

    assert count_ended(limit=limit) == min(limit, 6)


def test_count_is_of_what_the_run_will_delete(clock):
    """OLDER_THAN counts in the count as in the purge, with the same floor."""
    families(2, idle_at=clock.now - 5 * DAY)
    families(1, idle_at=clock.now - 31 * DAY)

    count = count_ended(limit=9, older_than=4 * DAY, using="default")

    assert (count, count_ended(limit=9)) == (3, 1)
    with pytest.raises(ValueError, match="at least"):
        count_ended(limit=9, older_than=TICK)
    deleted = sum(purge_sessions(older_than=4 * DAY), PurgeCount())
    assert deleted == PurgeCount(families=3)


def test_count_goes_down_to_the_least_retention(clock):
    """A count may ask for the least that sessions are kept, and for no moment less."""
    least = get_conf().least_retention
    families(1, idle_at=clock.now - least - DAY)
    families(1, idle_at=clock.now - least + HOUR)

    assert count_ended(limit=9, older_than=least) == 1

    with pytest.raises(ValueError, match="at least"):
        count_ended(limit=9, older_than=least - TICK)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("read", [read_purge_delay, lambda: count_ended(limit=1)])
def test_database_that_fails_is_unavailable(read):
    """Without a database nobody knows, and the answer says so."""
    with database_down(), pytest.raises(Unavailable):
        read()
