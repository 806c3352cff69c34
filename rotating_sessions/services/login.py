"""Begin a session: one login, one family, one first pair of tokens."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.signals import user_logged_in
from django.db import DatabaseError, transaction
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from rotating_sessions.clients import Client, describe_device, read_client
from rotating_sessions.conf import get_conf
from rotating_sessions.exceptions import (
    InvalidCredentials,
    InvalidToken,
    Unavailable,
)
from rotating_sessions.models import RevokedReason, SessionFamily, day_of
from rotating_sessions.services.answering import (
    mint_pair,
    record_token,
    remember_network,
)
from rotating_sessions.services.claims import compute_claims
from rotating_sessions.services.reading import (
    families,
    password_state,
    prove_refresh,
    select_sessions,
)
from rotating_sessions.services.revocation import revoke_family, revoke_sessions
from rotating_sessions.services.session_data import JsonObject, check_data
from rotating_sessions.services.transactions import (
    announce,
    failing_clearly,
    run_alone,
    run_in_transaction,
    write_database,
)
from rotating_sessions.signals import report, session_started
from rotating_sessions.tokens.refresh import digest_refresh, encode_refresh
from rotating_sessions.transports import TokenPair, read_refresh_cookie

__all__ = ["announce_login", "start_session"]


@sensitive_variables()
def start_session(
    request: HttpRequest,
    user: AbstractBaseUser,
    *,
    transport: str | None = None,
    lifetime: timedelta | None = None,
    data: JsonObject | None = None,
) -> TokenPair:
    """
    Start a session for a user whose login is complete, every factor of it.

    A login always starts a new family. A refresh cookie that the request carries is
    read for one thing: if it is genuine and the same user's, its family ends. May run
    inside a transaction of the caller's; signals wait for its commit.

    Args:
        request: The request that logs in: its client is what the session is bound to.
        user: The user, saved and active.
        transport: "header" or "cookie"; DEFAULT_TRANSPORT where it is not given.
        lifetime: For how long this session may last, however active. It shortens
            ABSOLUTE_TIMEOUT, and never lengthens it.
        data: What the site keeps with the session: see `change_session_data`.

    Returns:
        The tokens: `transports.write_tokens` puts them on a response.

    Raises:
        ValueError: The transport is not one of TRANSPORTS, the lifetime is none, or
            the data cannot be kept.
        Unavailable: The database failed; outside a transaction of the caller's, which
            gets the database's own error.
    """
    now = timezone.now()
    chosen = transport or get_conf().default_transport
    if chosen not in get_conf().transports:
        raise ValueError(f"TRANSPORTS does not allow {chosen!r}.")
    longest = get_conf().absolute_timeout
    lifetime = longest if lifetime is None else min(lifetime, longest)
    if lifetime <= timedelta():
        raise ValueError("A session lasts for some time, or is not begun.")
    wishes = {"expires_at": now + lifetime, "data": check_data(data or {}) or None}
    return run_in_transaction(partial(_start, request, user, chosen, wishes, now))


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
    request: HttpRequest,
    user: AbstractBaseUser,
    transport: str,
    wishes: dict[str, Any],
    now: datetime,
) -> TokenPair:
    client = read_client(request)
    if client.network is None:
        # A session whose address nobody knows is bound to nothing: perhaps a proxy that
        # the settings do not name.
        report("address_unknown", level=logging.WARNING)
    family, refresh = _create_family(user, client, transport, wishes, now)
    _replace_session(request, family, now)
    if get_conf().session_limit is not None:
        # Once committed: whoever commits last sees all the others, so that no lock has
        # to be held for it, at whichever isolation level. No `partial`: Django 5.2 can
        # only report the failure of what has a name.
        def enforce() -> None:
            _enforce_session_limit(user.pk)

        transaction.on_commit(enforce, using=write_database(), robust=True)
    claims = compute_claims(user)
    return mint_pair(family, claims, generation=0, refresh=refresh, now=now)


def _create_family(
    user: AbstractBaseUser,
    client: Client,
    transport: str,
    wishes: dict[str, Any],
    now: datetime,
) -> tuple[SessionFamily, str]:
    device = describe_device(client.user_agent)
    known_device = families().filter(user_id=user.pk, device=device).exists()
    idle_at = now + get_conf().idle_timeout
    family = SessionFamily(
        user_id=user.pk,
        user_pk=str(user.pk),
        transport=transport,
        device=device,
        auth_hash=password_state(user),
        networks=remember_network("", client),
        auth_time=now,
        created_at=now,
        idle_at=idle_at,
        ends_on=day_of(min(wishes["expires_at"], idle_at)),
        **wishes,
        ip_address=client.ip_address,
        user_agent=client.user_agent,
    )
    token = encode_refresh(
        family_id=family.pk,
        generation=0,
        user_pk=family.user_pk,
        secret=bytes(family.secret),
        issued_at=now,
    )
    family.current_digest = digest_refresh(token)
    family.save(using=write_database(), force_insert=True)
    record_token(family, now)
    announce(session_started, family, new_device=not known_device)
    return family, token


def _replace_session(request: HttpRequest, new: SessionFamily, now: datetime) -> None:
    """End the session that this browser already has of the same user."""
    cookie = read_refresh_cookie(request)
    if cookie is None:
        return
    try:
        family = prove_refresh(cookie)
    except InvalidToken:
        # Whatever the browser carried, it is no session of ours, and is not adopted.
        return
    if family.user_pk == new.user_pk:
        revoke_family(family, RevokedReason.REPLACED, now)


def _enforce_session_limit(user_pk: Any) -> None:
    """End the sessions beyond the limit, those idle for longest first."""
    limit = get_conf().session_limit
    rows = select_sessions(user_pk=user_pk)
    last_active = Coalesce("rotated_at", "created_at")
    newest_first = rows.order_by(last_active.desc(), "-created_at", "-pk")
    beyond = newest_first.values_list("pk", flat=True)[limit:]
    # A read alone can be aborted for others' sake, too, and nobody asks for this twice.
    excess = run_alone(lambda: list(beyond.all()))
    if excess:
        revoke_sessions(rows.filter(pk__in=excess), reason=RevokedReason.SESSION_LIMIT)
