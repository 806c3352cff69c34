"""What an answer holds, read as any client can read it."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from rotating_sessions.exceptions import InvalidToken, SessionError
from rotating_sessions.transports import TokenPair
from tests.machine.facts import Access, Life
from tests.machine.oracle import Answer
from tests.machine.world import World

__all__ = ["classify", "read_access", "read_claims"]


def classify(outcome: TokenPair | SessionError) -> Answer:
    """Return what kind of answer this is."""
    if isinstance(outcome, TokenPair):
        return Answer.FULL if outcome.refresh else Answer.ACCESS_ONLY
    return Answer.INVALID if isinstance(outcome, InvalidToken) else Answer.ENDED


def read_access(world: World, life: Life, pair: TokenPair) -> Access:
    """Return the access token, and see that it is of this family and its owner."""
    claims = read_claims(pair)
    assert (claims["sid"], claims["sub"]) == (life.id, str(life.owner.pk))
    assert len(claims["net"]) == len(life.book.networks)
    issued_at, expires_at = (
        datetime.fromtimestamp(claims[name], tz=UTC) for name in ("iat", "exp")
    )
    life.last_issue = max(issued_at, life.last_issue or issued_at)
    world.watch.accesses.append(pair.access)
    return Access(
        pair.access,
        claims["gen"],
        issued_at,
        expires_at,
        world.keys.first,
        life.book.networks,
    )


def read_claims(pair: TokenPair) -> dict[str, Any]:
    """Return what the access token says, as anybody can read it."""
    part = pair.access.split(".")[1]
    claims = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return {**claims, "sid": UUID(claims["sid"])}
