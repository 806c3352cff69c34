"""What the page of sessions is made of: live sessions and thefts, in one query."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from rotating_sessions.exceptions import Unavailable
from rotating_sessions.models import RevokedReason, SessionFamily
from rotating_sessions.services import THEFT_NOTICE, survey_sessions
from tests.acting import TICK
from tests.browsing import database_down
from tests.factories import SessionFamilyFactory, UserFactory

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)
# A small table is read as a whole, unless PostgreSQL is told not to.
PLANS = {
    "sqlite": ("SELECT 1", "EXPLAIN QUERY PLAN "),
    "postgresql": ("SET LOCAL enable_seqscan = off", "EXPLAIN "),
    "mysql": ("SELECT 1", "EXPLAIN "),
}


def stolen(user, ago=timedelta(hours=5), **fields):
    """Make a session that ended in a theft."""
    return SessionFamilyFactory.create(
        user=user,
        revoked_at=timezone.now() - ago,
        revoked_reason=RevokedReason.REUSED,
        **fields,
    )


def test_own_live_sessions_are_listed_the_current_one_first(user):
    """The session that asks leads, the others follow by age, and nobody else's."""
    now = timezone.now()
    old, current, new = (
        SessionFamilyFactory.create(user=user, created_at=now - ago * DAY)
        for ago in (5, 4, 3)
    )
    SessionFamilyFactory.create()
    SessionFamilyFactory.create(user=user, idle_at=now)
    SessionFamilyFactory.create(user=user, expires_at=now)
    SessionFamilyFactory.create(user=user, revoked_at=now)

    overview = survey_sessions(user_pk=user.pk, current=current.pk)

    assert [row.id for row in overview.sessions] == [current.pk, new.pk, old.pk]
    assert [row.is_current for row in overview.sessions] == [True, False, False]
    assert (overview.thefts, overview.next) == ((), None)


def test_session_is_described_in_words(user):
    """A session has device, address and moments, the last one cut to the hour."""
    family = SessionFamilyFactory.create(user=user)

    (row,) = survey_sessions(user_pk=user.pk).sessions

    assert (row.device, row.network) == ("Firefox on Linux", "203.0.113.5")
    assert row.created_at == family.created_at
    assert row.last_active == family.rotated_at.replace(
        minute=0, second=0, microsecond=0
    )


def test_session_that_never_refreshed_was_active_at_its_login(user):
    """Until the first refresh the login is the last that is known of a session."""
    family = SessionFamilyFactory.create(user=user, rotated_at=None)

    (row,) = survey_sessions(user_pk=user.pk).sessions

    assert row.last_active == family.created_at.replace(
        minute=0, second=0, microsecond=0
    )


@pytest.mark.parametrize("current", [True, False])
def test_pages_hold_each_session_once(user, current):
    """Pages of fifty show each session once, and the current one on the first."""
    SessionFamilyFactory.create_batch(119, user=user)
    oldest = SessionFamilyFactory.create(user=user, created_at=timezone.now() - 9 * DAY)
    stolen(user)
    asking = oldest.pk if current else None
    pages = [survey_sessions(user_pk=user.pk, current=asking)]

    while pages[-1].next:
        pages.append(
            survey_sessions(user_pk=user.pk, current=asking, after=pages[-1].next)
        )

    shown = [row.id for page in pages for row in page.sessions]
    live = SessionFamily.objects.filter(revoked_at=None)
    assert [len(page.sessions) for page in pages] == [50, 50, 20]
    assert [len(page.thefts) for page in pages] == [1, 0, 0]
    assert shown.index(oldest.pk) == (0 if current else 119)
    assert len(set(shown)) == len(shown)
    assert set(shown) == set(live.values_list("pk", flat=True))


def test_sessions_of_one_moment_are_told_apart_by_their_ids(user):
    """A page that ends among sessions of the same moment goes on behind the last."""
    moment = timezone.now() - DAY
    SessionFamilyFactory.create_batch(60, user=user, created_at=moment)

    first = survey_sessions(user_pk=user.pk)
    second = survey_sessions(user_pk=user.pk, after=first.next)

    shown = {row.id for row in (*first.sessions, *second.sessions)}
    assert (len(second.sessions), len(shown)) == (10, 60)


def test_thefts_of_late_are_told_the_newest_first(user):
    """A theft is told for two weeks; other endings, and other users', are not."""
    older, newer = stolen(user, 3 * DAY), stolen(user, 2 * DAY)
    stolen(user, THEFT_NOTICE + TICK)
    stolen(UserFactory.create())
    SessionFamilyFactory.create(
        user=user, revoked_at=timezone.now(), revoked_reason=RevokedReason.STAFF
    )

    overview = survey_sessions(user_pk=user.pk)

    assert [theft.id for theft in overview.thefts] == [newer.pk, older.pk]
    assert overview.thefts[0].ended_at == newer.revoked_at
    assert overview.thefts[0].device == "Firefox on Linux"
    assert overview.sessions == ()


def test_theft_is_told_for_two_weeks_to_the_moment(user, clock):
    """At the end of two weeks a theft is no news any more."""
    stolen(user, timedelta(0))

    clock.forward(THEFT_NOTICE - TICK)
    before = survey_sessions(user_pk=user.pk).thefts
    clock.forward(TICK)
    after = survey_sessions(user_pk=user.pk).thefts

    assert (len(before), len(after)) == (1, 0)


def test_many_thefts_crowd_out_no_session(user):
    """A client that is taken for a thief all the time hides no other session."""
    for minutes in range(60):
        stolen(user, timedelta(minutes=minutes + 1))
    family = SessionFamilyFactory.create(user=user)

    overview = survey_sessions(user_pk=user.pk)

    assert [row.id for row in overview.sessions] == [family.pk]
    assert len(overview.thefts) == 5


def plan_of(sql, params):
    """Return what the database says it will do, as one text."""
    prepare, explain = PLANS[connection.vendor]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(prepare)
        cursor.execute(explain + sql, params)
        return "\n".join(str(row) for row in cursor.fetchall())


def test_sessions_that_ended_are_not_read(user, django_assert_num_queries):
    """One query, by the index on user and revocation, whatever ended before."""
    now = timezone.now()
    SessionFamilyFactory.create_batch(3, user=user)
    SessionFamilyFactory.create_batch(200, user=user, expires_at=now - 20 * DAY)
    SessionFamilyFactory.create_batch(200, user=user, revoked_at=now - 20 * DAY)
    seen = []

    def note(execute, sql, params, many, context):
        seen.append((sql, params))
        return execute(sql, params, many, context)

    with django_assert_num_queries(1), connection.execute_wrapper(note):
        survey_sessions(user_pk=user.pk)

    plan = plan_of(*seen[0])
    assert "rotating_sessions_by_user" in plan
    assert "SCAN rotating_sessions_sessionfamily" not in plan
    assert "Seq Scan" not in plan


def test_survey_without_a_database_is_unavailable(user):
    """A database that fails says nothing about the sessions."""
    with database_down(), pytest.raises(Unavailable):
        survey_sessions(user_pk=user.pk)
