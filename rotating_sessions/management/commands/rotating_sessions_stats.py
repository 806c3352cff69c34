"""Say how many sessions there are, and what became of them lately."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connections
from django.template.defaultfilters import filesizeformat

from rotating_sessions.exceptions import Unavailable
from rotating_sessions.services import Statistics, read_statistics

_HOUR = timedelta(hours=1)
# A year: what was purged before it is in no table.
_MAX_HOURS = 8760


class Command(BaseCommand):
    """Print the statistics: aligned for people, or as JSON for a program."""

    help = (
        "Prints how many sessions are live, and how many were refreshed and revoked in "
        "the last hours. Refreshes are counted by the tokens on record: of a session "
        "that was refreshed more than TOKEN_HISTORY times, a purge leaves the last."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument(
            "--hours",
            type=_hours,
            default=timedelta(hours=24),
            help="How far back to count what happened (default: 24).",
        )
        parser.add_argument("--json", action="store_true", help="Print a JSON object.")
        parser.add_argument(
            "--database",
            choices=tuple(connections),
            help="The database of the sessions (default: where the site writes them).",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, and print."""
        try:
            found = read_statistics(options["hours"], using=options["database"])
        except Unavailable as error:
            raise CommandError("The database failed. Run the command again.") from error
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(found), indent=2))
            return
        rows = list(_as_rows(found))
        left = max(len(label) for label, _value in rows)
        right = max(len(value) for _label, value in rows)
        for label, value in rows:
            self.stdout.write(f"{label:<{left}}  {value:>{right}}".rstrip())


def _as_json(found: Statistics) -> dict[str, object]:
    oldest = found.oldest_ended_at
    return {
        "at": found.at.isoformat(),
        "hours": found.window // _HOUR,
        "live": sum(found.live.values()),
        "live_by_transport": found.live,
        "anonymous": found.anonymous,
        "users": found.users,
        "refreshes": found.refreshes,
        "refreshes_per_hour": round(found.refreshes_per_hour, 1),
        "reuse_detected": found.reuse_detected,
        "revoked": sum(found.revoked.values()),
        "revoked_by_reason": found.revoked,
        "ended": found.ended,
        "oldest_ended_at": None if oldest is None else oldest.isoformat(),
        "size": found.size,
    }


def _as_rows(found: Statistics) -> Iterator[tuple[str, str]]:
    """Yield what people read: a label, indented below the one it is a part of."""
    yield "Live sessions", _number(sum(found.live.values()))
    for transport, count in found.live.items():
        yield f"  {transport}", _number(count)
    if found.anonymous:
        yield "Anonymous of these", _number(found.anonymous)
    yield "Users with a live session", _number(found.users)
    yield f"In the last {found.window // _HOUR} hour(s)", ""
    yield "  refreshes", _number(found.refreshes)
    yield "    per hour", f"{found.refreshes_per_hour:,.1f}"
    yield "  reuse detected", _number(found.reuse_detected)
    yield "  revoked", _number(sum(found.revoked.values()))
    for reason, count in found.revoked.items():
        if count:
            yield f"    {reason}", _number(count)
    yield "Ended, not purged", _number(found.ended)
    if found.oldest_ended_at is not None:
        yield "  the first of them ended", f"{found.oldest_ended_at:%Y-%m-%d %H:%M %Z}"
    if found.size is not None:
        yield "Size", filesizeformat(found.size).replace("\xa0", " ")


def _number(count: int) -> str:
    return f"{count:,}"


def _hours(text: str) -> timedelta:
    hours = int(text)
    if not 1 <= hours <= _MAX_HOURS:
        raise ValueError(text)
    return timedelta(hours=hours)
