"""
Confirm who sits at a session: its `auth_time` is stamped anew, and its family stays.

No refresh token is issued, because none was presented; and an access token only where
a refresh would answer access as well. The absolute deadline stays where it is.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import check_password, get_hasher, identify_hasher
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from rotating_sessions.conf import get_conf
from rotating_sessions.exceptions import (
    NotAuthenticated,
    PasswordRefused,
    RefreshRequired,
    SessionEnded,
    SessionError,
)
from rotating_sessions.models import SessionFamily
from rotating_sessions.rotation import Policy, still_serves
from rotating_sessions.services.answering import mint_pair
from rotating_sessions.services.claims import compute_claims
from rotating_sessions.services.reading import (
    families,
    family_state,
    find_session,
    is_password_unchanged,
    lock_family,
    password_state,
)
from rotating_sessions.services.request_session import (
    read_session,
    replace_session,
)
from rotating_sessions.services.statements import give_user
from rotating_sessions.services.transactions import (
    failing_clearly,
    run_in_transaction,
    write_database,
)
from rotating_sessions.tokens.access import AccessClaims
from rotating_sessions.transports import TokenPair

__all__ = ["reauthenticate_session", "reauthenticate_with_password"]


def reauthenticate_session(request: HttpRequest, user: AbstractBaseUser) -> TokenPair:
    """
    Count what the site has just verified, a passkey say, as a login of this session.

    May run inside a transaction of the caller's.

    Args:
        request: The request whose session it is.
        user: Whom the site has verified, every factor of them.

    Returns:
        An access-only answer: `transports.write_tokens` puts it on a response.

    Raises:
        NotAuthenticated: The request carries no session of ours, or an anonymous one.
        PasswordRefused: The user is not the session's; the session goes on.
        SessionEnded: The session is over, or the user may not log in any more.
        RefreshRequired: The access token is of a generation that was replaced.
        Unavailable: The database failed; the session is as it was.
    """
    claims = _read_claims(request)
    work = partial(_reauthenticate, claims, user)
    return _answer(request, run_in_transaction(work))


@sensitive_variables()
def reauthenticate_with_password(request: HttpRequest, password: str) -> TokenPair:
    """
    Check the password of the session's user, and count it as a login of this session.

    By `authenticate`, so that every backend works and `user_login_failed` is sent. Not
    `user_logged_in`: for its receivers that is a new session.

    Raises:
        NotAuthenticated: The request carries no session of ours, or an anonymous one.
        PasswordRefused: The password is wrong; the session goes on.
        SessionEnded: The session is over, or the user may not log in any more.
        RefreshRequired: The access token is of a generation that was replaced.
        Unavailable: The database failed; the session is as it was.
    """
    claims = _read_claims(request)
    session = read_session(request)
    if session is None:
        raise SessionEnded
    if _is_outdated(cast(AbstractBaseUser, session.user).password):
        work = partial(_check_and_rehash, request, claims, session, password)
        return _answer(request, run_in_transaction(work))
    # A slow hash, or a slow backend, is no reason for a long transaction.
    with failing_clearly():
        outcome = _check_password(request, claims, session, password)
    return _answer(request, outcome)


def _read_claims(request: HttpRequest) -> AccessClaims:
    claims: AccessClaims | None = getattr(request, "session_family", None)
    if claims is None or claims.is_anonymous:
        raise NotAuthenticated
    return claims


def _answer(
    request: HttpRequest, outcome: tuple[SessionFamily, TokenPair] | SessionError
) -> TokenPair:
    if isinstance(outcome, SessionError):
        raise outcome
    # What the rest of this request reads is the login that was just confirmed.
    row, pair = outcome
    replace_session(request, row)
    return pair


def _reauthenticate(
    claims: AccessClaims, user: AbstractBaseUser
) -> tuple[SessionFamily, TokenPair] | SessionError:
    if str(user.pk) != claims.user_pk:
        return PasswordRefused()
    session = find_session(claims)
    locked = None if session is None else lock_family(session)
    return SessionEnded() if locked is None else _stamp(locked, locked.user, claims)


@sensitive_variables()
def _check_and_rehash(
    request: HttpRequest, claims: AccessClaims, session: SessionFamily, password: str
) -> tuple[SessionFamily, TokenPair] | SessionError:
    """
    Check the password at once with the stronger hash that Django then stores.

    Between the two writes the session would be one with another password, and revoked.
    """
    # Of two who store a hash each, for the row to know one, the second has to wait.
    lock_family(session)
    current = find_session(claims)
    if current is None:
        return SessionEnded()
    outcome = _check_password(request, claims, current, password)
    if isinstance(outcome, RefreshRequired | SessionEnded):
        # No hash without its stamp. A wrong password stores none, and what the site
        # notes about it has to stay.
        transaction.set_rollback(True, using=write_database())
    return outcome


@sensitive_variables()
def _check_password(
    request: HttpRequest, claims: AccessClaims, session: SessionFamily, password: str
) -> tuple[SessionFamily, TokenPair] | SessionError:
    before = cast(AbstractBaseUser, session.user)
    name = {get_user_model().USERNAME_FIELD: before.get_username()}
    user = authenticate(request, **name, password=password)
    if user is None or user.pk != before.pk:
        return PasswordRefused()
    # Django's AllowAllUsersModelBackend lets inactive users through.
    if not user.is_active:
        return SessionEnded()
    if not is_password_unchanged(session, user) and not check_password(
        password, before.password
    ):
        # No stronger hash of the same password: another one, set since the row was
        # read, and such a change ends the session.
        return SessionEnded()
    return run_in_transaction(partial(_stamp_checked, session, user, claims))


def _stamp_checked(
    session: SessionFamily, user: AbstractBaseUser, claims: AccessClaims
) -> tuple[SessionFamily, TokenPair] | SessionError:
    locked = lock_family(session)
    if locked is None:
        return SessionEnded()
    # Not as of now: the row has to know the user whose password was checked.
    give_user(locked, session.user)
    return _stamp(locked, user, claims)


def _stamp(
    locked: SessionFamily, user: Any, claims: AccessClaims
) -> tuple[SessionFamily, TokenPair] | SessionError:
    """Stamp a locked row with this moment and the user's password, if it is alive."""
    now = timezone.now()
    state = family_state(locked)
    if state.has_ended(now) or not state.user_active:
        return SessionEnded()
    if not state.password_unchanged:
        # The session was kept through a change of the password that was checked.
        return PasswordRefused()
    policy = Policy(grace_period=get_conf().grace_period)
    if not still_serves(state, claims.generation, now, policy):
        return RefreshRequired()
    locked.auth_time, locked.auth_hash = now, password_state(user)
    rows = families().filter(pk=locked.pk).not_revoked()
    # Not every database can lock.
    if rows.update(auth_time=locked.auth_time, auth_hash=locked.auth_hash) == 0:
        return SessionEnded()
    give_user(locked, user)
    said, generation = compute_claims(user), claims.generation
    pair = mint_pair(locked, said, generation=generation, refresh=None, now=now)
    return locked, pair


def _is_outdated(encoded: str) -> bool:
    """Tell whether Django stores a stronger hash once it has seen the password."""
    preferred = get_hasher()
    try:
        hasher = identify_hasher(encoded)
        return hasher.algorithm != preferred.algorithm or preferred.must_update(encoded)
    except ValueError:
        # Not a hash that any hasher of the site knows: nobody's password.
        return False
