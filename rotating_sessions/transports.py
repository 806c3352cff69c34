"""Tokens in and out of HTTP messages: the header and the cookie transport."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from django.http import HttpRequest, HttpResponseBase, JsonResponse

from rotating_sessions.conf import get_conf
from rotating_sessions.exceptions import InvalidToken, SessionError
from rotating_sessions.signals import report

__all__ = [
    "COOKIE",
    "HEADER",
    "Bearer",
    "TokenPair",
    "access_cookie_name",
    "carries_session_cookie",
    "clear_cookies",
    "forbid_caching",
    "read_access",
    "read_refresh_cookie",
    "refresh_cookie_name",
    "refuse",
    "write_tokens",
]

HEADER = "header"
COOKIE = "cookie"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPair:
    """
    What a login or a refresh hands out.

    `refresh` is None in an access-only answer: the client keeps the one it has.
    `refresh_expires_at` is the moment that ends the family if it is not refreshed.
    """

    access: str = field(repr=False)
    refresh: str | None = field(repr=False)
    transport: str
    access_lifetime: timedelta
    refresh_lifetime: timedelta

    def body(self) -> dict[str, object]:
        """Return the JSON body: in cookie transport no token is ever in it."""
        seconds = int(self.access_lifetime.total_seconds())
        if self.transport == COOKIE:
            return {"expires_in": seconds}
        tokens = {"access": self.access, "refresh": self.refresh}
        given = {name: token for name, token in tokens.items() if token is not None}
        return {**given, "expires_in": seconds}


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


def read_access(request: HttpRequest) -> Bearer | None:
    """
    Return the access token of the request, or None where it carries none.

    The header wins over the cookie. Another scheme than Bearer is not ours to read.

    Raises:
        InvalidToken: The header says Bearer, and then not exactly one token.
    """
    allowed = get_conf().transports
    scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if HEADER in allowed and scheme.lower() == "bearer":
        token = token.strip()
        if not token or " " in token:
            raise InvalidToken
        return Bearer(token=token, transport=HEADER)
    if COOKIE in allowed:
        cookie = _read_cookie(request, access_cookie_name())
        if cookie is not None:
            return Bearer(token=cookie, transport=COOKIE)
    return None


def read_refresh_cookie(request: HttpRequest) -> str | None:
    """Return the refresh token of the cookie, or None where there is none."""
    if COOKIE not in get_conf().transports:
        return None
    return _read_cookie(request, refresh_cookie_name())


def carries_session_cookie(request: HttpRequest) -> bool:
    """Tell whether the request carries a cookie of ours, however it is spelled."""
    ours = {access_cookie_name(), refresh_cookie_name()}
    return any(name.strip() in ours for name, _ in _raw_cookies(request))


def write_tokens(response: HttpResponseBase, pair: TokenPair) -> None:
    """
    Set the cookies of a pair in cookie transport; in header transport do nothing.

    The access cookie lives as long as the refresh cookie: if it went first, an expired
    access token would look like none, and nothing would tell the client to refresh.
    """
    forbid_caching(response)
    if pair.transport != COOKIE:
        return
    _set_cookie(response, access_cookie_name(), pair.access, pair.refresh_lifetime)
    if pair.refresh is not None:
        name = refresh_cookie_name()
        _set_cookie(response, name, pair.refresh, pair.refresh_lifetime)


def clear_cookies(response: HttpResponseBase) -> None:
    """Make the browser forget both session cookies."""
    forbid_caching(response)
    for name in (access_cookie_name(), refresh_cookie_name()):
        _set_cookie(response, name, "", timedelta())


def forbid_caching(response: HttpResponseBase) -> None:
    """Keep the response out of every cache, whatever was said before."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["Pragma"] = "no-cache"


def refuse(error: SessionError) -> JsonResponse:
    """Return the answer to an error: `{"detail", "code"}`, its status and headers."""
    body = {"detail": str(error), "code": error.code}
    response = JsonResponse(body, status=error.status, headers=dict(error.headers))
    forbid_caching(response)
    return response


def _prefix() -> str:
    return "" if get_conf().insecure_cookies else "__Host-"


def _set_cookie(
    response: HttpResponseBase, name: str, value: str, lifetime: timedelta
) -> None:
    response.set_cookie(
        name,
        value,
        max_age=int(lifetime.total_seconds()),
        path="/",
        secure=not get_conf().insecure_cookies,
        httponly=True,
        samesite="Lax",
    )


def _raw_cookies(request: HttpRequest) -> Iterator[tuple[str, str]]:
    """Yield the cookies as sent: Django strips names and keeps the last of a kind."""
    raw = request.META.get("HTTP_COOKIE", "")
    text = raw.encode("latin-1", "replace").decode("utf-8", "replace")
    for chunk in text.split(";"):
        name, separator, value = chunk.strip(" \t").partition("=")
        if separator:
            yield name, value


def _read_cookie(request: HttpRequest, name: str) -> str | None:
    """
    Return the value of exactly one cookie of exactly this name, or else None.

    A sibling subdomain cannot set `__Host-x`, but it can set `<U+2000>__Host-x`, which
    Django takes for it; and a second cookie of the name is an attack or a fault.
    """
    found = [item for item in _raw_cookies(request) if item[0].strip() == name]
    if not found:
        return None
    if len(found) > 1 or found[0][0] != name:
        report("cookie_refused", level=logging.WARNING, cookie=name)
        return None
    return found[0][1]
