"""Wiring: count for Prometheus what is announced."""

from __future__ import annotations

from django.apps import AppConfig


class PrometheusConfig(AppConfig):
    """The app, as INSTALLED_APPS finds it."""

    name = "rotating_sessions.contrib.prometheus"
    label = "rotating_sessions_prometheus"

    def ready(self) -> None:
        """Connect the counters to the signals."""
        # Not at the top: models, and all that imports them, load after this module.
        from rotating_sessions.contrib.events import count_events  # noqa: PLC0415
        from rotating_sessions.contrib.prometheus.counters import count  # noqa: PLC0415

        count_events(self.label, count)
