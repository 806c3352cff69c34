"""
The server of the model: a row, and the shipped `decide` and `decide_use` themselves.

What `services` adds to a decision is here too: what it writes, and the clock it reads.
`test_conformance` replays walks through both, and finds them alike.

Values are plain tuples, since millions of them are compared. Time is in ticks, and ages
stand for moments, so that an endless run has finitely many states.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple

from rotating_sessions import rotation
from rotating_sessions.rotation import (
    CLOCK_SKEW,
    Decision,
    FamilyState,
    Policy,
    PresentedToken,
    Use,
    Verdict,
)

__all__ = [
    "SHIPPED",
    "TICK",
    "Answer",
    "Decide",
    "Row",
    "Rules",
    "Server",
    "Token",
    "write_successor",
]

# So that clocks a tick apart are just as far apart as the rules allow.
TICK = CLOCK_SKEW

_NOW = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
_FAR = _NOW + timedelta(days=30)

_NO_ROW_CHANGE = {Verdict.ENDED, Verdict.AHEAD}


class Token(NamedTuple):
    """A refresh token. `branch` counts the failovers before it was issued."""

    generation: int
    branch: int = 0
    age: int = 0

    @property
    def digest(self) -> bytes:
        """Return a digest that no other token of the family has."""
        return b"%d:%d" % (self.branch, self.generation)

    def older(self, ticks: int) -> Token:
        """Return the token that many ticks later."""
        return self._replace(age=self.age + ticks)

    def is_same(self, other: Token) -> bool:
        """Tell whether both are one token, whatever is remembered of its age."""
        return self[:2] == other[:2]


class Row(NamedTuple):
    """The session family; `rotated` is an age, None for never."""

    current: Token
    previous: Token | None = None
    confirmed: bool = False
    displaced: int = 0
    rotated: int | None = None
    revoked: bool = False

    def older(self, ticks: int) -> Row:
        """Return the row that many ticks later."""
        rotated = self.rotated
        return self if rotated is None else self._replace(rotated=rotated + ticks)

    def state(self) -> FamilyState:
        """Return the row as the rules take it."""
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


class Answer(NamedTuple):
    """What a refresh hands out: an access token of a generation, perhaps a token."""

    generation: int
    token: Token | None = None

    def older(self, ticks: int) -> Answer:
        """Return the answer that many ticks later."""
        return self._replace(token=self.token and self.token.older(ticks))


Decide = Callable[[FamilyState, PresentedToken, datetime, Policy], Decision]


def write_successor(row: Row, issued: Row, verdict: Verdict) -> Row:
    """Return the row as `services` writes it where a refresh token is issued."""
    return issued


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What decides, and what `services` makes of it. A mutant replaces one field."""

    decide: Decide = rotation.decide
    decide_use: Callable[[FamilyState, int], Use] = rotation.decide_use
    write: Callable[[Row, Row, Verdict], Row] = write_successor
    forgives_skew: bool = True


SHIPPED = Rules()


class Server:
    """All hosts of a site: they share the row and the rules, and not quite the time."""

    def __init__(self, rules: Rules, *, grace: int) -> None:
        self._rules = rules
        self._policy = Policy(grace_period=grace * TICK)
        # Pure, and asked the same for very many worlds.
        self.present = cache(self._present)
        self.use = cache(self._use)

    def _present(
        self, row: Row, token: Token, branch: int = 0, ahead: int = 0
    ) -> tuple[Row, Answer | None]:
        """
        Return the row after a refresh with the token, and the answer, None for 401.

        Args:
            row: The row as committed.
            token: The token presented.
            branch: How many failovers there have been.
            ahead: By how many ticks the clock of the host that answers is fast.
        """
        ahead = self._read_clock(row, ahead)
        decision = self._decide(row, token, ahead)
        if decision.generation is None:
            keeps = decision.verdict in _NO_ROW_CHANGE
            return (row if keeps else row._replace(revoked=True)), None
        if decision.successor is None:
            if decision.verdict is Verdict.CONFIRM:
                row = row._replace(confirmed=True, displaced=0)
            return row, Answer(decision.generation)
        successor = decision.successor
        issued = Row(
            current=Token(successor.generation, branch),
            previous=Token(successor.previous, token.branch),
            displaced=successor.displaced,
            rotated=-ahead,
        )
        fresh = issued.current._replace(age=-ahead)
        written = self._rules.write(row, issued, decision.verdict)
        return written, Answer(decision.generation, fresh)

    def _use(self, row: Row, generation: int) -> Row:
        """Return the row after the first sight of an access token."""
        if row.revoked:
            return row
        if generation == row.current.generation and not row.confirmed:
            return row._replace(confirmed=True, displaced=0)
        reused = self._rules.decide_use(row.state(), generation) is Use.REUSED
        return row._replace(revoked=True) if reused else row

    def _decide(self, row: Row, token: Token, ahead: int) -> Decision:
        presented = PresentedToken(
            generation=token.generation,
            digest=token.digest,
            issued_at=_NOW - token.age * TICK,
        )
        now = _NOW + ahead * TICK
        return self._rules.decide(row.state(), presented, now, self._policy)

    def _read_clock(self, row: Row, ahead: int) -> int:
        """Return by how much this pass is ahead: a row from a faster host is of now."""
        if row.rotated is None or not self._rules.forgives_skew:
            return ahead
        faster = -row.rotated
        return faster if ahead < faster <= ahead + 1 else ahead
