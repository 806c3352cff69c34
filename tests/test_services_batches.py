"""Staff end any number of sessions: batch by batch, each of them durable."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from rotating_sessions.exceptions import Unavailable
from rotating_sessions.models import RevokedReason, SessionFamily
from rotating_sessions.services import revoke_in_batches, revoke_users_in_batches
from tests.browsing import database_down
from tests.factories import SessionFamilyFactory, UserFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rotating_sessions.services.batches._BATCH", 2)


def open_sessions() -> int:
    return SessionFamily.objects.filter(revoked_at=None).count()


def test_sessions_are_ended_batch_by_batch():
    """Each batch ends its sessions before the next begins, and none is forgotten."""
    families = SessionFamilyFactory.create_batch(5)
    SessionFamilyFactory.create(revoked_at=timezone.now())
    left = []

    batches = []
    for batch in revoke_in_batches(
        SessionFamily.objects.select_related("user"), reason=RevokedReason.STAFF
    ):
        batches.append(batch)
        left.append(open_sessions())

    assert [batch.sessions for batch in batches] == [2, 2, 1]
    assert left == [3, 1, 0]
    found = [family.pk for batch in batches for family in batch.rows]
    assert sorted(found) == sorted(family.pk for family in families)
    reasons = set(SessionFamily.objects.values_list("revoked_reason", flat=True))
    assert reasons == {"staff", ""}


def test_users_are_taken_batch_by_batch():
    """The live sessions of each user end, and the users who had any are told."""
    users = UserFactory.create_batch(5)
    for user in users[:3]:
        SessionFamilyFactory.create_batch(2, user=user)
    SessionFamilyFactory.create(user=users[4], idle_at=timezone.now())
    kept = SessionFamilyFactory.create()
    chosen = get_user_model().objects.filter(pk__in=[user.pk for user in users])

    batches = list(revoke_users_in_batches(chosen, reason=RevokedReason.STAFF))

    assert [batch.sessions for batch in batches] == [4, 2, 0]
    assert [batch.rows for batch in batches] == [users[:2], [users[2]], []]
    kept.refresh_from_db()
    assert kept.revoked_at is None
    assert open_sessions() == 2


def test_batches_before_a_failure_stay_revoked():
    """Where the database fails half-way, what was ended stays ended."""
    SessionFamilyFactory.create_batch(4)
    batches = revoke_in_batches(SessionFamily.objects.all(), reason=RevokedReason.STAFF)
    first = next(batches)

    with database_down(), pytest.raises(Unavailable):
        next(batches)

    assert first.sessions == 2
    assert open_sessions() == 2
