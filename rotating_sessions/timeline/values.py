"""What the timeline of a session is made of: states, events, and what is on record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from rotating_sessions.clients import describe_device, translate_device
from rotating_sessions.models import RefreshToken, SessionFamily

__all__ = [
    "Event",
    "EventKind",
    "History",
    "State",
    "TokenState",
    "state_of",
    "token_state",
]


class State(TextChoices):
    """Whether a session serves, and what ended it if not."""

    LIVE = "live", _("Live")
    REVOKED = "revoked", _("Revoked")
    IDLE = "idle", _("Idle")
    EXPIRED = "expired", _("Expired")


class EventKind(Enum):
    """What happened; the value is what an export calls it."""

    LOGIN = "login"
    """The session began with a login."""

    VISIT = "visit"
    """The session began without one: it is anonymous."""

    LOGIN_AGAIN = "login_again"
    """The user proved again, within the session, who they are."""

    ISSUED = "issued"
    """A refresh token was issued: by the login, or by a refresh."""

    CONFIRMED = "confirmed"
    """The client showed that it holds the newest token."""

    REUSED = "reused"
    """A token that had been replaced came back: theft."""

    REVOKED = "revoked"
    """The session was ended, for the reason kept with it."""

    ENDED = "ended"
    """The session grew too old, or sat idle for too long."""

    MISSING = "missing"
    """Tokens of which no record is left, or none is shown here."""


class TokenState(TextChoices):
    """What became of a token."""

    CONFIRMED = "confirmed", _("the newest, seen in use")
    UNCONFIRMED = "unconfirmed", _("the newest, not seen in use yet")
    SUPERSEDED = "superseded", _("replaced since")
    DISPLACED = "displaced", _("lost on its way to the client, and replaced")
    REUSED = "reused", _("replaced since, and used again after that")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened, and where and by whom if that is known."""

    at: datetime
    kind: EventKind
    text: str
    generation: int | None = None
    state: TokenState | None = None
    ip_address: str | None = None
    user_agent: str = ""

    @property
    def device(self) -> str:
        """Return the device in the reader's words, or nothing where none is known."""
        known = self.user_agent
        return translate_device(describe_device(known)) if known else ""

    @property
    def is_alarm(self) -> bool:
        """Tell whether this is one of the two ends of a theft."""
        return self.kind is EventKind.REUSED or self.state is TokenState.REUSED


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """
    What is on record of a session's tokens.

    `tokens` come newest first. `reused` is the one that came back, and `replaced_at`
    the moment from which it was worthless; both None where there is none on record.
    `hidden_below` is the generation below which tokens may be on record and yet be left
    out here.
    """

    tokens: Iterable[RefreshToken]
    reused: RefreshToken | None = None
    replaced_at: datetime | None = None
    hidden_below: int = 0


def state_of(family: SessionFamily, now: datetime) -> State:
    """Return the state of a session: of two deadlines the earlier one counts."""
    if family.revoked_at is not None:
        return State.REVOKED
    if now < min(family.expires_at, family.idle_at):
        return State.LIVE
    return State.IDLE if family.idle_at < family.expires_at else State.EXPIRED


def token_state(family: SessionFamily, token: RefreshToken) -> TokenState:
    """Return what became of a token: which ones were lost is known of the last only."""
    if token.reused_at is not None:
        return TokenState.REUSED
    if token.generation >= family.generation:
        seen = family.confirmed_at is not None
        return TokenState.CONFIRMED if seen else TokenState.UNCONFIRMED
    return TokenState.DISPLACED if is_orphan(family, token) else TokenState.SUPERSEDED


def is_orphan(family: SessionFamily, token: RefreshToken) -> bool:
    """Tell whether a token was taken for lost: issued, and replaced before any use."""
    oldest = family.previous if family.previous is not None else family.generation
    return oldest < token.generation < family.generation
