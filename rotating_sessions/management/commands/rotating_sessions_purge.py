"""Delete sessions that ended long ago, and tokens beyond the history kept."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from rotating_sessions.exceptions import Unavailable
from rotating_sessions.services import PurgeCount, purge_sessions


class Command(BaseCommand):
    """Purge, batch by batch. Run it daily: no answer ever depends on it."""

    help = (
        "Deletes sessions that ended longer than RETENTION ago, and of live sessions "
        "the refresh token records beyond TOKEN_HISTORY. Safe beside a running site."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument(
            "--dry-run", action="store_true", help="Count, and delete nothing."
        )
        parser.add_argument(
            "--batch-size",
            type=_positive,
            default=1000,
            help="Sessions looked at in one transaction (default: %(default)s).",
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
        dry_run = options["dry_run"]
        batches = purge_sessions(
            batch_size=options["batch_size"],
            max_batches=options["max_batches"],
            sleep=options["sleep"],
            dry_run=dry_run,
            using=options["database"],
        )
        total = PurgeCount()
        try:
            for number, count in enumerate(batches, start=1):
                total += count
                if options["verbosity"] >= 2:
                    self.stdout.write(f"Batch {number}: {_describe(count)}.")
        except Unavailable as error:
            raise CommandError(
                f"The database failed after {_describe(total)}. "
                "What was deleted stays deleted: run the command again."
            ) from error
        verb = "Would delete" if dry_run else "Deleted"
        self.stdout.write(self.style.SUCCESS(f"{verb} {_describe(total)}."))


def _describe(count: PurgeCount) -> str:
    return f"{count.families} session(s) and {count.tokens} token record(s)"


def _seconds(text: str) -> timedelta:
    span = timedelta(seconds=float(text))
    if span < timedelta():
        raise ValueError(text)
    return span


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number
