"""A SuperTokens front end as the wire shows it: what it sends, and what it keeps."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

from django.http import HttpResponse

from rotating_sessions.fdi.names import (
    ACCESS_COOKIE,
    ACCESS_HEADER,
    ANTI_CSRF_HEADER,
    FRONT_TOKEN_HEADER,
    REFRESH_COOKIE,
    REFRESH_HEADER,
)
from rotating_sessions.transports import COOKIE, HEADER
from tests.browsing import Api
from tests.factories import PASSWORD

REFRESH = "/auth/session/refresh"
SIGN_OUT = "/auth/signout"
FDI = "rotating_sessions.fdi.middleware.FdiMiddleware"
OURS = "rotating_sessions.middleware.RotatingSessionMiddleware"


def mount(settings: Any) -> None:
    """Make the suite's site one that SuperTokens front ends use."""
    settings.ROOT_URLCONF = "tests.fdi.urls"
    names = list(settings.MIDDLEWARE)
    names.insert(names.index(OURS), FDI)
    settings.MIDDLEWARE = names


class FrontEnd(Api):
    """A client that speaks the contract, in the mode that it prefers."""

    def __init__(self, mode: str = COOKIE, **defaults: Any) -> None:
        super().__init__(**defaults)
        self.mode = mode
        self.tokens: dict[str, str] = {}

    def generic(self, method: str, path: str, *args: Any, **extra: Any) -> Any:
        """Send what the SDK adds, and keep what it keeps."""
        sent = {"HTTP_RID": "anti-csrf", "HTTP_ST_AUTH_MODE": self.mode}
        name = REFRESH_HEADER if path == REFRESH else ACCESS_HEADER
        if self.tokens.get(name):
            sent["HTTP_AUTHORIZATION"] = f"Bearer {self.tokens[name]}"
        if self.tokens.get(ANTI_CSRF_HEADER):
            sent["HTTP_ANTI_CSRF"] = self.tokens[ANTI_CSRF_HEADER]
        sent |= extra
        dropped = {key: value for key, value in sent.items() if value is not None}
        response = super().generic(method, path, *args, **dropped)
        for name in (ACCESS_HEADER, REFRESH_HEADER, ANTI_CSRF_HEADER):
            if name in response.headers:
                self.tokens[name] = response.headers[name]
        return response

    def sign_in(self, user: Any, **extra: Any) -> HttpResponse:
        """Sign in by the site's own endpoint."""
        body = {"username": user.get_username(), "password": PASSWORD}
        response = self.send("/api/sign-in", body, **extra)
        assert response.json() == {"status": "OK"}
        return response

    def refresh(self, **extra: Any) -> HttpResponse:
        """Refresh, as the SDK does."""
        return self.generic("POST", REFRESH, **extra)

    def sign_out(self, **extra: Any) -> HttpResponse:
        """Sign out, as the SDK does."""
        return self.generic("POST", SIGN_OUT, **extra)

    def access(self) -> str:
        """Return the access token that the client holds."""
        return self.tokens.get(ACCESS_HEADER) or self.cookies[ACCESS_COOKIE].value

    def refresh_token(self) -> str:
        """Return the refresh token that the client holds."""
        return self.tokens.get(REFRESH_HEADER) or self.cookies[REFRESH_COOKIE].value


def written(response: HttpResponse) -> set[str]:
    """Return the modes in which the response hands out an access token."""
    modes = set()
    if response.headers.get(ACCESS_HEADER):
        modes.add(HEADER)
    if ACCESS_COOKIE in response.cookies and response.cookies[ACCESS_COOKIE].value:
        modes.add(COOKIE)
    return modes


def cleared(response: HttpResponse) -> set[str]:
    """Return the modes that the response makes the client forget."""
    modes = set()
    headers = (ACCESS_HEADER, REFRESH_HEADER)
    if all(response.headers.get(name) == "" for name in headers):
        modes.add(HEADER)
    morsels = [response.cookies.get(name) for name in (ACCESS_COOKIE, REFRESH_COOKIE)]
    epoch = "Thu, 01 Jan 1970 00:00:00 GMT"
    if all(each and each.value == "" and each["expires"] == epoch for each in morsels):
        modes.add(COOKIE)
    return modes


def front_token(response: HttpResponse) -> Any:
    """Return what the front token says, or "remove", or None where there is none."""
    value = response.headers.get(FRONT_TOKEN_HEADER)
    return value if value in {None, "remove"} else json.loads(b64decode(value or ""))
