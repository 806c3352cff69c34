"""
Sessions of visitors who have not logged in, and what becomes of them at the login.

Such a session is a family like any other, but nobody's: it proves no login. All that it
can do for its visitor is to keep the site's data, until a login takes that over.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from rotating_sessions.clients import read_client
from rotating_sessions.conf import get_conf
from rotating_sessions.exceptions import InvalidToken, RefreshRequired
from rotating_sessions.models import RevokedReason, SessionFamily
from rotating_sessions.services.answering import mint_pair
from rotating_sessions.services.beginning import Plan, begin_family, plan_session
from rotating_sessions.services.claims import compute_claims
from rotating_sessions.services.deciding import decide_refresh
from rotating_sessions.services.reading import families, family_state, prove_refresh
from rotating_sessions.services.revocation import revoke_family
from rotating_sessions.services.session_data import JsonObject, Patch, apply_patch
from rotating_sessions.services.transactions import run_in_transaction
from rotating_sessions.tokens.access import AccessClaims
from rotating_sessions.tokens.refresh import decode_refresh
from rotating_sessions.transports import COOKIE, TokenPair, read_refresh_cookie

__all__ = ["find_anonymous", "start_anonymous_session", "take_over"]


@sensitive_variables()
def start_anonymous_session(
    request: HttpRequest,
    *,
    transport: str | None = None,
    lifetime: timedelta | None = None,
    data: JsonObject | None = None,
) -> TokenPair:
    """
    Start a session for a visitor who has not logged in.

    It rotates, ends and is watched as a user's, and `start_session` takes its data over
    when the visitor logs in; until then `request.user` is anonymous. Nothing limits how
    many there are: begin one when there is something to keep. May run inside a
    transaction of the caller's; signals wait for its commit.

    Args:
        request: The request of the visitor: its client is what the session is bound to.
        transport: As of `start_session`.
        lifetime: As of `start_session`.
        data: What the site keeps with the session: see `change_session_data`.

    Returns:
        The tokens: `transports.write_tokens` puts them on a response.

    Raises:
        ValueError: The request has a session already; the transport is not one of
            TRANSPORTS, the lifetime is none, or the data cannot be kept.
        RefreshRequired: In cookie transport: the visitor has just logged in, and the
            browser may have the user's cookies, which these would replace.
        Unavailable: The database failed; outside a transaction of the caller's, which
            gets the database's own error.
    """
    if getattr(request, "session_family", None) is not None:
        raise ValueError("The request has a session already.")
    plan = plan_session(transport, lifetime)
    kept = apply_patch({}, data or {})
    return run_in_transaction(partial(_start, request, plan, kept))


@sensitive_variables()
def find_anonymous(
    request: HttpRequest, by_cookie: SessionFamily | None
) -> UUID | None:
    """
    Return the id of the anonymous session that a request goes on from, if any.

    By the access token, as the middleware found it; else by the refresh cookie, if that
    would be answered at a refresh: one that was replaced long ago reads nothing.

    Args:
        request: The one that logs in.
        by_cookie: The family that its refresh cookie proves.
    """
    claims: AccessClaims | None = getattr(request, "session_family", None)
    if claims is not None and claims.is_anonymous:
        return claims.family_id
    if by_cookie is None or not by_cookie.is_anonymous:
        return None
    token = decode_refresh(read_refresh_cookie(request) or "")
    decision, _ = decide_refresh(by_cookie, token)
    return None if decision.generation is None else by_cookie.pk


def take_over(family_id: UUID | None, patch: Patch, now: datetime) -> JsonObject:
    """
    End an anonymous session, within a transaction, and return its data, patched.

    Where it has ended already, or is none, the patch alone is what there is. Of two who
    want it at once, one gets it; a change of its data comes before, or is refused.

    Raises:
        ValueError: The outcome is too large, or no JSON; nothing is changed.
    """
    found = None if family_id is None else _lock(family_id, now)
    if found is not None:
        merged = apply_patch(found.data or {}, patch)
        # Not every database can lock.
        if revoke_family(found, RevokedReason.LOGGED_IN, now):
            return merged
    return apply_patch({}, patch)


def _lock(family_id: UUID, now: datetime) -> SessionFamily | None:
    """Return the row, locked, if it is that of a live anonymous session."""
    # Of the locked row: within a transaction of the caller's, all else may be older.
    locked = families().select_for_update().filter(pk=family_id).first()
    if locked is None or not locked.is_anonymous:
        return None
    return None if family_state(locked).has_ended(now) else locked


def _start(request: HttpRequest, plan: Plan, data: JsonObject) -> TokenPair:
    if plan.transport == COOKIE and _has_just_logged_in(request, plan.now):
        raise RefreshRequired
    family, refresh = begin_family(None, read_client(request), plan, data)
    claims = compute_claims(None)
    return mint_pair(family, claims, generation=0, refresh=refresh, now=plan.now)


@sensitive_variables()
def _has_just_logged_in(request: HttpRequest, now: datetime) -> bool:
    """Tell whether a login has taken over from the session of the refresh cookie."""
    try:
        family = prove_refresh(read_refresh_cookie(request) or "")
    except InvalidToken:
        return False
    ended_at = family.revoked_at
    if ended_at is None or family.revoked_reason != RevokedReason.LOGGED_IN:
        return False
    return now - ended_at < get_conf().grace_period
