"""
Worlds that no rule can tell apart, made the same.

The rules compare generations and moments, and nothing depends on how large those are.
A world is therefore renumbered from the oldest generation and the longest ages that
can still decide anything, which leaves finitely many worlds to look at. Nothing that
somebody holds is forgotten here.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from tests.model.server import Answer, Row, Token

__all__ = ["OLDER", "Numbering"]

# Older than the predecessor, now and after any failover: such a refresh token gives its
# bearer away, and an access token does nothing.
OLDER = -1

# The rules forgive a tick where they compare two moments: from two on, all are alike.
_APART = 2


class Numbering:
    """
    New numbers for the generations and ages of one world.

    Args:
        rows: The row, and those that a failover may bring back.
        tokens: Every refresh token that somebody holds or that is under way.
        grace: From this age on, the last rotation is simply long ago.
    """

    def __init__(self, rows: tuple[Row, ...], tokens: Iterable[Token], grace: int):
        self._oldest_newest = min(row.current.generation for row in rows)
        named = {row.current.generation for row in rows}
        named |= {row.previous.generation for row in rows if row.previous}
        self._numbers = _close_gaps(named)
        self._named = sorted(named)
        # Only where a token is ahead of the row does its age matter.
        ages = {t.age for t in tokens if t.generation > self._oldest_newest}
        ages |= {row.rotated for row in rows if row.rotated is not None}
        self._ages = _shorten(ages, grace)

    def generation(self, value: int) -> int:
        """Return the new number; superseded ones between the same two are alike."""
        number = self._numbers.get(value)
        if number is not None:
            return number
        if value < self._named[0]:
            return OLDER
        last = self._named[-1]
        if value > last:
            return self._numbers[last] + value - last
        return self._numbers[max(name for name in self._named if name < value)] + 1

    def token(self, token: Token) -> Token:
        """Return the token in the new numbers."""
        generation = self.generation(token.generation)
        if token.generation > self._oldest_newest:
            return Token(generation, token.branch, self._ages[token.age])
        named = token.generation in self._numbers
        return Token(generation, token.branch if named else 0)

    def answer(self, answer: Answer) -> Answer:
        """Return the answer in the new numbers."""
        token = answer.token and self.token(answer.token)
        return Answer(self.generation(answer.generation), token)

    def row(self, row: Row) -> Row:
        """Return the row in the new numbers."""
        current, previous = row.current, row.previous
        return row._replace(
            current=Token(self._numbers[current.generation], current.branch),
            previous=previous
            and Token(self._numbers[previous.generation], previous.branch),
            rotated=None if row.rotated is None else self._ages[row.rotated],
        )


def _close_gaps(named: set[int]) -> dict[int, int]:
    """Number what rows name from 0, with at most one number left between any two."""
    ordered = sorted(named)
    numbers = {ordered[0]: 0}
    for before, after in pairwise(ordered):
        numbers[after] = numbers[before] + min(after - before, 2)
    return numbers


def _shorten(ages: set[int], grace: int) -> dict[int, int]:
    """Keep ages up to the grace period, and of older ones their order and nearness."""
    short: dict[int, int] = {}
    last, shortened = None, 0
    for age in sorted(ages):
        if last is None:
            shortened = min(age, grace)
        else:
            shortened += min(age - last, max(_APART, grace - shortened))
        short[age] = shortened
        last = age
    return short
