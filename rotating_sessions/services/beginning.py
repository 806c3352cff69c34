"""Write the row of a session that begins, and issue its first refresh token."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.base_user import AbstractBaseUser
from django.utils import timezone

from rotating_sessions.clients import Client, describe_device
from rotating_sessions.conf import get_conf
from rotating_sessions.models import SessionFamily, day_of
from rotating_sessions.services.answering import record_token, remember_network
from rotating_sessions.services.reading import families, password_state
from rotating_sessions.services.session_data import JsonObject
from rotating_sessions.services.transactions import announce, write_database
from rotating_sessions.signals import report, session_started
from rotating_sessions.tokens.refresh import digest_refresh, encode_refresh

__all__ = ["Plan", "begin_family", "plan_session"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a session shall travel, and from when to when it may last."""

    transport: str
    now: datetime
    expires_at: datetime


def plan_session(transport: str | None, lifetime: timedelta | None) -> Plan:
    """
    Return the plan for a session that begins now.

    Raises:
        ValueError: The transport is not one of TRANSPORTS, or the lifetime is none.
    """
    now = timezone.now()
    chosen = transport or get_conf().default_transport
    if chosen not in get_conf().transports:
        raise ValueError(f"TRANSPORTS does not allow {chosen!r}.")
    longest = get_conf().absolute_timeout
    lifetime = longest if lifetime is None else min(lifetime, longest)
    if lifetime <= timedelta():
        raise ValueError("A session lasts for some time, or is not begun.")
    return Plan(transport=chosen, now=now, expires_at=now + lifetime)


def begin_family(
    user: AbstractBaseUser | None, client: Client, plan: Plan, data: JsonObject
) -> tuple[SessionFamily, str]:
    """
    Write a new family, within a transaction; return it with its first refresh token.

    Args:
        user: Whose it is; None for nobody's.
        client: What the session is bound to.
        plan: As `plan_session` made it.
        data: What the site keeps with it.
    """
    if client.network is None:
        # A session whose address nobody knows is bound to nothing: perhaps a proxy that
        # the settings do not name.
        report("address_unknown", level=logging.WARNING)
    device = describe_device(client.user_agent)
    is_new_device = user is not None and not _has_used(user, device)
    idle_at = plan.now + get_conf().idle_timeout
    family = SessionFamily(
        user_id=None if user is None else user.pk,
        user_pk="" if user is None else str(user.pk),
        transport=plan.transport,
        device=device,
        auth_hash=password_state(user),
        networks=remember_network("", client),
        auth_time=plan.now,
        created_at=plan.now,
        idle_at=idle_at,
        expires_at=plan.expires_at,
        ends_on=day_of(min(plan.expires_at, idle_at)),
        data=data or None,
        ip_address=client.ip_address,
        user_agent=client.user_agent,
    )
    token = encode_refresh(
        family_id=family.pk,
        generation=0,
        user_pk=family.user_pk,
        secret=bytes(family.secret),
        issued_at=plan.now,
    )
    family.current_digest = digest_refresh(token)
    family.save(using=write_database(), force_insert=True)
    record_token(family, plan.now)
    announce(session_started, family, new_device=is_new_device)
    return family, token


def _has_used(user: AbstractBaseUser, device: str) -> bool:
    return families().filter(user_id=user.pk, device=device).exists()
