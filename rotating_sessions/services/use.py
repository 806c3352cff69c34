"""The first use of an access token proves which refresh token the client holds."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from django.utils import timezone

from rotating_sessions import revocations
from rotating_sessions.clients import Client
from rotating_sessions.exceptions import (
    RefreshTokenReused,
    SessionEnded,
    SessionError,
)
from rotating_sessions.rotation import Use, decide_use
from rotating_sessions.services.reading import families, family_state, find_family
from rotating_sessions.services.revocation import revoke_for_reuse
from rotating_sessions.services.statements import update_family
from rotating_sessions.services.transactions import (
    failing_clearly,
    run_alone,
    run_durably,
    write_database,
)
from rotating_sessions.tokens.access import AccessClaims

__all__ = ["check_not_revoked", "confirm"]


def confirm(claims: AccessClaims, *, client: Client) -> None:
    """
    Note that the client holds the generation that this access token was minted with.

    Args:
        claims: Of an access token that is good so far.
        client: Who uses it: kept, where that gives a theft away.

    Raises:
        SessionEnded: The family is revoked, or gone.
        RefreshTokenReused: The token beside this one was displaced, and yet is in
            somebody's hands; the session is now revoked.
        Unavailable: The database failed; the access token is as good as it was.
    """
    now = timezone.now()
    if not run_alone(partial(_note, claims, now)):
        # Seen before, or something else than the newest.
        refusal = run_durably(partial(_classify, claims, client, now))
        if refusal is not None:
            raise refusal
    revocations.vouch(claims.family_id, now)


def check_not_revoked(claims: AccessClaims) -> None:
    """
    Read the row of a family that may be revoked, although this process lists it not.

    Raises:
        SessionEnded: The family is revoked, or gone.
        Unavailable: The database failed, and what cannot be known is refused.
    """
    read_at = timezone.now()
    live = families().filter(pk=claims.family_id, user_pk=claims.user_pk)
    with failing_clearly():
        is_live = live.filter(revoked_at=None).exists()
    if not is_live:
        raise SessionEnded
    revocations.vouch(claims.family_id, read_at)


def _note(claims: AccessClaims, now: datetime) -> bool:
    """Confirm the generation, if it is the newest and was not confirmed before."""
    changes = {"confirmed_at": now, "displaced": 0}
    expected = {"generation": claims.generation, "confirmed_at": None}
    return update_family(claims.family_id, changes, expected, write_database())


def _classify(
    claims: AccessClaims, client: Client, now: datetime
) -> SessionError | None:
    family = find_family(claims.family_id)
    if family is None or family.user_pk != claims.user_pk:
        return SessionEnded()
    use = decide_use(family_state(family), claims.generation)
    if use is Use.REUSED:
        revoke_for_reuse(family, claims.generation, client, now)
        return RefreshTokenReused()
    return SessionEnded() if use is Use.ENDED else None
