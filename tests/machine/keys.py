"""The site's keys: which are in force, and what each of them proves."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.test import override_settings

__all__ = ["IDLE", "LIMIT", "POLL", "RETENTION", "Key", "Keys", "Stamp"]

IDLE = timedelta(days=2)
ABSOLUTE = timedelta(days=5)
RETENTION = timedelta(days=1)
POLL = timedelta(seconds=5)
LIMIT = 3
HISTORY = 3


@dataclass(frozen=True, slots=True)
class Key:
    """A root key in one epoch."""

    root: str = field(repr=False)
    epoch: int


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a session remembers of its owner's password, and the keys to read it by."""

    password: int
    secret: str
    key: Key


@dataclass(slots=True)
class Keys:
    """SECRET_KEY and its fallbacks and, where a site has them, SIGNING_KEYS."""

    secrets: list[str]
    signing: list[str] = field(default_factory=list)
    epoch: int = 0
    site: dict[str, Any] = field(default_factory=dict)
    _made: int = 0
    _override: Any = None

    @property
    def roots(self) -> list[str]:
        """Return the list that tokens are signed by."""
        return self.signing or self.secrets

    @property
    def ring(self) -> list[Key]:
        """Return the keys in force, that which mints first."""
        return [Key(root, self.epoch) for root in self.roots]

    @property
    def first(self) -> Key:
        """Return the key that mints."""
        return self.ring[0]

    def __contains__(self, key: Key) -> bool:
        return key in self.ring

    def stamp(self, password: int) -> Stamp:
        """Return what a session remembers of a password now."""
        return Stamp(password, self.secrets[0], self.first)

    def know(self, stamp: Stamp, password: int) -> bool:
        """Tell whether the stamp is of this password, and readable still."""
        readable = stamp.secret in self.secrets and stamp.key in self
        return readable and stamp.password == password

    def new_root(self) -> str:
        """Return a root key that was never used before."""
        self._made += 1
        return f"root-key-{self._made}-" + "0123456789abcdef" * 3

    def apply(self) -> None:
        """Put the keys in force, as a deployment does."""
        self.withdraw()
        self._override = override_settings(
            SECRET_KEY=self.secrets[0],
            SECRET_KEY_FALLBACKS=self.secrets[1:],
            ROTATING_SESSIONS={
                "SIGNING_KEYS": self.signing,
                "EPOCH": self.epoch,
                "IDLE_TIMEOUT": IDLE,
                "ABSOLUTE_TIMEOUT": ABSOLUTE,
                "RETENTION": RETENTION,
                "SESSION_LIMIT": LIMIT,
                "TOKEN_HISTORY": HISTORY,
                **self.site,
            },
        )
        self._override.enable()

    def withdraw(self) -> None:
        """Put the suite's own keys back."""
        if self._override is not None:
            self._override.disable()
            self._override = None
