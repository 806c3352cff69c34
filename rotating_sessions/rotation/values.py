"""What the rules look at, and what they answer: frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

__all__ = [
    "CLOCK_SKEW",
    "COMMIT_DELAY",
    "Decision",
    "FamilyState",
    "Policy",
    "PresentedToken",
    "Successor",
    "Use",
    "Verdict",
]

# How far the clocks of two hosts of one site may stand apart.
CLOCK_SKEW = timedelta(seconds=5)

# How long a transaction may take to commit the moments that it has written.
COMMIT_DELAY = timedelta(minutes=5)


class Verdict(Enum):
    """What a presented refresh token leads to."""

    ROTATE = auto()
    """The newest token, due for replacement: issue its successor."""

    RE_ROTATE = auto()
    """The answer with the successor was lost: issue another one."""

    FAST_FORWARD = auto()
    """The database lost the last commits in a failover: the token is the newest."""

    CONFIRM = auto()
    """The newest token, seen for the first time: keep it, and answer access only."""

    KEEP = auto()
    """Nothing to change: answer access only."""

    ENDED = auto()
    """The family is revoked, expired or idle too long."""

    AHEAD = auto()
    """Newer than anything that a failover can explain: refuse, and touch nothing."""

    USER_INACTIVE = auto()
    """The user is gone or deactivated: revoke."""

    PASSWORD_CHANGED = auto()
    """The user has another password than at the login: revoke."""

    UNCONFIRMED_LIMIT = auto()
    """Too many successors in a row were lost: revoke."""

    REUSED = auto()
    """A superseded token came back: theft, revoke."""


class Use(Enum):
    """What the first sight of an access token tells about its family."""

    HARMLESS = auto()
    """Confirmed before, or of an older generation that still has its time."""

    ENDED = auto()
    """The family is revoked."""

    REUSED = auto()
    """Minted with an orphan: a token that was displaced is in somebody's hands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """
    The rules' numbers.

    `grace_period` (W) is how long the immediate predecessor is forgiven after a
    rotation. `max_displaced` bounds the successors lost in a row, `lost_commits` how
    many generations a failover may have taken from the database.
    """

    grace_period: timedelta
    max_displaced: int = 3
    lost_commits: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyState:
    """A session family as the rules see it."""

    generation: int
    previous: int | None
    current_digest: bytes
    previous_digest: bytes | None
    confirmed_at: datetime | None
    displaced: int
    rotated_at: datetime | None
    expires_at: datetime
    idle_at: datetime
    revoked_at: datetime | None
    user_active: bool
    password_unchanged: bool

    def rotated_within(self, span: timedelta, now: datetime) -> bool:
        """Tell whether the last rotation is less than `span` ago, and not ahead."""
        if self.rotated_at is None:
            return False
        return timedelta() <= now - self.rotated_at < span

    def has_ended(self, now: datetime) -> bool:
        """Tell whether the family is revoked, expired or idle too long."""
        return self.revoked_at is not None or now >= min(self.expires_at, self.idle_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentedToken:
    """A refresh token whose MAC is verified. `issued_at` is in whole seconds."""

    generation: int
    digest: bytes
    issued_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Successor:
    """Where the family stands once the next refresh token is issued."""

    generation: int
    previous: int
    previous_digest: bytes
    displaced: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """
    A verdict and what follows from it.

    `generation` is stamped into the access token, and `successor` is the refresh token
    to issue: both None where none is.
    """

    verdict: Verdict
    generation: int | None = None
    successor: Successor | None = None
