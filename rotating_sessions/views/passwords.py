"""What the pages share that ask for the password of whoever is logged in."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from rotating_sessions.throttles import throttled_user
from rotating_sessions.views.html import Page
from rotating_sessions.views.notices import clear_notice, read_notice

__all__ = ["MAX_PASSWORD_LENGTH", "PasswordPage"]

# In characters: as many as the login endpoint takes.
MAX_PASSWORD_LENGTH = 4096


class PasswordPage(Page):
    """A form with the password, which says why it is shown once more."""

    template_name: ClassVar[str]

    def throttle_ident(self, request: HttpRequest) -> str:
        """Count guesses of the password together with those at the login."""
        return throttled_user(request, request.user)

    def ask(
        self,
        request: HttpRequest,
        *,
        status: int = 200,
        wait: float | None = None,
        **context: Any,
    ) -> HttpResponse:
        """
        Show the form.

        Args:
            request: Whose password it is.
            status: 200, 403 after a wrong password, 429 after too many.
            wait: Seconds until the next attempt may be made.
            context: What else the template shows.
        """
        notice = read_notice(request)
        context |= {
            "notice": notice,
            "is_wrong": status == 403,
            "is_throttled": status == 429,
        }
        response = render(request, self.template_name, context, status=status)
        if status == 429:
            response.headers["Retry-After"] = str(math.ceil(wait or 1))
        if notice is not None:
            clear_notice(response)
        return response
