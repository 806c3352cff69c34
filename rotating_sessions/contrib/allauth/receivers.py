"""What allauth announces about accounts, told to the sessions."""

from __future__ import annotations

from typing import Any

from allauth.account import signals
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest

from rotating_sessions.exceptions import SessionError, Unavailable
from rotating_sessions.services import (
    failing_clearly,
    keep_session_after_password_change,
    reauthenticate_session,
)

__all__ = ["connect"]


def connect() -> None:
    """Connect the receivers; once more is no error."""
    for changed in (
        signals.password_changed,
        signals.password_set,
        signals.password_reset,
    ):
        changed.connect(_end_others)
    signals.authentication_step_completed.connect(_note_reauthentication)


def _end_others(*, request: HttpRequest, user: AbstractBaseUser, **_: Any) -> None:
    """End the user's sessions at a new password, but the one that asked for it."""
    with failing_clearly():
        keep_session_after_password_change(request, user)


def _note_reauthentication(
    *,
    request: HttpRequest,
    user: AbstractBaseUser,
    reauthenticated: bool = False,
    **_: Any,
) -> None:
    """Count a factor that is asked for again as a login of this session."""
    if not reauthenticated:
        return
    try:
        # By the row: what is recent asks that, and the next refresh tells the client.
        with failing_clearly():
            reauthenticate_session(request, user)
    except Unavailable:
        raise
    except SessionError:
        # The session is none of ours, or is over: the next request hears of that.
        return
