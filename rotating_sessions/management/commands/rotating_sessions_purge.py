"""Delete sessions that ended long ago, and tokens beyond the history kept."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from rotating_sessions.exceptions import Unavailable
from rotating_sessions.management.progress import Progress, describe
from rotating_sessions.services import PurgeCount, count_ended, purge_sessions

# The progress bar needs to know how many there are, and more than these it does not
# count: that would take longer than a second.
_MAX_COUNTED = 1_000_000

_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


class Command(BaseCommand):
    """Purge, batch by batch. Run it daily: no answer ever depends on it."""

    help = (
        "Deletes sessions that ended longer than RETENTION ago, and of live sessions "
        "the refresh token records beyond TOKEN_HISTORY. Safe beside a running site, "
        "and beside itself."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument(
            "--dry-run", action="store_true", help="Count, and delete nothing."
        )
        parser.add_argument(
            "--older-than",
            type=_span,
            metavar="SPAN",
            help="Instead of RETENTION, for this run: 30d, 12h or 90m.",
        )
        parser.add_argument(
            "--max-seconds",
            type=_seconds,
            metavar="SECONDS",
            help="Stop after the batch in which this time is over.",
        )
        parser.add_argument(
            "--batch-size",
            type=_positive,
            default=5000,
            help="Sessions looked at in one transaction, at most (default: "
            "%(default)s). Batches that take long shrink by themselves.",
        )
        parser.add_argument(
            "--sleep",
            type=_seconds,
            default=timedelta(),
            help="Seconds to pause after each batch (default: none).",
        )
        parser.add_argument(
            "--max-batches", type=_positive, help="Stop after this many batches."
        )
        parser.add_argument(
            "--database",
            choices=tuple(connections),
            help="The database of the sessions (default: where the site writes them).",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Purge, and print what was deleted."""
        total = PurgeCount()
        try:
            progress = self._progress(options)
            try:
                for count in _batches(options):
                    total += count
                    progress.tell(count)
            finally:
                progress.clear()
        except ValueError as error:
            raise CommandError(f"--older-than: {error}") from error
        except Unavailable as error:
            raise CommandError(
                f"The database failed after {describe(total)}. "
                "What was deleted stays deleted: run the command again."
            ) from error
        if options["verbosity"] >= 1:
            self._report(total, dry_run=options["dry_run"])

    def _progress(self, options: dict[str, Any]) -> Progress:
        verbosity, expected = options["verbosity"], None
        if verbosity == 1 and self.stdout.isatty():
            expected = count_ended(
                limit=_MAX_COUNTED,
                older_than=options["older_than"],
                using=options["database"],
            )
        known = expected if expected != _MAX_COUNTED else None
        return Progress(self.stdout, verbosity=verbosity, expected=known)

    def _report(self, total: PurgeCount, *, dry_run: bool) -> None:
        verb = "Would delete" if dry_run else "Deleted"
        self.stdout.write(self.style.SUCCESS(f"{verb} {describe(total)}."))
        if total.skipped:
            left = f"Others were at work on {total.skipped} more session(s)"
            self.stdout.write(self.style.WARNING(f"{left}: the next run looks again."))
        if total.stopped:
            text = "Stopped at the limit: there may be more for the next run."
            self.stdout.write(self.style.WARNING(text))


def _batches(options: dict[str, Any]) -> Iterator[PurgeCount]:
    return purge_sessions(
        older_than=options["older_than"],
        batch_size=options["batch_size"],
        max_batches=options["max_batches"],
        max_time=options["max_seconds"],
        sleep=options["sleep"],
        dry_run=options["dry_run"],
        using=options["database"],
    )


def _span(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,5})([dhm])", text)
    if found is None:
        raise ValueError(text)
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _seconds(text: str) -> timedelta:
    try:
        span = timedelta(seconds=float(text))
    except OverflowError as error:
        raise ValueError(text) from error
    if span < timedelta():
        raise ValueError(text)
    return span


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number
