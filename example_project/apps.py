"""Wiring of the example: its mails."""

from __future__ import annotations

from django.apps import AppConfig


class ExampleConfig(AppConfig):
    """The app, as INSTALLED_APPS finds it."""

    name = "example_project"

    def ready(self) -> None:
        """Connect the receivers."""
        # Not at the top: models load after this module.
        from example_project import mails  # noqa: F401, PLC0415
