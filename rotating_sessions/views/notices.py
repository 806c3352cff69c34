"""
What a page remembers for the next one, in two cookies of this browser.

One says what was just done, the other which thefts are known. Not in the database: a
thief who is still signed in must not be able to hide a theft from the other browsers.
"""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from rotating_sessions.conf import get_conf
from rotating_sessions.services import THEFT_NOTICE

__all__ = [
    "LIST",
    "Notice",
    "clear_notice",
    "read_dismissed",
    "read_notice",
    "write_dismissed",
    "write_notice",
]

LIST = "rotating_sessions_pages:sessions"

_NOTICE = "rotating_sessions_notice"
_DISMISSED = "rotating_sessions_dismissed"

# For the way over the refresh page. What comes later is no answer to a button any more.
_NOTICE_LIFETIME = timedelta(minutes=1)


class Notice(Enum):
    """What became of the last form: the cookie holds the name, and never a text."""

    ENDED = "ended"
    """One other session was ended."""

    OTHERS_ENDED = "others_ended"
    """Only the one that asked goes on."""

    GONE = "gone"
    """The list was older than the end of the session."""

    RENEWED = "renewed"
    """The form came with an access token that had expired."""

    DISMISSED = "dismissed"
    """The thefts so far are known in this browser."""

    @property
    def text(self) -> str:
        """Return what the next page says."""
        return str(_TEXTS[self])


_TEXTS = {
    Notice.ENDED: _("The session has been ended."),
    Notice.OTHERS_ENDED: _("All other sessions have been ended."),
    Notice.GONE: _("That session had already ended."),
    Notice.RENEWED: _("Your session was renewed. Nothing has been changed yet."),
    Notice.DISMISSED: _("The notice has been closed."),
}


def read_notice(request: HttpRequest) -> Notice | None:
    """Return what was done by the last form, if it was just now."""
    try:
        return Notice(request.COOKIES.get(_NOTICE))
    except ValueError:
        return None


def write_notice(response: HttpResponseBase, notice: Notice) -> None:
    """Let the next page say what was done."""
    _set_cookie(response, _NOTICE, notice.value, _NOTICE_LIFETIME)


def clear_notice(response: HttpResponseBase) -> None:
    """Let no other page say it again."""
    _set_cookie(response, _NOTICE, "", timedelta())


def read_dismissed(request: HttpRequest) -> UUID | None:
    """Return the newest of the thefts that this browser need not show again."""
    try:
        return UUID(request.COOKIES.get(_DISMISSED, ""))
    except ValueError:
        return None


def write_dismissed(response: HttpResponseBase, family_id: UUID) -> None:
    """Show this theft, and older ones, no more in this browser."""
    _set_cookie(response, _DISMISSED, str(family_id), THEFT_NOTICE)


def _set_cookie(
    response: HttpResponseBase, name: str, value: str, lifetime: timedelta
) -> None:
    response.set_cookie(
        name,
        value,
        max_age=int(lifetime.total_seconds()),
        path=reverse(LIST),
        secure=not get_conf().insecure_cookies,
        httponly=True,
        samesite="Lax",
    )
