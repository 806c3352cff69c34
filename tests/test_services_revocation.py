"""Revocation: one session, several or all of a user's, final and for a reason."""

from __future__ import annotations

import itertools
import logging
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError, connection, transaction

from rotating_sessions import revocations
from rotating_sessions.exceptions import InvalidToken, SessionEnded, Unavailable
from rotating_sessions.models import RevokedReason, SessionFamily
from rotating_sessions.services import (
    end_proven_session,
    keep_session_after_password_change,
    keep_session_as_django,
    read_session,
    revoke_all_sessions,
    revoke_session,
    revoke_sessions,
)
from rotating_sessions.signals import session_revoked
from rotating_sessions.transports import TokenPair
from tests.acting import (
    MOMENT,
    Clock,
    W,
    claims_of,
    columns,
    counted,
    heard,
    log_in,
    present,
    reads,
    rows_of,
    twin_of,
    writes,
)
from tests.factories import SessionFamilyFactory, UserFactory

pytestmark = pytest.mark.django_db(transaction=True)

STAFF = RevokedReason.STAFF


@pytest.fixture
def pair(rf: Any, user: Any, clock: Clock) -> TokenPair:
    """Return the pair of a login, a moment ago."""
    pair = log_in(rf, user)
    clock.forward(MOMENT)
    return pair


# One session.


@pytest.mark.parametrize("reason", RevokedReason)
def test_revoked_session_keeps_moment_and_reason(pair, clock, reason):
    """A revocation writes when and why, and nothing else."""
    before = columns(pair)

    ended = revoke_session(claims_of(pair).family_id, reason=reason)

    assert ended
    assert columns(pair) == before | {
        "revoked_at": clock.now,
        "revoked_reason": reason.value,
    }


def test_revocation_is_final(pair, clock):
    """I-1: A second revocation changes neither moment nor reason."""
    key = claims_of(pair).family_id
    revoke_session(key, reason=RevokedReason.LOGOUT)
    before = columns(pair)
    clock.forward(MOMENT)

    ended = revoke_session(key, reason=STAFF)

    assert not ended
    assert columns(pair) == before


@pytest.mark.parametrize("deadline", ["expires_at", "idle_at"])
def test_session_that_ran_out_is_not_revoked(pair, clock, deadline):
    """A session that is over by its deadline is nothing to revoke."""
    rows_of(pair).update(**{deadline: clock.now})

    ended = revoke_session(claims_of(pair).family_id, reason=STAFF)

    assert not ended
    assert columns(pair)["revoked_at"] is None


def test_unknown_session_is_not_revoked():
    """There is no session to end of an id that nobody has."""
    assert not revoke_session(uuid4(), reason=STAFF)


def test_session_of_another_user_is_not_revoked(pair):
    """Who may end only their own sessions does not end another user's."""
    other = UserFactory.create()

    ended = revoke_session(
        claims_of(pair).family_id, reason=STAFF, user_pk=str(other.pk)
    )

    assert not ended
    assert columns(pair)["revoked_at"] is None


def test_own_session_is_revoked(pair, user):
    """A user's own session is theirs to end."""
    ended = revoke_session(
        claims_of(pair).family_id, reason=STAFF, user_pk=str(user.pk)
    )

    assert ended


def test_revoked_session_refreshes_no_more(pair):
    """I-1: Neither token of a revoked session yields anything."""
    newest = present(pair)
    revoke_session(claims_of(pair).family_id, reason=STAFF)

    refusals = []
    for token in (pair, newest):
        with pytest.raises(SessionEnded) as refusal:
            present(token)
        refusals.append(refusal.value)

    assert len(refusals) == 2
    assert columns(pair)["revoked_reason"] == "staff"


# What is known at once, and announced.


def test_process_that_revokes_knows_at_once(pair):
    """I-18: The process that ends a session refuses its access tokens from then on."""
    key = claims_of(pair).family_id
    before = revocations.is_revoked(key)

    revoke_session(key, reason=STAFF)

    assert (before, revocations.is_revoked(key)) == (False, True)


