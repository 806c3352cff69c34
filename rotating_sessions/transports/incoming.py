"""Tokens out of requests."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import cast

from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from rotating_sessions.conf import get_conf
from rotating_sessions.exceptions import InvalidToken
from rotating_sessions.signals import report
from rotating_sessions.transports.names import (
    COOKIE,
    HEADER,
    Bearer,
    access_cookie_name,
    cookie_names,
    refresh_cookie_name,
)

__all__ = [
    "carries_session_cookie",
    "hide_cookies",
    "raw_cookies",
    "read_access",
    "read_refresh_cookie",
]


@sensitive_variables()
def read_access(request: HttpRequest) -> Bearer | None:
    """
    Return the access token of the request, or None where it carries none.

    The header wins over the cookie. Another scheme than Bearer is not ours to read.
    A middleware that speaks another protocol sets `request.session_reader`, which is
    called instead, where there is a header or a cookie to read.

    Raises:
        InvalidToken: The header says Bearer, and then not exactly one token.
        SessionError: That reader refuses the request.
    """
    reader = getattr(request, "session_reader", None)
    if reader is not None:
        return cast(Bearer | None, reader(request))
    allowed = get_conf().transports
    scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if HEADER in allowed and scheme.lower() == "bearer":
        token = token.strip()
        if not token or " " in token:
            raise InvalidToken
        return Bearer(token=token, transport=HEADER)
    if COOKIE not in allowed:
        return None
    cookie = _read_cookie(request, access_cookie_name())
    return None if cookie is None else Bearer(token=cookie, transport=COOKIE)


@sensitive_variables()
def read_refresh_cookie(request: HttpRequest) -> str | None:
    """Return the refresh token of the cookie, or None where there is none."""
    if COOKIE not in get_conf().transports:
        return None
    return _read_cookie(request, refresh_cookie_name())


def carries_session_cookie(request: HttpRequest) -> bool:
    """Tell whether the request carries a cookie of ours, however it is spelled."""
    return any(name.strip() in cookie_names() for name, _ in raw_cookies(request))


def hide_cookies(request: HttpRequest) -> None:
    """
    Take the session cookies out of `request.COOKIES`, which error reports print.

    This module reads them from the raw header, and nobody else has to.
    """
    if "rs_" in request.META.get("HTTP_COOKIE", ""):
        for name in cookie_names():
            request.COOKIES.pop(name, None)


def raw_cookies(request: HttpRequest) -> Iterator[tuple[str, str]]:
    """Yield the cookies as sent: Django strips names and keeps the last of a kind."""
    raw = request.META.get("HTTP_COOKIE", "")
    text = raw.encode("latin-1", "replace").decode("utf-8", "replace")
    for chunk in text.split(";"):
        name, separator, value = chunk.strip(" \t").partition("=")
        if separator:
            yield name, value


@sensitive_variables()
def _read_cookie(request: HttpRequest, name: str) -> str | None:
    """
    Return the value of exactly one cookie of exactly this name, or else None.

    A sibling subdomain cannot set `__Host-x`, but it can set `<U+2000>__Host-x`, which
    Django takes for it; and a second cookie of the name is an attack or a fault.
    """
    found = [item for item in raw_cookies(request) if item[0].strip() == name]
    if len(found) == 1 and found[0][0] == name:
        return found[0][1]
    if found:
        report("cookie_refused", level=logging.WARNING, cookie=name)
    return None
