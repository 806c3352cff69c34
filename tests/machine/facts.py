"""What those outside the server have seen: tokens, users, and session families."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from tests.acting import SKEW, W
from tests.machine.keys import Key, Keys, Stamp

__all__ = ["Access", "Book", "Life", "Owner", "Token"]

MAX_NETWORKS = 4


@dataclass(frozen=True, slots=True)
class Token:
    """A refresh token as an answer brought it."""

    value: str = field(repr=False)
    generation: int
    issued_at: datetime
    key: Key


@dataclass(frozen=True, slots=True)
class Access:
    """An access token as an answer brought it; networks go with the key they need."""

    value: str = field(repr=False)
    generation: int
    issued_at: datetime
    expires_at: datetime
    key: Key
    networks: tuple[tuple[str, Key], ...]

    def serves(self, address: str, now: datetime, keys: Keys) -> bool:
        """Tell whether it has its time still, and may be used from the address."""
        in_time = self.issued_at - SKEW <= now < self.expires_at
        return in_time and any((address, key) in self.networks for key in keys.ring)


@dataclass(slots=True, eq=False)
class Owner:
    """
    A user, from creation to deletion: a primary key may have several, in turn.

    Whoever has not logged in is one with no key, of whom nothing ever changes.
    """

    pk: int | str
    password: int = 0
    active: bool = True
    exists: bool = True

    @property
    def is_nobody(self) -> bool:
        """Tell whether there is no such user."""
        return self.pk == ""


@dataclass(frozen=True, slots=True)
class Book:
    """What a database that lost nothing knows of a family."""

    newest: Token
    stamp: Stamp
    idle_at: datetime
    networks: tuple[tuple[str, Key], ...]
    parent: Token | None = None
    confirmed: bool = False
    lost: int = 0
    rotated_at: datetime | None = None

    def rotate(self, shown: Token, new: Token, **facts: Any) -> Book:
        """Return the book once `new` was handed out for the token shown."""
        again = self.parent is not None and shown.value == self.parent.value
        lost = self.lost + 1 if again else 0
        return replace(
            self, newest=new, parent=shown, confirmed=False, lost=lost, **facts
        )

    def confirm(self) -> Book:
        """Return the book once somebody proved to hold the newest token."""
        return self if self.confirmed else replace(self, confirmed=True, lost=0)

    def meet(self, address: str, keys: Keys) -> Book:
        """Return the book once a client was answered at the address."""
        others = [(a, k) for a, k in self.networks if a != address or k not in keys]
        known = (*others, (address, keys.first))[-MAX_NETWORKS:]
        return replace(self, networks=known)

    def restamp(self, stamp: Stamp) -> Book:
        """Return the book once the session was kept at a new password."""
        return replace(self, stamp=stamp)

    def is_in_grace(self, now: datetime) -> bool:
        """Tell whether the last rotation is less than W ago, and not ahead."""
        if self.rotated_at is None:
            return False
        return timedelta() <= now - self.rotated_at < W

    def displaces(self, generation: int) -> bool:
        """Tell whether a token of the generation was replaced before it was used."""
        if self.parent is None:
            return False
        return self.parent.generation < generation < self.newest.generation


@dataclass(slots=True, eq=False)
class Life:
    """A session family, as those outside the server have seen it."""

    number: int
    id: UUID
    owner: Owner
    transport: str
    born_at: datetime
    expires_at: datetime
    book: Book
    # Which generations were shown to be held, in the history that the database kept.
    proven: set[int] = field(default_factory=set)
    rotations: list[datetime] = field(default_factory=list)
    # Why an honest client could not complain if the session ended.
    excuses: set[str] = field(default_factory=set)
    last_issue: datetime | None = None
    # What the site keeps with it: which visit it goes back to.
    data: dict[str, int] | None = None
    lost_answers: int = 0
    ended: str = ""
    ended_at: datetime | None = None
    ended_after: timedelta = timedelta()
    purged: bool = False

    @property
    def deadline(self) -> datetime:
        """Return when it ends by itself."""
        return min(self.expires_at, self.book.idle_at)

    @property
    def last_active(self) -> datetime:
        """Return when it was last refreshed, or else begun."""
        return self.book.rotated_at or self.born_at

    def is_open(self, now: datetime) -> bool:
        """Tell whether it is neither revoked nor out of time."""
        return not self.ended and not self.purged and now < self.deadline

    def serves_its_owner(self, now: datetime, keys: Keys) -> bool:
        """Tell whether `request.user` is the owner, and not anonymous."""
        owner = self.owner
        if owner.is_nobody:
            return False
        known = keys.know(self.book.stamp, owner.password)
        return self.is_open(now) and owner.exists and owner.active and known
