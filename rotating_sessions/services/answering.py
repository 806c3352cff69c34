"""
Write a decision that hands out tokens, and mint them.

Writes are compare-and-set on the row that was decided on: where the row has changed
since, nothing is written and None is returned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from rotating_sessions.clients import Client
from rotating_sessions.conf import get_conf
from rotating_sessions.models import SessionFamily, day_of
from rotating_sessions.rotation import Decision, Successor, Verdict
from rotating_sessions.services.claims import compute_claims
from rotating_sessions.services.reading import password_state
from rotating_sessions.services.statements import (
    insert_token,
    rotate_family,
    update_family,
)
from rotating_sessions.services.transactions import announce, write_database
from rotating_sessions.signals import lost_commit, network_changed, session_refreshed
from rotating_sessions.tokens.access import AccessClaims, encode_access
from rotating_sessions.tokens.claims import SiteClaims
from rotating_sessions.tokens.keys import get_key_ring
from rotating_sessions.tokens.refresh import digest_refresh, encode_refresh
from rotating_sessions.transports import TokenPair

__all__ = ["Turn", "issue", "keep", "mint_pair", "record_token", "remember_network"]

# A laptop between home, work, train and phone; the least recently used drops out.
_MAX_NETWORKS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One pass over a family: the row as read, who asks, and what was decided."""

    family: SessionFamily
    client: Client
    decision: Decision
    now: datetime


def issue(turn: Turn) -> TokenPair | None:
    """Make the decision's successor the newest token, and answer with it."""
    family, now = turn.family, turn.now
    claims = compute_claims(family.user)
    successor = cast(Successor, turn.decision.successor)
    refresh = encode_refresh(
        family_id=family.pk,
        generation=successor.generation,
        user_pk=family.user_pk,
        secret=bytes(family.secret),
        issued_at=now,
    )
    idle_at = now + get_conf().idle_timeout
    # Literals only: MySQL would compute F() from what the same UPDATE has just set.
    changes: dict[str, object] = {
        "generation": successor.generation,
        "previous": successor.previous,
        "current_digest": digest_refresh(refresh),
        "previous_digest": successor.previous_digest,
        "confirmed_at": None,
        "displaced": successor.displaced,
        "rotated_at": now,
        "idle_at": idle_at,
        "ends_on": day_of(min(family.expires_at, idle_at)),
        # Anew each time: a retired secret key's hash is replaced while it still serves.
        "auth_hash": password_state(family.user),
    }
    changes |= _traces(turn)
    token = _ledger_row(family, changes, now)
    expected = _expected(turn)
    if not rotate_family(family.pk, changes, expected, token, write_database()):
        return None
    _adopt(turn, changes)
    announce(session_refreshed, family, generation=family.generation)
    if turn.decision.verdict is Verdict.FAST_FORWARD:
        announce(lost_commit, family, generation=successor.previous)
    return mint_pair(
        family, claims, generation=family.generation, refresh=refresh, now=now
    )


def keep(turn: Turn) -> TokenPair | None:
    """Answer access only; write at most a confirmation and a network."""
    family, generation = turn.family, cast(int, turn.decision.generation)
    claims = compute_claims(family.user)
    changes: dict[str, object] = {}
    if turn.decision.verdict is Verdict.CONFIRM:
        changes = {"confirmed_at": turn.now, "displaced": 0}
    if remember_network(family.networks, turn.client) != family.networks:
        changes |= _traces(turn)
    if changes:
        expected = _expected(turn)
        if not update_family(family.pk, changes, expected, write_database()):
            return None
        _adopt(turn, changes)
    return mint_pair(family, claims, generation=generation, refresh=None, now=turn.now)


def mint_pair(
    family: SessionFamily,
    claims: SiteClaims,
    *,
    generation: int,
    refresh: str | None,
    now: datetime,
) -> TokenPair:
    """
    Return the answer to a login or a refresh, with a new access token.

    Args:
        family: The row as it is committed with this answer.
        claims: The site's own. They are computed before the row is written: an answer
            that the site's function breaks would count as one that was lost.
        generation: That of the refresh token which the client will hold.
        refresh: The refresh token just issued, or None to answer access only.
        now: The moment of the operation.
    """
    # What a session knows from before BIND_NETWORK was turned off binds it no more.
    networks = family.networks.split() if get_conf().bind_network else ()
    deadline = min(family.expires_at, family.idle_at)
    expires_at = min(now + get_conf().access_lifetime, deadline)
    access_claims = AccessClaims(
        family_id=family.pk,
        generation=generation,
        user_pk=family.user_pk,
        issued_at=now,
        expires_at=expires_at,
        auth_time=family.auth_time,
        networks=tuple(networks),
        claims=claims,
    )
    return TokenPair(
        access=encode_access(access_claims),
        refresh=refresh,
        transport=family.transport,
        access_lifetime=expires_at - now,
        refresh_lifetime=deadline - now,
    )


def record_token(family: SessionFamily, now: datetime) -> None:
    """Write the ledger row of a family that begins."""
    insert_token(_ledger_row(family, vars(family), now), write_database())


def remember_network(networks: str, client: Client) -> str:
    """Return the family's networks with the client's as the most recently used."""
    if client.bound_network is None:
        return networks
    hashes = get_key_ring().hash_network(client.bound_network)
    others = [known for known in networks.split() if known not in hashes]
    return " ".join([*others, hashes[0]][-_MAX_NETWORKS:])


def _ledger_row(
    family: SessionFamily, values: Mapping[str, object], now: datetime
) -> dict[str, object]:
    """Return the ledger row of the token that the values of its family name."""
    return {
        "family": family.pk,
        "generation": values["generation"],
        "digest": values["current_digest"],
        "issued_at": now,
        "ip_address": values["ip_address"],
        "user_agent": values["user_agent"],
        "reused_user_agent": "",
    }


def _expected(turn: Turn) -> dict[str, object]:
    """Return what tells that the row is still the one that was decided on."""
    family = turn.family
    # The digest stands for `rotated_at` as well: no rotation leaves it as it was.
    expected: dict[str, object] = {
        "generation": family.generation,
        "current_digest": family.current_digest,
        "networks": family.networks,
        "auth_hash": family.auth_hash,
    }
    if turn.decision.verdict in {Verdict.RE_ROTATE, Verdict.CONFIRM}:
        expected["confirmed_at"] = None
    return expected


def _adopt(turn: Turn, changes: Mapping[str, object]) -> None:
    """Let the family be as it was just written."""
    if _is_new_network(turn):
        announce(network_changed, turn.family, ip_address=turn.client.ip_address)
    for name, value in changes.items():
        setattr(turn.family, name, value)


def _traces(turn: Turn) -> dict[str, object]:
    """Return what a client leaves on the row of its family."""
    return {
        "networks": remember_network(turn.family.networks, turn.client),
        "ip_address": turn.client.ip_address,
        "user_agent": turn.client.user_agent,
    }


def _is_new_network(turn: Turn) -> bool:
    if turn.client.bound_network is None:
        return False
    hashes = get_key_ring().hash_network(turn.client.bound_network)
    return not set(hashes) & set(turn.family.networks.split())
