"""Tokens as canaries: where one was issued, and every place that it could get out."""

from __future__ import annotations

import logging
import re
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from django.core.cache import cache
from django.db import connection
from django.http import HttpResponse
from django.views.debug import ExceptionReporter

from tests.browsing import Api

__all__ = [
    "RecordingApi",
    "columns",
    "log_entries",
    "places_of",
    "spellings",
    "tokens_in",
    "traces_of",
]

TOKEN = re.compile(rb"rsrt_[\w-]{120}|eyJ[\w-]+\.eyJ[\w-]+\.[\w-]{43}")
# Statements are logged with their parameters: what a column holds, and no more.
SQL_LOGGER = "django.db.backends"

# What was said, after where it was said.
Place = tuple[str, bytes]


class RecordingApi(Api):
    """A client that keeps all that it is answered."""

    def __init__(self, answers: list[Place], **defaults: Any) -> None:
        super().__init__(**defaults)
        self.raise_request_exception = False
        self.answers = answers

    def request(self, **request: Any) -> HttpResponse:
        """Answer the request, and keep the answer: status, headers, cookies, body."""
        response = super().request(**request)
        head = f"{response.status_code} {response.headers} {response.cookies.output()}"
        place = f"{request['REQUEST_METHOD']} {request['PATH_INFO']}"
        self.answers.append((place, head.encode() + b"\n" + response.content))
        return response


def tokens_in(text: bytes) -> set[bytes]:
    """Return all that has the shape of a token, ours or another site's."""
    return set(TOKEN.findall(text))


def traces_of(token: bytes) -> set[bytes]:
    """Return what would give a token away: itself, or its MAC, however written."""
    if token.startswith(b"rsrt_"):
        content = urlsafe_b64decode(token.removeprefix(b"rsrt_"))
        tag = content[-32:]
    else:
        content = token
        tag = urlsafe_b64decode(token.rpartition(b".")[2] + b"=")
    return {token, token[-40:]} | spellings(token) | spellings(content) | spellings(tag)


def places_of(traces: set[bytes], places: list[Place]) -> set[str]:
    """Return where any of the traces is."""
    everything = b"\n".join(text for _, text in places)
    found = {trace for trace in traces if trace in everything}
    return {place for place, text in places if any(trace in text for trace in found)}


def spellings(secret: bytes) -> set[bytes]:
    """Return the ways in which bytes are written out, also within other base64."""
    hexadecimal = secret.hex().encode()
    found = {secret, hexadecimal, hexadecimal.upper()}
    found |= {repr(secret)[2:-1].encode(), str(list(secret)).encode()}
    for shift in range(3):
        for encode in (b64encode, urlsafe_b64encode):
            # Without the ends, which depend on what stands beside.
            text = encode(b"\x00" * shift + secret)[4:-4]
            found |= {text, quote(text, safe="").encode()}
    return found


def columns() -> Iterator[Place]:
    """Yield each value of each column of each table."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608
            names = [column[0] for column in cursor.description]
            for row in cursor.fetchall():
                for name, value in zip(names, row, strict=True):
                    yield f"{table}.{name}", _as_bytes(value)
    yield "cache", repr(vars(cache).get("_cache")).encode()


def log_entries(records: list[logging.LogRecord]) -> Iterator[Place]:
    """Yield each record with all its fields, and as error reports show it."""
    for record in records:
        text = logging.Formatter().format(record)
        yield record.name, f"{text} {vars(record)}".encode("utf-8", "replace")
        if record.exc_info:
            request = getattr(record, "request", None)
            reporter = ExceptionReporter(request, *record.exc_info, is_email=True)
            yield f"report of {text}", reporter.get_traceback_text().encode()
            yield f"report of {text}", reporter.get_traceback_html().encode()


def _as_bytes(value: object) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    return str(value).encode()
