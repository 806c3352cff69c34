"""What a request carries by the names of the contract, and which mode it wants."""

from __future__ import annotations

from urllib.parse import unquote

from django.http import HttpRequest

from rotating_sessions.conf import get_conf
from rotating_sessions.fdi.names import (
    ACCESS_COOKIE,
    AUTH_MODE_HEADER,
    LEGACY_COOKIE,
    REFRESH_COOKIE,
    TOKEN_COOKIES,
)
from rotating_sessions.transports import COOKIE, HEADER, raw_cookies

__all__ = [
    "bearer_of",
    "carried_modes",
    "carries_access_token",
    "carries_legacy",
    "choose_mode",
    "cookies_of",
    "hide_cookies",
]


def choose_mode(request: HttpRequest) -> str:
    """Return the mode of a new session: what the client prefers, where it may."""
    allowed = get_conf().transports
    wanted = request.headers.get(AUTH_MODE_HEADER)
    if wanted not in {COOKIE, HEADER}:
        wanted = HEADER
    return wanted if wanted in allowed else allowed[0]


def carries_access_token(request: HttpRequest) -> bool:
    """Tell whether the request carries what may be an access token of the contract."""
    return bool(bearer_of(request) or cookies_of(request, ACCESS_COOKIE))


def carries_legacy(request: HttpRequest) -> bool:
    """Tell whether the request carries the cookie of a session before 2022."""
    return bool(cookies_of(request, LEGACY_COOKIE))


def carried_modes(request: HttpRequest) -> set[str]:
    """Return the modes in which the request carries a token of whatever worth."""
    modes = set()
    if bearer_of(request):
        modes.add(HEADER)
    if any(cookies_of(request, name) for name in (ACCESS_COOKIE, REFRESH_COOKIE)):
        modes.add(COOKIE)
    return modes


def bearer_of(request: HttpRequest) -> str:
    """Return the token of the Authorization header, empty where there is none."""
    scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def cookies_of(request: HttpRequest, name: str) -> list[str]:
    """
    Return the values of all cookies of this name that have one.

    Django keeps the last only. Decoded, because other backends encode them.
    """
    return [
        unquote(value)
        for found, value in raw_cookies(request)
        if found == name and value
    ]


def hide_cookies(request: HttpRequest) -> None:
    """Take all tokens out of `request.COOKIES`, which error reports print."""
    raw = request.META.get("HTTP_COOKIE", "")
    for name in TOKEN_COOKIES:
        if name in raw:
            request.COOKIES.pop(name, None)
