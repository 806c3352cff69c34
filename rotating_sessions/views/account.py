"""The page on which users see where they are logged in, and what was stolen."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from rotating_sessions.authentication import read_visit
from rotating_sessions.services import Place, survey_sessions
from rotating_sessions.views.html import Page
from rotating_sessions.views.notices import (
    LIST,
    Notice,
    clear_notice,
    read_dismissed,
    read_notice,
    write_dismissed,
    write_notice,
)

__all__ = ["DismissPage", "SessionsPage"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
# Microseconds and an id. More digits are no moment that Python knows.
_PLACE = re.compile("([0-9]{1,17})-([0-9a-f]{32})")


class SessionsPage(Page):
    """The live sessions of the user, this one first, and thefts of late."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show a page of the list."""
        asked = request.GET.get("after")
        after = None if asked is None else _read_place(asked)
        if after is None and asked is not None:
            return redirect(LIST)
        family = read_visit(request).family
        overview = survey_sessions(
            user_pk=request.user.pk,
            current=None if family is None else family.family_id,
            after=after,
        )
        dismissed = read_dismissed(request)
        context = {
            "sessions": overview.sessions,
            "thefts": list(takewhile(lambda t: t.id != dismissed, overview.thefts)),
            "older": None if overview.next is None else _write_place(overview.next),
            "is_first": after is None,
            "is_known": family is not None,
            "notice": read_notice(request),
        }
        response = render(request, "rotating_sessions/sessions.html", context)
        if context["notice"] is not None:
            clear_notice(response)
        return response


class DismissPage(Page):
    """The notice of thefts, which is shown until it is closed in this browser."""

    def post(self, request: HttpRequest) -> HttpResponse:
        """Remember the newest theft that was shown."""
        response = redirect(LIST)
        try:
            newest = UUID(request.POST.get("theft", ""))
        except ValueError:
            return response
        write_dismissed(response, newest)
        write_notice(response, Notice.DISMISSED)
        return response


def _write_place(place: Place) -> str:
    return f"{(place.created_at - _EPOCH) // _TICK}-{place.id.hex}"


def _read_place(text: str) -> Place | None:
    """Return the place that the text names, or None where it names none."""
    found = _PLACE.fullmatch(text)
    if found is None:
        return None
    created_at = _EPOCH + int(found[1]) * _TICK
    return Place(created_at=created_at, id=UUID(found[2]))
