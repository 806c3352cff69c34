"""
What happened to sessions, announced once it is committed.

Every signal has the `SessionFamily` class as its sender and carries `family_id` (UUID)
and `user_pk` (str; empty where the session is anonymous). A receiver that raises is
logged and changes nothing.
"""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

from django.db import transaction
from django.dispatch import Signal

__all__ = [
    "announce",
    "lost_commit",
    "network_changed",
    "refresh_token_reused",
    "report",
    "session_refreshed",
    "session_revoked",
    "session_started",
]

# A login made a new family, or a visitor has an anonymous one. Adds `new_device`: no
# earlier session of the user had it; False of an anonymous one.
session_started = Signal()
# A family rotated. Adds `generation`.
session_refreshed = Signal()
# A family was refreshed from a network that it did not know. Adds `ip_address`.
network_changed = Signal()
# A superseded token came back and the family was revoked. Adds `generation`.
refresh_token_reused = Signal()
# A family was revoked. Adds `reason`, a value of `models.RevokedReason`.
session_revoked = Signal()
# A token was newer than the row: the database lost commits. Adds `generation`.
lost_commit = Signal()

_EVENTS = {
    session_started: "session_started",
    session_refreshed: "session_refreshed",
    network_changed: "network_changed",
    refresh_token_reused: "refresh_token_reused",
    session_revoked: "session_revoked",
    lost_commit: "lost_commit",
}
_LEVELS = {refresh_token_reused: logging.WARNING, lost_commit: logging.ERROR}

_logger = logging.getLogger("rotating_sessions.security")


def report(event: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Log a security event with structured fields; never pass a token or a digest."""
    _logger.log(level, event, extra={"event": event, **fields})


def announce(
    signal: Signal,
    *,
    sender: type,
    using: str,
    family_id: UUID,
    user_pk: str,
    **fields: Any,
) -> None:
    """Log the event and send the signal as soon as the transaction has committed."""
    event = _EVENTS[signal]

    def send() -> None:
        report(
            event,
            level=_LEVELS.get(signal, logging.INFO),
            family_id=str(family_id),
            user_pk=user_pk,
            **fields,
        )
        signal.send_robust(sender, family_id=family_id, user_pk=user_pk, **fields)

    transaction.on_commit(send, using=using, robust=True)
