"""What happened to a session, in words: for whoever has to understand a theft."""

from __future__ import annotations

from rotating_sessions.timeline.events import tell
from rotating_sessions.timeline.sentences import explain
from rotating_sessions.timeline.values import (
    Event,
    EventKind,
    History,
    State,
    TokenState,
    state_of,
)

__all__ = [
    "Event",
    "EventKind",
    "History",
    "State",
    "TokenState",
    "explain",
    "state_of",
    "tell",
]
