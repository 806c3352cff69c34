"""The endpoints: whatever is sent, an answer that is documented, and never a 5xx."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any
from urllib.parse import quote

from django.test import Client, override_settings

from tests.browsing import HOME
from tests.factories import PASSWORD
from tests.fuzz.contract import check_answer, operations
from tests.fuzz.source import Source
from tests.fuzz.visitor import MODES, UNTHROTTLED, Visitor, arrive

__all__ = ["fuzz"]

ENDPOINTS = [each for each in operations() if each[0].startswith("/auth/")]
METHODS = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "PATCH", "DELETE", "X", "post"]
SEGMENTS = ["..", "%00", "\x00", "null", "0" * 32, "{" + "0" * 32 + "}", "é"]
SEGMENTS += ["urn:uuid:" + "0" * 32, "0" * 31 + "\u0661", "-1", "1e5", "a" * 5000]
TYPES = [
    *("application/json", "APPLICATION/JSON", "application/json; charset=utf-16"),
    *("application/json; charset=nosuch", "application/json;;;", "text/json", "", "a"),
    *("application/x-www-form-urlencoded", "multipart/form-data; boundary=a", "*/*"),
    *("application/json; charset=\xff", 'multipart/form-data; boundary="', "a/b; c"),
]
# No server hands these over in a header.
NEVER_IN_HEADERS = {ord(sign): None for sign in "\r\n\x00"}
HEADERS: dict[str, list[str]] = {
    "CONTENT_LENGTH": ["0", "1", "-1", "", "9" * 30, "1e3", "²", " 2", "2, 2", "8193"],
    "HTTP_TRANSFER_ENCODING": ["chunked", "identity", ""],
    "HTTP_EARLY_DATA": ["1", "0", "11"],
    "HTTP_SEC_FETCH_SITE": ["cross-site", "none", "same-origin", "\xff"],
    "HTTP_ACCEPT": ["text/html", "application/xml", "*/*;q=x", "a" * 300, "\xff"],
    "HTTP_X_FORWARDED_FOR": [",".join(["203.0.113.9"] * 1000), "unknown", "\xff"],
    "HTTP_USER_AGENT": ["\xff", "a" * 5000, "", "\x1b[2J"],
    "HTTP_AUTHORIZATION": ["Bearer", "Bearer a b", "Basic \xff", "bearer a.b.c"],
    "HTTP_X_CSRFTOKEN": ["", "\xff", "a" * 64],
    "HTTP_ORIGIN": ["null", "https://evil.example", "\xff", "http://[", "http://x"],
    "HTTP_REFERER": ["http://[::1", "\xff", "https://evil.example/"],
    "HTTP_ACCEPT_LANGUAGE": ["de", "\xff", "a-" * 300],
    "HTTP_X_HTTP_METHOD_OVERRIDE": ["DELETE", "TRACE"],
    "REMOTE_ADDR": ["", "unix:", "fe80::1%eth0", "::ffff:203.0.113.9", "999.1.1.1"],
    "QUERY_STRING": ["format=xml", "cursor=%ff", "_method=DELETE", "%", "a" * 3000],
}


def fuzz(data: bytes) -> None:
    """Send one request, which may be good, bad, or hardly HTTP at all."""
    source = Source(data)
    path, method = source.pick(ENDPOINTS)
    if source.number(3) == 3:
        method = source.pick(METHODS)
    with override_settings(ROTATING_SESSIONS=UNTHROTTLED):
        visitor = arrive()
        extra = _credentials(source, visitor) | _headers(source)
        content_type, body = _content(source, visitor)
        client = Client(enforce_csrf_checks=True, REMOTE_ADDR=HOME)
        url = path.replace("{id}", _segment(source, visitor))
        response = client.generic(
            method, url, body, content_type, **{"wsgi.input": BytesIO(body), **extra}
        )
    check_answer(path, method.upper(), response)


def _credentials(source: Source, visitor: Visitor) -> dict[str, str]:
    """Return the headers of a mode, as a WSGI server names them."""
    headers = visitor.credentials(source.pick(MODES))
    return {
        "HTTP_" + name.upper().replace("-", "_"): value
        for name, value in headers.items()
    }


def _headers(source: Source) -> dict[str, str]:
    """Return up to three headers of which no good comes."""
    found = {}
    for _ in range(source.number(3)):
        name = source.pick(list(HEADERS))
        drawn = source.latin().translate(NEVER_IN_HEADERS)
        found[name] = source.pick([*HEADERS[name], drawn])
    return found


def _segment(source: Source, visitor: Visitor) -> str:
    """Return what stands for the id in the path: that of a session, or anything."""
    options = [str(visitor.session_id), visitor.session_id.hex.upper(), *SEGMENTS]
    drawn = quote(source.some().replace(b"/", b"") or b"-", safe="")
    return source.pick([*options, drawn])


def _content(source: Source, visitor: Visitor) -> tuple[str, bytes]:
    """Return a body and its type: most often JSON, so that it comes to be read."""
    content_type = source.pick(TYPES) if source.number(7) == 7 else TYPES[0]
    if source.number(7) == 7:
        return content_type, source.rest()
    genuine: dict[str, Any] = {
        "username": visitor.user.get_username(),
        "password": PASSWORD,
        "refresh": visitor.header.refresh,
        "transport": "cookie",
        "keep_current": True,
    }
    fields = {
        name: genuine[name] if source.flag() else source.value()
        for name in genuine
        if source.number(3)
    }
    value = source.value() if source.number(7) == 7 else fields
    text = json.dumps(value, ensure_ascii=source.flag())
    return content_type, text.encode("utf-8", "surrogatepass")
