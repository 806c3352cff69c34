"""Wiring: check the setup when Django starts."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import Tags, register


class FdiConfig(AppConfig):
    """The app, as INSTALLED_APPS finds it."""

    name = "rotating_sessions.fdi"
    label = "rotating_sessions_fdi"

    def ready(self) -> None:
        """Register the system checks."""
        # Not at the top: models, and all that imports them, load after this module.
        from rotating_sessions.fdi.checks import check_fdi  # noqa: PLC0415

        register(check_fdi, Tags.security)
