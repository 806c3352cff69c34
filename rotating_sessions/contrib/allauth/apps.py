"""Wiring: hear what allauth does to accounts, and check how it is set up."""

from __future__ import annotations

from django.apps import AppConfig


class AllauthConfig(AppConfig):
    """The app, as INSTALLED_APPS finds it."""

    name = "rotating_sessions.contrib.allauth"
    label = "rotating_sessions_allauth"

    def ready(self) -> None:
        """Connect the receivers, and register the check."""
        # Not at the top: models, and all that imports them, load after this module.
        from rotating_sessions.contrib.allauth import checks, receivers  # noqa: PLC0415

        receivers.connect()
        checks.register_checks()
