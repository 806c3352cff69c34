"""What the invariants look at: a token that was shown, and the whole database."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from tests.machine.facts import Access, Book, Life, Token
from tests.machine.oracle import Answer

__all__ = ["Row", "Shown", "Watch"]

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A refresh token that was shown, what the world knew before, and the answer."""

    life: Life
    book: Book
    proven: frozenset[int]
    token: Token
    now: datetime
    key_in_force: bool
    answer: Answer
    new: Token | None
    access: Access | None


@dataclass(slots=True, kw_only=True)
class Watch:
    """The database before and after a step, and what was said in between."""

    lives: dict[UUID, Life] = field(default_factory=dict)
    before: dict[UUID, Row] = field(default_factory=dict)
    after: dict[UUID, Row] = field(default_factory=dict)
    ledger: list[Row] = field(default_factory=list)
    issued: list[str] = field(default_factory=list)
    accesses: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    # Whether the step was one that must not write.
    quiet: bool = False

    def open(self) -> list[tuple[Life, Row]]:
        """Return the families that are still there, with their rows."""
        return [
            (life, self.after[key])
            for key, life in self.lives.items()
            if key in self.after
        ]
