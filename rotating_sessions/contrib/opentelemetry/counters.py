"""OpenTelemetry counters, of whichever meter provider the site sets."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry import metrics

from rotating_sessions.contrib.events import EVENTS, Event

__all__ = ["count"]

# A proxy, until a provider is set: that may be later.
_meter = metrics.get_meter("rotating_sessions")

_counters = {
    event.name: _meter.create_counter(
        f"rotating_sessions.{event.name}", unit="1", description=event.description
    )
    for event in EVENTS
}


def count(event: Event, labels: Mapping[str, str]) -> None:
    """Count one event."""
    _counters[event.name].add(1, labels)
