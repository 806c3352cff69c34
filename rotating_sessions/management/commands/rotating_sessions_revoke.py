"""End sessions: one, those of a user, those of nobody, or all."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from rotating_sessions.exceptions import Unavailable
from rotating_sessions.models import RevokedReason, SessionFamilyQuerySet
from rotating_sessions.services import (
    failing_clearly,
    revoke_sessions,
    select_sessions,
)


class Command(BaseCommand):
    """Revoke live sessions, wherever they are used, within POLL_INTERVAL."""

    help = (
        "Revokes live sessions: one (--family), a user's (--user), those of visitors "
        "who have not logged in (--anonymous), or --all."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options."""
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("--user", help="The name that the user logs in with.")
        whose.add_argument("--family", type=UUID, help="The id of one session.")
        whose.add_argument(
            "--anonymous", action="store_true", help="Every anonymous session."
        )
        whose.add_argument(
            "--all", action="store_true", help="Every session of the site."
        )
        parser.add_argument(
            "--reason",
            choices=RevokedReason.values,
            default=RevokedReason.STAFF.value,
            help="Kept with the sessions (default: %(default)s).",
        )
        parser.add_argument(
            "--no-input",
            "--noinput",
            action="store_false",
            dest="interactive",
            help="Do not ask before --all.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Revoke, and print how many."""
        reason = RevokedReason(options["reason"])
        try:
            with failing_clearly():
                rows = self._select(options)
                ask = options["all"] and options["interactive"]
                if ask and not _is_sure(rows.count()):
                    raise CommandError("Nothing was revoked.")
            count = revoke_sessions(rows, reason=reason)
        except Unavailable as error:
            raise CommandError("The database failed. Run the command again.") from error
        self.stdout.write(self.style.SUCCESS(f"Revoked {count} session(s)."))

    def _select(self, options: dict[str, Any]) -> SessionFamilyQuerySet:
        if options["anonymous"]:
            return select_sessions().anonymous()
        if options["user"] is None:
            return select_sessions(family_id=options["family"])
        users = get_user_model()
        try:
            user = users._default_manager.get_by_natural_key(  # noqa: SLF001 - as Django's own
                options["user"]
            )
        except users.DoesNotExist as error:
            raise CommandError(f"There is no user {options['user']!r}.") from error
        return select_sessions(user_pk=user.pk)


def _is_sure(count: int) -> bool:
    question = f"This ends {count} session(s): everybody has to log in again. "
    try:
        answer = input(f"{question}Go on? [y/N] ")
    except EOFError:
        # Nobody is there to ask: `--no-input` is how to go on without.
        return False
    return answer.strip().lower() in {"y", "yes"}
