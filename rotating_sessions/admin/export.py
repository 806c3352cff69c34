"""The timeline of a session as CSV, for a ticket or a spreadsheet."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from datetime import UTC

from django.http import StreamingHttpResponse

from rotating_sessions.models import SessionFamily
from rotating_sessions.timeline import Event

__all__ = ["export_timeline"]

_HEADER = [
    "time",
    "event",
    "generation",
    "state",
    "address",
    "device",
    "user_agent",
    "description",
]
# A spreadsheet takes a cell that begins so for a formula, and a client chooses what its
# user agent holds. Where a comma is in decimals, a semicolon begins another cell.
_FORMULA = re.compile(r"^(?=[=+\-@\t\r])|(?<=[;\t])(?=[\s\"]*[=+\-@])")


def export_timeline(
    family: SessionFamily, events: Iterable[Event]
) -> StreamingHttpResponse:
    """Return the events as a file to download; moments are ISO 8601, in UTC."""
    response = StreamingHttpResponse(
        _write(events), content_type="text/csv; charset=utf-8"
    )
    response["Content-Disposition"] = f'attachment; filename="session-{family.pk}.csv"'
    return response


class _Line:
    """A file for one line: `csv` writes into it, and returns what this returns."""

    def write(self, line: str) -> str:
        return line


def _write(events: Iterable[Event]) -> Iterator[str]:
    writer = csv.writer(_Line())
    yield writer.writerow(_HEADER)
    for event in events:
        yield writer.writerow([_defuse(cell) for cell in _cells(event)])


def _cells(event: Event) -> list[str]:
    return [
        event.at.astimezone(UTC).isoformat(),
        event.kind.value,
        "" if event.generation is None else str(event.generation),
        "" if event.state is None else event.state.value,
        event.ip_address or "",
        event.device,
        event.user_agent,
        event.text,
    ]


def _defuse(cell: str) -> str:
    return _FORMULA.sub("'", cell)