def test_revocation_is_announced_with_its_reason(pair, user, caplog):
    """session_revoked and the log name the session, the user and the reason."""
    caplog.set_level(logging.INFO, "rotating_sessions.security")

    with heard(session_revoked) as events:
        revoke_session(claims_of(pair).family_id, reason=STAFF)

    family_id = claims_of(pair).family_id
    assert events == [
        {"family_id": family_id, "user_pk": str(user.pk), "reason": "staff"}
    ]
    (record,) = caplog.records
    assert record.getMessage() == "session_revoked"
    assert (record.family_id, record.user_pk) == (str(family_id), str(user.pk))
    assert record.reason == "staff"


def test_revocation_that_is_rolled_back_is_not_known(pair):
    """What the caller's transaction takes back was never revoked, nor announced."""
    key = claims_of(pair).family_id

    with heard(session_revoked) as events, transaction.atomic():
        revoke_session(key, reason=STAFF)
        transaction.set_rollback(True)

    assert events == []
    assert not revocations.is_revoked(key)
    assert columns(pair)["revoked_at"] is None


def test_receiver_that_raises_undoes_no_revocation(pair):
    """RT-11: A receiver's error is its own: the session stays revoked."""

    def fail(**fields: Any) -> None:
        raise LookupError

    session_revoked.connect(fail)
    try:
        ended = revoke_session(claims_of(pair).family_id, reason=STAFF)
    finally:
        session_revoked.disconnect(fail)

    assert ended
    assert columns(pair)["revoked_at"] is not None
    assert revocations.is_revoked(claims_of(pair).family_id)


# Several.


def test_all_sessions_of_a_user_are_revoked():
    """RV-02: Logging out everywhere ends, and counts, all live sessions of a user."""
    user = UserFactory.create()
    own = SessionFamilyFactory.create_batch(3, user=user)
    other = SessionFamilyFactory.create()
    SessionFamilyFactory.create(user=user, revoked_at=own[0].created_at)

    count = revoke_all_sessions(user.pk, reason=RevokedReason.LOGOUT_EVERYWHERE)

    assert count == 3
    live = SessionFamily.objects.filter(revoked_at=None)
    assert list(live) == [other]
    assert {
        row.revoked_reason for row in SessionFamily.objects.exclude(pk=other.pk)
    } == {"", "logout_everywhere"}


def test_one_session_is_kept_where_the_user_asks_for_it():
    """RV-02: Logging out everywhere else leaves exactly the session that asks."""
    user = UserFactory.create()
    kept, *_ = SessionFamilyFactory.create_batch(3, user=user)

    count = revoke_all_sessions(user.pk, reason=STAFF, keep=kept.pk)

    assert count == 2
    assert list(SessionFamily.objects.filter(revoked_at=None)) == [kept]


def test_queryset_of_sessions_is_revoked():
    """Staff end the sessions that they select, those already over excepted."""
    families = SessionFamilyFactory.create_batch(4)
    SessionFamily.objects.filter(pk=families[3].pk).update(
        revoked_at=families[3].created_at, revoked_reason="logout"
    )
    chosen = [family.pk for family in families[1:]]

    count = revoke_sessions(SessionFamily.objects.filter(pk__in=chosen), reason=STAFF)

    assert count == 2
    reasons = [SessionFamily.objects.get(pk=f.pk).revoked_reason for f in families]
    assert reasons == ["", "staff", "staff", "logout"]


def test_many_sessions_cost_one_update():
    """TH-06: However many are selected, they are ended by one UPDATE."""
    SessionFamilyFactory.create_batch(12)

    with counted() as verbs:
        count = revoke_sessions(SessionFamily.objects.all(), reason=STAFF)

    assert count == 12
    assert (reads(verbs), writes(verbs)) == (2, 1)


