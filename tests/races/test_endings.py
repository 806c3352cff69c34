"""Whatever ends sessions, while their clients refresh them."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test import override_settings
from django.utils import timezone

from rotating_sessions.exceptions import InvalidToken, SessionEnded, SessionError
from rotating_sessions.models import RevokedReason, SessionFamily, day_of
from rotating_sessions.services import (
    PurgeCount,
    keep_session_after_password_change,
    purge_sessions,
    revoke_all_sessions,
    revoke_session,
)
from rotating_sessions.signals import session_revoked
from rotating_sessions.transports import TokenPair
from tests.acting import claims_of, columns, heard, log_in, present, rows_of
from tests.factories import RefreshTokenFactory, SessionFamilyFactory
from tests.races.racing import (
    THREADS,
    and_then,
    full,
    kinds,
    race,
    refresh_until_ended,
    several_times,
    times,
    wait_a_grace_period,
)

pytestmark = pytest.mark.django_db(transaction=True)

# Revocation.


@several_times
def test_nothing_is_issued_after_a_revocation(first, isolation, attempt):
    """I-1: No refresh that begins after a revocation has committed yields a token."""
    revoked = threading.Event()
    key = claims_of(first).family_id
    revoke = and_then(revoked, lambda: revoke_session(key, reason=RevokedReason.STAFF))

    ended, *seen = race(
        revoke, *times(THREADS - 1, refresh_until_ended, first, revoked)
    )

    assert ended is True
    answers = [outcome for visits in seen for late, outcome in visits if late]
    assert kinds(answers) <= {SessionEnded}
    assert columns(first)["revoked_reason"] == "staff"
    with pytest.raises(SessionEnded):
        present(first)


@several_times
def test_logout_everywhere_overtakes_every_refresh(rf, user, attempt):
    """I-1: All sessions that were live end, whatever their clients do meanwhile."""
    pairs = [log_in(rf, user) for _ in range(THREADS - 1)]

    count, *outcomes = race(
        lambda: revoke_all_sessions(user.pk, reason=RevokedReason.LOGOUT_EVERYWHERE),
        *[lambda held=pair: present(held) for pair in pairs],
    )

    assert count == len(pairs)
    assert kinds(outcomes) <= {TokenPair, SessionEnded}
    for pair in [*pairs, *full(outcomes)]:
        with pytest.raises(SessionEnded):
            present(pair)


@several_times
def test_one_of_many_logouts_ends_the_session(first, attempt):
    """I-2: Of N logouts of one session one ends it, and it is announced once."""
    key = claims_of(first).family_id

    with heard(session_revoked) as events:
        outcomes = race(
            *times(THREADS, lambda: revoke_session(key, reason=RevokedReason.LOGOUT))
        )

    assert sorted(outcomes) == [*[False] * (THREADS - 1), True]
    assert len(events) == 1


@several_times
def test_crossing_logouts_everywhere_do_not_block(rf, user, attempt):
    """I-2: Several who end the same sessions at once end each of them once."""
    for _ in range(6):
        log_in(rf, user)

    counts = race(
        *times(
            THREADS // 2,
            lambda: revoke_all_sessions(user.pk, reason=RevokedReason.STAFF),
        )
    )

    assert sum(counts) == 6


# The session limit.


@several_times
@override_settings(ROTATING_SESSIONS={"SESSION_LIMIT": 3})
def test_concurrent_logins_keep_to_the_limit(rf, user, isolation, attempt):
    """I-2: After N logins at once as many live as may, and not one fewer."""
    outcomes = race(*times(THREADS, log_in, rf, user))

    assert kinds(outcomes) == {TokenPair}
    rows = SessionFamily.objects
    assert rows.count() == THREADS
    assert rows.filter(revoked_at=None).count() == 3
    assert rows.filter(revoked_reason="session_limit").count() == THREADS - 3


# Purge.


@several_times
@override_settings(ROTATING_SESSIONS={"TOKEN_HISTORY": 1})
def test_purge_disturbs_no_refresh(rf, user, attempt):
    """I-2: Sessions are refreshed while others are purged and their ledgers trimmed."""
    live = [log_in(rf, user) for _ in range(THREADS - 4)]
    over = [log_in(rf, user) for _ in range(2)]
    for pair in live:
        present(pair)
        wait_a_grace_period(pair)
    past = timezone.now() - timedelta(days=31)
    for pair in over:
        rows_of(pair).update(idle_at=past, ends_on=day_of(past))

    outcomes = race(
        *times(2, lambda: list(purge_sessions(batch_size=3))),
        *[lambda held=pair: present(held) for pair in [*live, *over]],
    )

    assert kinds(outcomes[2:-2]) == {TokenPair}
    assert all(isinstance(outcome, SessionError) for outcome in outcomes[-2:])
    assert kinds(outcomes[-2:]) <= {InvalidToken, *SessionEnded.__subclasses__()}
    assert SessionFamily.objects.count() == len(live)


@several_times
def test_purges_at_once_delete_each_row_once(user, attempt):
    """Purges that run at the same time share the work, and each row goes once."""
    ended_at = timezone.now() - timedelta(days=31)
    for family in SessionFamilyFactory.create_batch(20, user=user, idle_at=ended_at):
        RefreshTokenFactory.create_batch(3, family=family)

    counts = race(*times(4, lambda: sum(purge_sessions(batch_size=3), PurgeCount())))

    assert sum(counts, PurgeCount()) == PurgeCount(families=20, tokens=60)
    assert not SessionFamily.objects.exists()


@pytest.mark.skipif(
    not connection.features.has_select_for_update_skip_locked,
    reason="SQLite locks no row: a purge takes its turn like any writer",
)
def test_purge_waits_for_nobody(user):
    """What others have locked is left to the next run, and the rest is purged."""
    past = timezone.now() - timedelta(days=31)
    held, _ = SessionFamilyFactory.create_batch(2, user=user, revoked_at=past)
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            SessionFamily.objects.select_for_update().get(pk=held.pk)
            locked.set()
            done.wait(timeout=30)

    def purge() -> PurgeCount:
        locked.wait(timeout=30)
        try:
            return sum(purge_sessions(), PurgeCount())
        finally:
            done.set()

    _, beside = race(hold, purge)

    assert beside == PurgeCount(families=1)
    assert sum(purge_sessions(), PurgeCount()) == PurgeCount(families=1)


# The user.


@several_times
def test_nothing_is_issued_after_the_user_is_deleted(first, user, attempt):
    """I-23: No refresh that begins after the user's deletion yields a token."""
    deleted = threading.Event()

    _, *seen = race(
        and_then(deleted, user.delete),
        *times(THREADS - 1, refresh_until_ended, first, deleted),
    )

    answers = [outcome for visits in seen for late, outcome in visits if late]
    assert kinds(answers) <= {SessionEnded}
    row = columns(first)
    assert (row["user_id"], row["revoked_reason"]) == (None, "user_deleted")


@several_times
def test_nothing_is_issued_after_the_password_changed(first, user, attempt):
    """I-23: No refresh that begins after the new password is saved yields a token."""
    changed = threading.Event()
    user.set_password("another one")

    _, *seen = race(
        and_then(changed, user.save),
        *times(THREADS - 1, refresh_until_ended, first, changed),
    )

    answers = [outcome for visits in seen for late, outcome in visits if late]
    assert kinds(answers) <= {SessionEnded}
    with pytest.raises(SessionEnded):
        present(first)


@several_times
def test_session_kept_at_a_password_change_survives_its_own_refreshes(
    rf, first, user, attempt
):
    """I-23: Refreshes that overlap the password change do not end the session kept."""
    request = rf.post("/password/")
    request.session_family = claims_of(first)
    user.set_password("another one")

    def change() -> None:
        with transaction.atomic():
            user.save()
            keep_session_after_password_change(request, user)

    outcomes = race(*times(THREADS - 1, present, first), change)

    assert kinds(outcomes) == {TokenPair, type(None)}
    assert columns(first)["revoked_at"] is None
    assert present(first).access
