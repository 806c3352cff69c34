"""The cookie parser: exactly one cookie of exactly the name, byte for byte."""

from __future__ import annotations

from http import cookies
from io import BytesIO

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest

from rotating_sessions.transports import (
    COOKIE,
    Bearer,
    carries_session_cookie,
    hide_cookies,
    read_access,
    read_refresh_cookie,
)
from tests.fuzz.source import Source

__all__ = ["fuzz"]

NAMES = (b"__Host-rs_access", b"__Host-rs_refresh")
# What some parser or other takes for a space, or for the end of a cookie.
SPACES = [b"", b" ", b"\t", b"\x00", b"\r\n", b"\x0b", b"\x1c", b"\xc2\x85"]
SPACES += [b"\xc2\xa0", b"\xe2\x80\x80", b"\xe3\x80\x80", b"\xa0", b"\xff", b'"', b","]
SIGNS = [b"=", b"", b"==", b" =", b"= ", b":"]
ENDS = [b"; ", b";", b",", b"", b";;", b"\n"]


def fuzz(data: bytes) -> None:
    """Send a Cookie header of anything, or put together from ours and what mars it."""
    source = Source(data)
    raw = source.rest() if source.flag() else _put_together(source)
    request = _request(raw)

    values = {NAMES[0]: read_access(request), NAMES[1]: read_refresh_cookie(request)}

    bearer = values[NAMES[0]]
    assert bearer is None or bearer.transport == COOKIE
    for name, value in values.items():
        token = value.token if isinstance(value, Bearer) else value
        assert token == _expected(raw, name), f"{name!r} in {raw!r}: {token!r}"
        _agrees_with_django(request, name.decode(), token)
    _hides_them(request)


def _put_together(source: Source) -> bytes:
    raw = b""
    for _ in range(source.number(4)):
        name = source.pick([*NAMES, NAMES[0].lower(), NAMES[1][:-1], source.some()])
        raw += source.pick(SPACES) + name + source.pick(SPACES) + source.pick(SIGNS)
        raw += source.pick([b"abc", b'"abc"', b'"a\\"b"', source.some()])
        raw += source.pick(ENDS)
    return raw


def _request(raw: bytes) -> HttpRequest:
    return WSGIRequest(
        {
            "REQUEST_METHOD": "GET",
            "wsgi.input": BytesIO(),
            # As a WSGI server hands it over: bytes, read as Latin-1.
            "HTTP_COOKIE": raw.decode("latin-1"),
        }
    )


def _expected(raw: bytes, name: bytes) -> str | None:
    """Return the value by the rule alone: RFC 6265 pairs, and no two of a kind."""
    pairs = [chunk.strip(b" \t").split(b"=", 1) for chunk in raw.split(b";")]
    pairs = [pair for pair in pairs if len(pair) == 2]
    alike = [pair for pair in pairs if _loosely(pair[0]) == name.decode()]
    if len(alike) != 1 or alike[0][0] != name:
        return None
    return alike[0][1].decode("utf-8", "replace")


def _loosely(name: bytes) -> str:
    """Return the name as Django knows it, for which Unicode's spaces are spaces."""
    return name.decode("utf-8", "replace").strip()


def _agrees_with_django(request: HttpRequest, name: str, token: str | None) -> None:
    """Where a token is read, Django reads the same one, and unquotes it."""
    seen = request.COOKIES.get(name)
    assert token is None or seen == cookies._unquote(token.strip()), repr(token)


def _hides_them(request: HttpRequest) -> None:
    """What Django took for a cookie of ours is noticed, and then gone."""
    names = {name.decode() for name in NAMES}
    if names & request.COOKIES.keys():
        assert carries_session_cookie(request), "overlooked a cookie of ours"
    hide_cookies(request)
    assert not names & request.COOKIES.keys(), "left a cookie of ours to be printed"
