"""Begin a session: one login, one family, one first pair of tokens."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.signals import user_logged_in
from django.db import DatabaseError, transaction
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from rotating_sessions.clients import read_client
from rotating_sessions.conf import get_conf
from rotating_sessions.exceptions import (
    InvalidCredentials,
    InvalidToken,
    Unavailable,
)
from rotating_sessions.models import RevokedReason, SessionFamily
from rotating_sessions.services.anonymous import find_anonymous, take_over
from rotating_sessions.services.answering import mint_pair
from rotating_sessions.services.beginning import Plan, begin_family, plan_session
from rotating_sessions.services.claims import compute_claims
from rotating_sessions.services.reading import prove_refresh, sessions_of
from rotating_sessions.services.revocation import revoke_family, revoke_sessions
from rotating_sessions.services.session_data import Patch
from rotating_sessions.services.transactions import (
    failing_clearly,
    run_alone,
    run_in_transaction,
    write_database,
)
from rotating_sessions.transports import TokenPair, read_refresh_cookie

__all__ = ["announce_login", "start_session"]


@sensitive_variables()
def start_session(
    request: HttpRequest,
    user: AbstractBaseUser,
    *,
    transport: str | None = None,
    lifetime: timedelta | None = None,
    data: Patch | None = None,
) -> TokenPair:
    """
    Start a session for a user whose login is complete, every factor of it.

    A login always starts a new family. A live anonymous session that the request
    carries ends, and hands its data on. Else a refresh cookie is read for one thing: if
    it is genuine and the same user's, its family ends. May run inside a transaction of
    the caller's; signals wait for its commit.

    Args:
        request: The request that logs in: its client is what the session is bound to.
        user: The user, saved and active.
        transport: "header" or "cookie"; DEFAULT_TRANSPORT where it is not given.
        lifetime: For how long this session may last, however active. It shortens
            ABSOLUTE_TIMEOUT, and never lengthens it.
        data: What the site keeps with the session, merged into what an anonymous one
            hands on: a patch, or a function, as of `change_session_data`.

    Returns:
        The tokens: `transports.write_tokens` puts them on a response.

    Raises:
        ValueError: The user has no primary key, or an empty one; the transport is not
            one of TRANSPORTS, the lifetime is none, or the data, with what was handed
            on, cannot be kept. Nothing is changed.
        Unavailable: The database failed; outside a transaction of the caller's, which
            gets the database's own error.
    """
    if user.pk is None or not str(user.pk).strip():
        raise ValueError("A session is of a user with a primary key.")
    plan = plan_session(transport, lifetime)
    patch = {} if data is None else data
    return run_in_transaction(partial(_start, request, user, plan, patch))


def announce_login(request: HttpRequest, user: AbstractBaseUser) -> None:
    """
    Send Django's `user_logged_in`, at which Django itself notes when that was.

    In a transaction, tried again like any other: several logins of one user at once
    write to the same row.

    Raises:
        InvalidCredentials: The user was deleted meanwhile.
        Unavailable: The database failed.
    """
    send = partial(user_logged_in.send, sender=type(user), request=request, user=user)
    try:
        run_in_transaction(send)
    except (DatabaseError, Unavailable) as error:
        users = type(user)._base_manager.using(user._state.db)  # noqa: SLF001
        with failing_clearly():
            still_there = users.filter(pk=user.pk).exists()
        if still_there:
            raise
        raise InvalidCredentials from error


def _start(
    request: HttpRequest, user: AbstractBaseUser, plan: Plan, patch: Patch
) -> TokenPair:
    now = plan.now
    before = _prove_cookie(request)
    data = take_over(find_anonymous(request, before), patch, now)
    family, refresh = begin_family(user, read_client(request), plan, data)
    if before is not None and before.user_pk == family.user_pk:
        revoke_family(before, RevokedReason.REPLACED, now)
    if get_conf().session_limit is not None:
        # Once committed: whoever commits last sees all the others, so that no lock has
        # to be held for it, at whichever isolation level. No `partial`: Django 5.2 can
        # only report the failure of what has a name.
        def enforce() -> None:
            _enforce_session_limit(user.pk)

        transaction.on_commit(enforce, using=write_database(), robust=True)
    claims = compute_claims(user)
    return mint_pair(family, claims, generation=0, refresh=refresh, now=now)


def _prove_cookie(request: HttpRequest) -> SessionFamily | None:
    """Return the session that this browser already has, by its refresh cookie."""
    cookie = read_refresh_cookie(request)
    if cookie is None:
        return None
    try:
        return prove_refresh(cookie)
    except InvalidToken:
        # Whatever the browser carried, it is no session of ours, and is not adopted.
        return None


def _enforce_session_limit(user_pk: Any) -> None:
    """End the sessions beyond the limit, those idle for longest first."""
    limit = get_conf().session_limit
    rows = sessions_of(user_pk)
    last_active = Coalesce("rotated_at", "created_at")
    newest_first = rows.order_by(last_active.desc(), "-created_at", "-pk")
    beyond = newest_first.values_list("pk", flat=True)[limit:]
    # A read alone can be aborted for others' sake, too, and nobody asks for this twice.
    excess = run_alone(lambda: list(beyond.all()))
    if excess:
        revoke_sessions(rows.filter(pk__in=excess), reason=RevokedReason.SESSION_LIMIT)
