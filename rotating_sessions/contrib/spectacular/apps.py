"""Wiring: let drf-spectacular find what describes the endpoints."""

from __future__ import annotations

from django.apps import AppConfig


class SpectacularConfig(AppConfig):
    """The app, as INSTALLED_APPS finds it."""

    name = "rotating_sessions.contrib.spectacular"
    label = "rotating_sessions_spectacular"

    def ready(self) -> None:
        """Define the extensions: drf-spectacular knows a class by its definition."""
        # Not at the top: models, and all that imports them, load after this module.
        from rotating_sessions.contrib.spectacular import (  # noqa: F401, PLC0415
            schemes,
            views,
        )
