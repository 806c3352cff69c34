"""The hosts of the site: each with a process, a clock and what it knows to be over."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from rotating_sessions import revocations
from rotating_sessions.middleware import RotatingSessionMiddleware
from tests.browsing import FIREFOX, bearer

__all__ = ["Host", "request_from"]


def request_from(address: str, **headers: str) -> HttpRequest:
    """Return a request as a browser at the address sends it."""
    return RequestFactory().post(
        "/anywhere/", REMOTE_ADDR=address, HTTP_USER_AGENT=FIREFOX, **headers
    )


class Host:
    """One process of the site, on a host whose clock is ahead of the first's."""

    def __init__(self, number: int, skew: timedelta) -> None:
        self.number = number
        self.skew = skew
        self.restart()

    def restart(self) -> None:
        """Begin anew, as a process that knows nothing."""
        revocations.reset()
        self._known = revocations._known
        self._middleware = RotatingSessionMiddleware(self._answer)
        # Which family's generation was seen here, and whose end was made here.
        self.seen: set[tuple[int, int]] = set()
        self.told: set[int] = set()

    def enter(self) -> None:
        """Be the process that runs what follows."""
        revocations._known = self._known

    def visit(self, request: HttpRequest) -> str:
        """Return "welcome", "anonymous", or the code of the refusal."""
        response: Any = self._middleware(request)
        if response.status_code == 200:
            return response.content.decode()
        return str(json.loads(response.content)["code"])

    def _answer(self, request: HttpRequest) -> HttpResponse:
        if "HTTP_X_READ_USER" in request.META and not request.user.is_authenticated:
            return HttpResponse("anonymous")
        return HttpResponse("welcome")


def bearing(access: str, address: str, *, reads_user: bool) -> HttpRequest:
    """Return a request with an access token, for a view that reads the user or not."""
    headers = bearer(access) | ({"HTTP_X_READ_USER": "1"} if reads_user else {})
    return request_from(address, **headers)
