"""Create the users of the example."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from example_project.logins import LOGINS


class Command(BaseCommand):
    """The command: run it as often as you like, it changes only what differs."""

    help = "Creates two demo users and one of staff, and prints their passwords."

    def handle(self, *args: Any, **options: Any) -> None:
        """Create who is missing, and print all logins."""
        if not settings.DEBUG:
            raise CommandError(
                "Everybody knows the passwords of the demo users: set "
                "EXAMPLE_MODE=development."
            )
        for login in LOGINS:
            user, _created = get_user_model().objects.get_or_create(
                username=login.username,
                defaults={
                    "email": f"{login.username}@example.com",
                    "is_staff": login.is_staff,
                    "is_superuser": login.is_staff,
                },
            )
            # A new hash of the same password would log the user out.
            if not user.check_password(login.password):
                user.set_password(login.password)
                user.save(update_fields=["password"])
            kind = "staff" if login.is_staff else "user"
            self.stdout.write(f"{login.username:<7}{login.password:<19}{kind}")
