"""End sessions: one, several or all of a user's, for a reason that is kept."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.debug import sensitive_variables

from rotating_sessions import revocations
from rotating_sessions.clients import Client
from rotating_sessions.models import (
    RefreshToken,
    RevokedReason,
    SessionFamily,
)
from rotating_sessions.services.reading import (
    families,
    is_password_unchanged,
    password_state,
    prove_refresh,
    read_key_batches,
    read_user,
    select_sessions,
    sessions_of,
)
from rotating_sessions.services.request_session import read_session
from rotating_sessions.services.transactions import (
    announce,
    failing_clearly,
    run_in_transaction,
    write_database,
)
from rotating_sessions.signals import refresh_token_reused, session_revoked

__all__ = [
    "end_proven_session",
    "keep_session_after_password_change",
    "keep_session_as_django",
    "revoke_all_sessions",
    "revoke_family",
    "revoke_for_reuse",
    "revoke_session",
    "revoke_sessions",
    "revoke_sessions_of_deleted_user",
]

# How many keys one statement names: below the parameter limit of every database.
_BATCH = 10_000


def revoke_family(family: SessionFamily, reason: RevokedReason, now: datetime) -> bool:
    """Revoke a family, within a transaction; tell whether it was this call that did."""
    rows = families().filter(pk=family.pk).not_revoked()
    if rows.update(revoked_at=now, revoked_reason=reason) == 0:
        return False
    _announce_revoked([family], reason, now)
    return True


def revoke_for_reuse(
    family: SessionFamily, generation: int, client: Client, now: datetime
) -> None:
    """Revoke a family for theft, within a transaction, and note who gave it away."""
    if revoke_family(family, RevokedReason.REUSED, now):
        tokens = RefreshToken.objects.using(write_database())
        tokens.filter(family_id=family.pk, generation=generation).update(
            reused_at=now,
            reused_ip_address=client.ip_address,
            reused_user_agent=client.user_agent,
        )
        announce(refresh_token_reused, family, generation=generation)


def revoke_session(
    family_id: UUID, *, reason: RevokedReason, user_pk: str | None = None
) -> bool:
    """
    Revoke one live session, and tell whether there was one to revoke.

    Args:
        family_id: The session.
        reason: Kept with it.
        user_pk: Whose session it must be; None for anybody's.

    Raises:
        Unavailable: The database failed; the session goes on.
    """
    rows = select_sessions(family_id=family_id, user_pk=user_pk)
    return revoke_sessions(rows, reason=reason) == 1


def revoke_all_sessions(
    user_pk: Any, *, reason: RevokedReason, keep: UUID | None = None
) -> int:
    """
    Revoke the live sessions of a user, but the one to keep; return how many.

    Raises:
        ValueError: It is nobody's key.
        Unavailable: The database failed, before or between batches.
    """
    rows = sessions_of(user_pk)
    if keep is not None:
        rows = rows.exclude(pk=keep)
    return revoke_sessions(rows, reason=reason)


def revoke_sessions(rows: QuerySet[SessionFamily], *, reason: RevokedReason) -> int:
    """
    Revoke the sessions of a queryset that are not revoked yet; return how many.

    Durable when it returns, or a part of the caller's transaction. Other processes
    learn of it within POLL_INTERVAL, this one at once.

    Raises:
        Unavailable: The database failed; nothing, or only whole batches, is revoked.
    """
    return sum(
        run_in_transaction(partial(_revoke_batch, batch, reason))
        for batch in read_key_batches(rows, _BATCH)
    )


@sensitive_variables()
def end_proven_session(value: str, *, reason: RevokedReason) -> bool:
    """
    Revoke the session that a refresh token proves; tell whether it was still open.

    Raises:
        InvalidToken: The token proves nothing.
        Unavailable: The database failed; the session goes on.
    """
    with failing_clearly():
        family = prove_refresh(value)
    return revoke_session(family.pk, reason=reason)


def keep_session_after_password_change(
    request: HttpRequest, user: AbstractBaseUser
) -> None:
    """
    Keep the session of this request, and end the user's others, at a new password.

    Call it once the new password is saved, as `update_session_auth_hash` of Django.

    Raises:
        Unavailable: The database failed; call it again.
    """
    claims = getattr(request, "session_family", None)
    kept = claims.family_id if claims is not None else None
    if kept is not None:
        run_in_transaction(partial(_stamp_password, kept, user))
    revoke_all_sessions(user.pk, reason=RevokedReason.PASSWORD_CHANGED, keep=kept)


def keep_session_as_django(request: HttpRequest, auth_hash: str) -> None:
    """
    Keep the session of this request, if a new password with this hash is saved.

    For whoever called Django's `update_session_auth_hash`. What was rolled back since
    then keeps and ends nothing.

    Args:
        request: One whose session and user were read before the password was changed.
        auth_hash: The session auth hash that Django's session has for the new one.

    Raises:
        Unavailable: The database failed; call it again.
    """
    session = read_session(request)
    if session is None:
        return
    with failing_clearly():
        user = read_user(session.user_id)
    if user is None or is_password_unchanged(session, user):
        return
    if constant_time_compare(user.get_session_auth_hash(), auth_hash):
        keep_session_after_password_change(request, user)


def revoke_sessions_of_deleted_user(
    *, instance: AbstractBaseUser, **kwargs: Any
) -> None:
    """Revoke a user's sessions before the user is deleted (receives `pre_delete`)."""
    rows = families().filter(user_id=instance.pk)
    revoke_sessions(rows, reason=RevokedReason.USER_DELETED)


def _stamp_password(family_id: UUID, user: AbstractBaseUser) -> None:
    rows = families().filter(pk=family_id, user_id=user.pk).not_revoked()
    rows.update(auth_hash=password_state(user))


def _revoke_batch(keys: list[UUID], reason: RevokedReason) -> int:
    now = timezone.now()
    rows = families().filter(pk__in=keys).not_revoked()
    # Locked in one order, so that two of these wait for each other, not for ever.
    found = list(rows.order_by("pk").select_for_update().only("pk", "user_pk"))
    changed = families().filter(pk__in=[family.pk for family in found])
    changed.update(revoked_at=now, revoked_reason=reason)
    _announce_revoked(found, reason, now)
    return len(found)


def _announce_revoked(
    found: list[SessionFamily], reason: RevokedReason, now: datetime
) -> None:
    keys = [family.pk for family in found]
    transaction.on_commit(partial(revocations.add, keys, now), using=write_database())
    for family in found:
        announce(session_revoked, family, reason=str(reason.value))
