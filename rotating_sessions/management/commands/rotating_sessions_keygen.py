"""Make a key pair for access tokens, or show the public half of one."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.views.decorators.debug import sensitive_variables

from rotating_sessions.tokens.access_keys import read_entry
from rotating_sessions.tokens.pem import (
    ALGORITHMS,
    UnusableKey,
    generate_pem,
    read_pem,
    write_public_pem,
)

# For its owner alone, from the first byte on.
_PRIVATE = 0o600


class Command(BaseCommand):
    """Print a PEM text and nothing else, or write it where no file is yet."""

    help = (
        "Prints a new private key for ACCESS_KEYS in PEM, or writes it to a file that "
        "only its owner can read. With --public-of it shows the public half of a key."
    )
    # It is what a site with a wrong key needs.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument(
            "--algorithm",
            choices=ALGORITHMS,
            default=ALGORITHMS[0],
            help="What the key is for (default: EdDSA). RS256 makes tokens longer.",
        )
        parser.add_argument(
            "--public-of",
            metavar="FILE",
            help="Make no key, but show the public half of the one in this file.",
        )
        parser.add_argument(
            "--output",
            metavar="FILE",
            help="Write to this file, which must not be there yet.",
        )

    @sensitive_variables()
    def handle(self, *args: Any, **options: Any) -> None:
        """Make or read the key, and print or write it."""
        source = options["public_of"]
        try:
            if source is None:
                text = generate_pem(options["algorithm"])
            else:
                text = write_public_pem(read_pem(read_entry(source)))
            key = read_pem(text)
        except UnusableKey as error:
            raise CommandError(str(error)) from error
        if options["output"] is None:
            self.stdout.write(text)
        else:
            _write(Path(options["output"]), text)
        place = options["output"] or "the text, or the path of a file with it"
        # Beside what is printed, so that a pipe or a redirection gets the key alone.
        self.stderr.write(
            f"{key.algorithm}, thumbprint {key.thumbprint}.\n{_advise(source, place)}",
            lambda text: text,
        )


def _advise(source: str | None, place: str) -> str:
    if source is not None:
        return (
            f"It verifies and cannot sign. In ACCESS_KEYS, not as the first: {place}."
        )
    return (
        f"Put into ACCESS_KEYS: {place}. Beside other keys it comes second until every "
        "host knows it: docs/keys.md has the steps."
    )


@sensitive_variables()
def _write(path: Path, text: str) -> None:
    try:
        # O_EXCL: neither overwrite a key in use, nor follow somebody's link.
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _PRIVATE)
    except OSError as error:
        raise CommandError(f"Nothing was written: {error.strerror}.") from error
    with os.fdopen(file, "w", encoding="ascii") as stream:
        stream.write(text)
