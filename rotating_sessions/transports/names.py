"""The names of the transports, of their cookies, and what travels by them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from rotating_sessions.conf import get_conf

__all__ = [
    "COOKIE",
    "HEADER",
    "Bearer",
    "TokenPair",
    "access_cookie_name",
    "cookie_names",
    "refresh_cookie_name",
]

HEADER = "header"
COOKIE = "cookie"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPair:
    """
    What a login or a refresh hands out.

    `refresh` is None in an access-only answer: the client keeps the one it has. After
    `refresh_lifetime` without a refresh the session ends.
    """

    access: str = field(repr=False)
    refresh: str | None = field(repr=False)
    transport: str
    access_lifetime: timedelta
    refresh_lifetime: timedelta

    def body(self) -> dict[str, object]:
        """Return the JSON body: in cookie transport no token is ever in it."""
        body: dict[str, object] = {}
        if self.transport == HEADER:
            body["access"] = self.access
            if self.refresh is not None:
                body["refresh"] = self.refresh
        return body | {"expires_in": int(self.access_lifetime.total_seconds())}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """An access token as a request carried it."""

    token: str = field(repr=False)
    transport: str


def access_cookie_name() -> str:
    """Return the name of the cookie that carries the access token."""
    return _prefix() + "rs_access"


def refresh_cookie_name() -> str:
    """Return the name of the cookie that carries the refresh token."""
    return _prefix() + "rs_refresh"


def cookie_names() -> tuple[str, str]:
    """Return the names of both cookies, the access token's first."""
    return access_cookie_name(), refresh_cookie_name()


def _prefix() -> str:
    return "" if get_conf().insecure_cookies else "__Host-"
