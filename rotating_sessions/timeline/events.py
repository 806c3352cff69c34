"""A session and its tokens as a list of what happened, the newest first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from heapq import merge
from operator import attrgetter

from django.utils.translation import gettext as _

from rotating_sessions.models import RefreshToken, SessionFamily
from rotating_sessions.timeline.values import (
    Event,
    EventKind,
    History,
    State,
    state_of,
    token_state,
)

__all__ = ["tell"]


def tell(family: SessionFamily, history: History, now: datetime) -> Iterator[Event]:
    """Yield what happened, the newest first; reads `history.tokens` only once."""
    # Of what happened at one moment, the last of these came first.
    return merge(
        _tell_end(family, now),
        _tell_reuse(history),
        _tell_tokens(family, history),
        sorted(_tell_rest(family), key=attrgetter("at"), reverse=True),
        key=attrgetter("at"),
        reverse=True,
    )


def _tell_tokens(family: SessionFamily, history: History) -> Iterator[Event]:
    expected, at = family.generation, family.rotated_at or family.created_at
    for token in history.tokens:
        if token.generation < expected:
            yield _missing(token.generation + 1, expected, at, history.hidden_below)
        yield _issued(family, token)
        expected, at = token.generation - 1, token.issued_at
    if expected >= 0:
        yield _missing(0, expected, at, history.hidden_below)


def _tell_reuse(history: History) -> Iterator[Event]:
    token = history.reused
    if token is not None and token.reused_at is not None:
        yield Event(
            at=token.reused_at,
            kind=EventKind.REUSED,
            text=_("Theft: token %(generation)d came back")
            % {"generation": token.generation},
            generation=token.generation,
            ip_address=token.reused_ip_address,
            user_agent=token.reused_user_agent,
        )


def _tell_end(family: SessionFamily, now: datetime) -> Iterator[Event]:
    state = state_of(family, now)
    if family.revoked_at is not None:
        # The reasons read as what happened.
        text = family.get_revoked_reason_display() or str(state.label)
        yield Event(at=family.revoked_at, kind=EventKind.REVOKED, text=text)
    elif state is not State.LIVE:
        ended_at = min(family.expires_at, family.idle_at)
        text = _("Ended: %(reason)s") % {"reason": state.label}
        yield Event(at=ended_at, kind=EventKind.ENDED, text=text)


def _tell_rest(family: SessionFamily) -> Iterator[Event]:
    if family.is_anonymous:
        text = _("Began, without a login")
        yield Event(at=family.created_at, kind=EventKind.VISIT, text=text)
    else:
        yield Event(at=family.created_at, kind=EventKind.LOGIN, text=_("Logged in"))
    if family.auth_time > family.created_at:
        text = _("Logged in again, in the same session")
        yield Event(at=family.auth_time, kind=EventKind.LOGIN_AGAIN, text=text)
    if family.confirmed_at is not None:
        text = _("Token %(generation)d was first seen in use")
        yield Event(
            at=family.confirmed_at,
            kind=EventKind.CONFIRMED,
            text=text % {"generation": family.generation},
            generation=family.generation,
        )


def _issued(family: SessionFamily, token: RefreshToken) -> Event:
    return Event(
        at=token.issued_at,
        kind=EventKind.ISSUED,
        text=_("Token %(generation)d issued") % {"generation": token.generation},
        generation=token.generation,
        state=token_state(family, token),
        ip_address=token.ip_address,
        user_agent=token.user_agent,
    )


def _missing(first: int, last: int, at: datetime, hidden_below: int) -> Event:
    text = _("Tokens %(first)d to %(last)d: no record is left")
    if last < hidden_below:
        text = _("Tokens %(first)d to %(last)d: not shown here, see the export")
    text %= {"first": first, "last": last}
    return Event(at=at, kind=EventKind.MISSING, text=text)
