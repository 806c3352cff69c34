"""
What the protocol says of each answer, told from the history of answers alone.

Nothing here looks at a row or at `rotation`. Source: README, "How rotation works".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from tests.acting import SKEW
from tests.machine.facts import Access, Book, Life, Token
from tests.machine.keys import Keys

__all__ = [
    "Answer",
    "Foretold",
    "ForetoldUse",
    "Sight",
    "foretell",
    "foretell_use",
    "forgive_skew",
]

MAX_LOST = 3
MAX_LOST_COMMITS = 2


class Answer(Enum):
    """What a client gets for a refresh token."""

    FULL = auto()
    """A new refresh token and an access token."""

    ACCESS_ONLY = auto()
    """An access token: keep the refresh token you have."""

    INVALID = auto()
    """401: not ours, or signed by a key that is gone."""

    ENDED = auto()
    """401: the session is over."""


@dataclass(frozen=True, slots=True)
class Foretold:
    """An answer, and why the family ends with it, if it does."""

    answer: Answer
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """How a host sees an access token: for the first time, of an end it must know."""

    first: bool
    must_know: bool
    reads_user: bool


@dataclass(frozen=True, slots=True)
class ForetoldUse:
    """What a request may be answered, and what the first sight of its token does."""

    verdicts: set[str]
    confirms: bool = False
    reason: str = ""


def forgive_skew(life: Life, now: datetime) -> datetime:
    """Return the moment, not before a rotation by a host whose clock is ahead."""
    rotated_at = life.book.rotated_at
    if rotated_at is not None and now < rotated_at <= now + SKEW:
        return rotated_at
    return now


def foretell(life: Life, token: Token, now: datetime, keys: Keys) -> Foretold:
    """Return what the protocol answers to this refresh token at this moment."""
    owner, now = life.owner, forgive_skew(life, now)
    if life.purged or token.key not in keys:
        return Foretold(Answer.INVALID)
    if not life.is_open(now):
        return Foretold(Answer.ENDED)
    if not (owner.exists and owner.active):
        return Foretold(Answer.ENDED, "user_inactive")
    if not owner.is_nobody and not keys.know(life.book.stamp, owner.password):
        return Foretold(Answer.ENDED, "password_changed")
    return _foretell_of_the_line(life.book, token, now)


def _foretell_of_the_line(book: Book, token: Token, now: datetime) -> Foretold:
    """Return what becomes of a token by its place among those handed out."""
    in_grace = book.is_in_grace(now)
    parent = book.parent is not None and token.value == book.parent.value
    ahead = token.generation - book.newest.generation
    if token.value == book.newest.value:
        foretold = Foretold(Answer.ACCESS_ONLY if in_grace else Answer.FULL)
    elif parent and in_grace:
        foretold = Foretold(Answer.ACCESS_ONLY)
    elif parent and not book.confirmed and book.lost < MAX_LOST:
        foretold = Foretold(Answer.FULL)
    elif parent and not book.confirmed:
        foretold = Foretold(Answer.ENDED, "unconfirmed_limit")
    elif ahead > MAX_LOST_COMMITS:
        foretold = Foretold(Answer.ENDED)
    elif ahead > 0 and _is_as_young(token, book):
        foretold = Foretold(Answer.FULL)
    else:
        foretold = Foretold(Answer.ENDED, "reused")
    return foretold


def _is_as_young(token: Token, book: Book) -> bool:
    """Compare it with the last rotation, in whole seconds as a token carries."""
    if book.rotated_at is None:
        return True
    issued_at = token.issued_at.replace(microsecond=0)
    return issued_at >= book.rotated_at.replace(microsecond=0) - SKEW


def foretell_use(
    life: Life,
    access: Access,
    *,
    address: str,
    now: datetime,
    keys: Keys,
    sight: Sight,
) -> ForetoldUse:
    """Return what the protocol answers to a request with this access token."""
    if access.key not in keys:
        return ForetoldUse({"invalid_token"})
    welcome = "welcome"
    if sight.reads_user and not life.serves_its_owner(now, keys):
        welcome = "anonymous"
    serves = access.serves(address, now, keys)
    if life.ended or life.purged:
        late = {"session_ended"} if sight.must_know else {"session_ended", welcome}
        return ForetoldUse(late if serves else {"session_ended", "refresh_required"})
    if not serves:
        return ForetoldUse({"refresh_required"})
    if sight.first and life.book.displaces(access.generation):
        return ForetoldUse({"session_ended"}, reason="reused")
    confirms = sight.first and access.generation == life.book.newest.generation
    return ForetoldUse({welcome}, confirms=confirms)
