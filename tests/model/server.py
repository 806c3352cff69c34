"""
The server of the model: a row, and `decide` of the package itself.

Time is in ticks, and everything is relative to now and to the oldest generation that
matters, so that the states of an endless run are finitely many.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from rotating_sessions.rotation import (
    Decision,
    FamilyState,
    Policy,
    PresentedToken,
    Use,
    Verdict,
    decide_use,
)

__all__ = [
    "AGE_LIMIT",
    "GRACE",
    "Answer",
    "Decide",
    "Row",
    "Token",
    "age_row",
    "present",
    "use",
]

TICK = timedelta(minutes=1)
GRACE = 3
# Ages beyond it are all the same: old.
AGE_LIMIT = 6

_NOW = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
_POLICY = Policy(grace_period=GRACE * TICK)
_FAR = _NOW + timedelta(days=30)

Decide = Callable[[FamilyState, PresentedToken, datetime, Policy], Decision]


@dataclass(frozen=True, slots=True, order=True)
class Token:
    """A refresh token: `branch` tells what was issued before and after a failover."""

    generation: int
    branch: int
    age: int

    @property
    def digest(self) -> bytes:
        """Return a digest that no other token of the family has."""
        return f"{self.branch}:{self.generation}".encode()


@dataclass(frozen=True, slots=True)
class Row:
    """The session family, ages instead of moments; None for never rotated."""

    current: Token
    previous: Token | None = None
    confirmed: bool = False
    displaced: int = 0
    rotated: int | None = None
    revoked: bool = False

    def state(self) -> FamilyState:
        """Return the row as `decide` takes it."""
        return FamilyState(
            generation=self.current.generation,
            previous=self.previous.generation if self.previous else None,
            current_digest=self.current.digest,
            previous_digest=self.previous.digest if self.previous else None,
            confirmed_at=_NOW if self.confirmed else None,
            displaced=self.displaced,
            rotated_at=None if self.rotated is None else _NOW - self.rotated * TICK,
            expires_at=_FAR,
            idle_at=_FAR,
            revoked_at=_NOW if self.revoked else None,
            user_active=True,
            password_unchanged=True,
        )


@dataclass(frozen=True, slots=True, order=True)
class Answer:
    """What a refresh handed out: an access token of a generation, perhaps a token."""

    generation: int
    token: Token | None = None


def present(
    row: Row, token: Token, branch: int, decide: Decide
) -> tuple[Row, Answer | None]:
    """Return the row after a refresh with the token, and the answer, None for 401."""
    presented = PresentedToken(
        generation=token.generation,
        digest=token.digest,
        issued_at=_NOW - token.age * TICK,
    )
    decision = decide(row.state(), presented, _NOW, _POLICY)
    if decision.generation is None:
        ended = decision.verdict in {Verdict.ENDED, Verdict.AHEAD}
        return (row if ended else replace(row, revoked=True)), None
    if decision.successor is None:
        confirms = decision.verdict is Verdict.CONFIRM
        kept = replace(row, confirmed=True, displaced=0) if confirms else row
        return kept, Answer(decision.generation)
    new = Token(decision.successor.generation, branch, 0)
    issued = Row(
        current=new,
        previous=replace(token, age=0),
        displaced=decision.successor.displaced,
        rotated=0,
    )
    return issued, Answer(decision.generation, new)


def use(row: Row, generation: int) -> tuple[Row, bool]:
    """Return the row after an access token's first use, and whether it served."""
    newest = generation == row.current.generation and not row.confirmed
    if newest and not row.revoked:
        return replace(row, confirmed=True, displaced=0), True
    verdict = decide_use(row.state(), generation)
    if verdict is Use.REUSED:
        return replace(row, revoked=True), False
    return row, verdict is Use.HARMLESS


def age_row(row: Row, limit: int = AGE_LIMIT) -> Row:
    """Return the row a tick later; beyond the limit all ages are the same."""
    rotated = None if row.rotated is None else min(row.rotated + 1, limit)
    return replace(row, rotated=rotated)
