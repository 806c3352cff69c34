"""The Authorization header: one bearer token, nothing, or `invalid_token`."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from django.http import HttpRequest

from rotating_sessions.authentication import identify
from rotating_sessions.exceptions import InvalidToken, SessionError
from rotating_sessions.transports import HEADER, read_access
from tests.fuzz.source import Source

__all__ = ["fuzz"]

NOW = datetime(2031, 3, 4, 5, 6, 7, tzinfo=UTC)
SCHEMES = ["Bearer", "bearer", "BEARER", "bEARER", "Bearer:", "Basic", "Digest", ""]
SPACES = [" ", "", "  ", "\t", "\xa0", "\x00", ",", "\x85", "\r\n"]
# The scheme's end is one space; around the token any other is no part of it.
SHAPE = re.compile(r"bearer(?:\Z| +)(.*)", re.IGNORECASE | re.ASCII | re.DOTALL)


def fuzz(data: bytes) -> None:
    """Send a header of anything, or of schemes, spaces and tokens."""
    source = Source(data)
    header = source.latin() if source.flag() else _put_together(source)
    request = HttpRequest()
    request.META["HTTP_AUTHORIZATION"] = header

    assert _outcome(request) == _expected(header), repr(header)
    visit = identify(request, NOW)
    assert visit.claims is None, "believed what nobody signed"
    assert visit.refusal is None or isinstance(visit.refusal, SessionError)


def _put_together(source: Source) -> str:
    parts = [source.pick(SCHEMES), source.pick(SPACES), source.latin()]
    return "".join([*parts, source.pick(SPACES), source.pick(["", "a", "."])])


def _outcome(request: HttpRequest) -> str | None:
    """Return the token, or "" where the header is refused, or None for no token."""
    try:
        bearer = read_access(request)
    except InvalidToken:
        return ""
    assert bearer is None or bearer.transport == HEADER
    return None if bearer is None else bearer.token


def _expected(header: str) -> str | None:
    match = SHAPE.fullmatch(header)
    if match is None:
        return None
    token = match[1].strip()
    return "" if " " in token else token