def test_more_sessions_than_one_statement_may_name_are_all_revoked():
    """RV-08: No number of sessions is too large for a database's parameter limit."""
    model = SessionFamilyFactory.build(user=None, user_pk="7", auth_hash="x")
    values = {
        field.attname: getattr(model, field.attname)
        for field in SessionFamily._meta.fields
        if field.attname not in {"id", "secret"}
    }
    rows = (SessionFamily(**values) for _ in range(10_001))
    for batch in iter(lambda: list(itertools.islice(rows, 500)), []):
        SessionFamily.objects.bulk_create(batch)

    with counted() as verbs:
        count = revoke_sessions(SessionFamily.objects.all(), reason=STAFF)

    # The keys are read once more than there are batches, and each batch locks its own.
    assert (reads(verbs), writes(verbs)) == (4, 2)
    assert count == 10_001
    assert not SessionFamily.objects.filter(revoked_at=None).exists()


def test_nothing_selected_is_nothing_revoked():
    """An empty selection costs one query and ends nothing."""
    with counted() as verbs:
        count = revoke_sessions(SessionFamily.objects.all(), reason=STAFF)

    assert count == 0
    assert verbs == {"SELECT": 1}


def broken(execute: Any, sql: str, *args: Any) -> Any:
    raise OperationalError("The server went away.")


def read_only(execute: Any, sql: str, *args: Any) -> Any:
    if not sql.startswith("SELECT"):
        raise OperationalError("The server is read-only.")
    return execute(sql, *args)


@pytest.mark.parametrize("fault", [broken, read_only])
def test_revocation_while_the_database_fails_is_unavailable(pair, fault):
    """A revocation that cannot be read or written says so, and claims nothing."""
    key = claims_of(pair).family_id

    with connection.execute_wrapper(fault), pytest.raises(Unavailable):
        revoke_session(key, reason=STAFF)

    assert not revocations.is_revoked(key)
    assert columns(pair)["revoked_at"] is None


# By token.


@pytest.mark.parametrize("superseded", [False, True])
def test_genuine_token_ends_its_session(pair, clock, superseded):
    """Any genuine token of a session is enough to log out with."""
    if superseded:
        present(pair)
        clock.forward(W)

    ended = end_proven_session(pair.refresh or "", reason=RevokedReason.LOGOUT)

    assert ended
    assert columns(pair)["revoked_reason"] == "logout"


def test_logging_out_twice_is_no_error(pair):
    """A session that is over is not ended again."""
    end_proven_session(pair.refresh or "", reason=RevokedReason.LOGOUT)
    before = columns(pair)

    ended = end_proven_session(pair.refresh or "", reason=STAFF)

    assert not ended
    assert columns(pair) == before


@pytest.mark.parametrize("forged", [{"secret": b"\x03" * 32}, {"user_pk": "4711"}])
def test_forged_token_ends_nothing(pair, forged):
    """RV-11: A token that proves nothing ends nothing."""
    value = twin_of(pair, **forged)

    with pytest.raises(InvalidToken):
        end_proven_session(value, reason=RevokedReason.LOGOUT)

    assert columns(pair)["revoked_at"] is None


# The password.


def request_of(rf: Any, pair: TokenPair | None) -> Any:
    """Return a request as the middleware leaves it."""
    request = rf.post("/password/")
    request.session_family = None if pair is None else claims_of(pair)
    return request


def test_session_that_changes_the_password_is_kept(rf, user, pair, clock):
    """I-23: The session that changes the password goes on, the user's others end."""
    others = [log_in(rf, user) for _ in range(2)]
    stranger = log_in(rf, UserFactory.create())
    user.set_password("another one")
    user.save()

    keep_session_after_password_change(request_of(rf, pair), user)

    assert present(pair).refresh is not None
    assert [columns(other)["revoked_reason"] for other in others] == [
        "password_changed",
        "password_changed",
    ]
    assert columns(stranger)["revoked_at"] is None


@pytest.mark.parametrize("attribute", [True, False])
def test_password_changed_without_a_session_ends_all(rf, user, pair, attribute):
    """A change made outside every session, as by staff, keeps none."""
    user.set_password("another one")
    user.save()
    request = request_of(rf, None)
    if not attribute:
        del request.session_family

    keep_session_after_password_change(request, user)

    assert columns(pair)["revoked_reason"] == "password_changed"


