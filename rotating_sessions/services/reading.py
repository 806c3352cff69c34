"""Read sessions, always from the database that they are written to."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from hmac import compare_digest
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.utils import timezone

from rotating_sessions.exceptions import InvalidToken
from rotating_sessions.models import SessionFamily, SessionFamilyQuerySet
from rotating_sessions.rotation import FamilyState
from rotating_sessions.services.statements import give_user, read_family
from rotating_sessions.services.transactions import (
    failing_clearly,
    run_in_transaction,
    write_database,
)
from rotating_sessions.tokens.access import AccessClaims
from rotating_sessions.tokens.keys import get_key_ring
from rotating_sessions.tokens.refresh import (
    DecodedRefresh,
    decode_refresh,
    verify_refresh,
)

__all__ = [
    "families",
    "family_state",
    "find_family",
    "find_session",
    "is_password_unchanged",
    "lock_family",
    "password_state",
    "prove_refresh",
    "read_key_batches",
    "read_user",
    "select_sessions",
    "sessions_of",
    "verify_family",
]

# What an anonymous session is stamped with.
_NO_PASSWORD = ""


def families(using: str | None = None) -> SessionFamilyQuerySet:
    """Return all families, on the write database unless another is named."""
    return SessionFamily.objects.using(using or write_database())


def find_family(family_id: UUID) -> SessionFamily | None:
    """Return the family and its user in one query, or None where there is none."""
    family = read_family(family_id, write_database())
    if family is None or not _names_one_user(family):
        return None
    return family


def lock_family(family: SessionFamily) -> SessionFamily | None:
    """
    Return the row as it is now, locked until the transaction ends.

    Without the join, that would lock the user too, and whoever waits for it. The user
    is the one of the first read, a moment ago, unless the password changed meanwhile.
    """
    locked = families().select_for_update().filter(pk=family.pk).first()
    if locked is not None:
        same = _same_user_state(locked, family)
        give_user(locked, family.user if same else read_user(locked.user_id))
    return locked


def find_session(claims: AccessClaims) -> SessionFamily | None:
    """
    Return the session of an access token, or None where it no longer serves.

    One joined query tells at once whether the family is revoked or over, and whether
    the user was deactivated or deleted or has another password.

    Raises:
        Unavailable: The database failed, which says nothing about the session.
    """
    with failing_clearly():
        family = find_family(claims.family_id)
    if family is None or family.user_pk != claims.user_pk:
        return None
    state = family_state(family)
    if state.has_ended(timezone.now()) or not state.password_unchanged:
        return None
    return family


def prove_refresh(value: str) -> SessionFamily:
    """
    Return the family that a refresh token proves to belong to.

    Raises:
        InvalidToken: Not a token of ours, or of a family that is gone.
    """
    return verify_family(decode_refresh(value))


def verify_family(token: DecodedRefresh) -> SessionFamily:
    """
    Return the family of a decoded refresh token, with its user, in one query.

    Raises:
        InvalidToken: The family is gone, or the token was not issued for it.
    """
    family = find_family(token.family_id)
    if family is None:
        raise InvalidToken
    verify_refresh(token, user_pk=family.user_pk, secret=bytes(family.secret))
    return family


def select_sessions(
    *, user_pk: Any = None, family_id: UUID | None = None
) -> SessionFamilyQuerySet:
    """Return the live sessions, of one user or one family if these are given."""
    rows = families().live(timezone.now())
    if user_pk is not None:
        rows = rows.filter(user_id=user_pk)
    return rows if family_id is None else rows.filter(pk=family_id)


def sessions_of(user_pk: Any) -> SessionFamilyQuerySet:
    """
    Return the live sessions of one user.

    Raises:
        ValueError: It is nobody's key; what is nobody's is not all anonymous sessions.
    """
    if user_pk is None or user_pk == "":
        raise ValueError("A user has a primary key.")
    return select_sessions(user_pk=user_pk)


def read_key_batches(rows: QuerySet[SessionFamily], size: int) -> Iterator[list[UUID]]:
    """
    Yield the keys that a queryset selects at the first step, so many at a time.

    Millions of them take 16 bytes each. They are read before the first batch, because
    what is done to one may change what the queryset selects.

    Raises:
        Unavailable: The database failed, before the first batch.
    """
    keys = rows.using(write_database()).values_list("pk", flat=True)
    with failing_clearly():
        few = list(keys[: size + 1])
    if len(few) <= size:
        yield from [few] if few else []
        return
    # In a transaction, because a pool of connections may part a cursor from its own.
    with failing_clearly():
        packed = run_in_transaction(partial(_pack, keys, size))
    for start in range(0, len(packed), 16 * size):
        batch = packed[start : start + 16 * size]
        yield [UUID(bytes=batch[i : i + 16]) for i in range(0, len(batch), 16)]


def read_user(pk: Any) -> Any:
    """Return the user as it is now, or None where there is none."""
    # Not by the relation: that would ask the router, who may name a replica.
    users = get_user_model()._base_manager.using(write_database())  # noqa: SLF001
    return users.filter(pk=pk).first()


def family_state(family: SessionFamily) -> FamilyState:
    """Return the row as the rules of `rotation` see it."""
    user = family.user
    # There is nobody to be deactivated, and no password to be changed.
    active = user.is_active if user is not None else family.is_anonymous
    previous_digest = family.previous_digest
    return FamilyState(
        generation=family.generation,
        previous=family.previous,
        current_digest=bytes(family.current_digest),
        previous_digest=None if previous_digest is None else bytes(previous_digest),
        confirmed_at=family.confirmed_at,
        displaced=family.displaced,
        rotated_at=family.rotated_at,
        expires_at=family.expires_at,
        idle_at=family.idle_at,
        revoked_at=family.revoked_at,
        user_active=active,
        password_unchanged=active
        and (user is None or is_password_unchanged(family, user)),
    )


def password_state(user: Any) -> str:
    """Return the keyed hash of the user's session auth hash, to compare with later."""
    if user is None:
        return _NO_PASSWORD
    return get_key_ring().hash_password_state(next(_session_auth_hashes(user)))


def is_password_unchanged(family: SessionFamily, user: Any) -> bool:
    """Tell whether the user has the password that the session was stamped with."""
    hashes = _session_auth_hashes(user)
    return get_key_ring().knows_password_state(family.auth_hash, hashes)


def _pack(keys: QuerySet[SessionFamily, UUID], size: int) -> bytes:
    packed = bytearray()
    for key in keys.iterator(chunk_size=size):
        packed += key.bytes
    return bytes(packed)


def _session_auth_hashes(user: Any) -> Iterator[str]:
    """Yield the user's session auth hash, as every secret key in force makes it."""
    yield user.get_session_auth_hash()
    yield from user.get_session_auth_fallback_hash()


def _same_user_state(now: SessionFamily, before: SessionFamily) -> bool:
    same_password = compare_digest(now.auth_hash, before.auth_hash)
    return same_password and now.user_id == before.user_id


def _names_one_user(family: SessionFamily) -> bool:
    # Else someone with access to the database points their session at another user.
    return family.user_id is None or str(family.user_id) == family.user_pk