def test_revoked_session_is_not_kept_by_a_password_change(rf, user, pair):
    """I-1: Keeping a session does not bring a revoked one back."""
    request = request_of(rf, pair)
    revoke_session(claims_of(pair).family_id, reason=STAFF)
    before = columns(pair)
    user.set_password("another one")
    user.save()

    keep_session_after_password_change(request, user)

    assert columns(pair) == before


def test_session_of_another_user_is_not_stamped(rf, user, pair):
    """A password change keeps the session only if it is that user's own."""
    other = UserFactory.create()
    before = columns(pair)

    keep_session_after_password_change(request_of(rf, pair), other)

    assert columns(pair) == before


def test_password_change_that_is_rolled_back_changes_nothing(rf, user, pair):
    """In a caller's transaction the keeping is undone with the password."""
    other = log_in(rf, user)
    user.set_password("another one")

    with transaction.atomic():
        user.save()
        keep_session_after_password_change(request_of(rf, pair), user)
        transaction.set_rollback(True)

    assert present(pair).refresh is not None
    assert present(other).refresh is not None


def hash_of(user: Any) -> str:
    """Return what Django's session would hold after a password change."""
    return user.get_session_auth_hash()


def test_password_that_django_noted_keeps_the_session_once_saved(rf, user, pair):
    """I-23: A password that is saved keeps the session whose hash Django has noted."""
    request = request_of(rf, pair)
    read_session(request)
    other = log_in(rf, user)
    user.set_password("another one")
    user.save()

    keep_session_as_django(request, hash_of(user))

    assert present(pair).refresh is not None
    assert columns(other)["revoked_reason"] == "password_changed"


def test_password_that_somebody_else_set_meanwhile_keeps_no_session(rf, user, pair):
    """The hash has to be that of the password which is saved, and of no other."""
    request = request_of(rf, pair)
    read_session(request)
    before = columns(pair)
    user.set_password("another one")
    noted = hash_of(user)
    user.set_password("yet another one")
    user.save()

    keep_session_as_django(request, noted)

    assert columns(pair) == before
    with pytest.raises(SessionEnded):
        present(pair)


def test_session_that_was_over_is_not_kept_as_django_keeps_its_own(rf, user, pair):
    """A session that did not serve when it was read does not come back."""
    user.set_password("another one")
    user.save()
    before = columns(pair)

    keep_session_as_django(request_of(rf, pair), hash_of(user))

    assert columns(pair) == before


# The user.


@pytest.mark.parametrize(
    "delete",
    [
        lambda user: user.delete(),
        lambda user: get_user_model().objects.filter(pk=user.pk).delete(),
    ],
    ids=["one", "bulk"],
)
def test_sessions_of_a_deleted_user_are_revoked(user, pair, clock, delete):
    """RV-06, I-23: Deleting users, one or many, ends their sessions everywhere."""
    stranger = SessionFamilyFactory.create(now=clock.now)

    with heard(session_revoked) as events:
        delete(user)

    row = columns(pair)
    assert (row["revoked_at"], row["revoked_reason"]) == (clock.now, "user_deleted")
    assert row["user_id"] is None
    assert [event["user_pk"] for event in events] == [row["user_pk"]]
    assert revocations.is_revoked(row["id"])
    assert SessionFamily.objects.get(pk=stranger.pk).revoked_at is None


def test_deletion_that_is_rolled_back_ends_nothing(user, pair):
    """A user who stays after all keeps the sessions."""
    key = user.pk

    with transaction.atomic():
        user.delete()
        transaction.set_rollback(True)

    assert columns(pair)["user_id"] == key
    assert present(pair).refresh is not None


def test_user_without_sessions_is_deleted_quietly(user):
    """Deleting a user who has no session announces nothing."""
    with heard(session_revoked) as events:
        user.delete()

    assert events == []


def test_idle_session_of_a_deleted_user_is_revoked_too(user, pair, clock):
    """A session that ran out is revoked with its user, whatever the clock said."""
    rows_of(pair).update(idle_at=clock.now - timedelta(seconds=1))

    user.delete()

    assert columns(pair)["revoked_reason"] == "user_deleted"
