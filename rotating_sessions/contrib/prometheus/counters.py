"""Prometheus counters, in the default registry."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import Counter

from rotating_sessions.contrib.events import EVENTS, Event

__all__ = ["count"]


def _make(event: Event) -> Counter:
    names = () if event.label is None else (event.label,)
    counter = Counter(f"rotating_sessions_{event.name}", event.description, names)
    for value in event.values:
        # At 0 from the start, or `increase` would not see the first of a kind.
        counter.labels(value)
    return counter


_counters = {event.name: _make(event) for event in EVENTS}


def count(event: Event, labels: Mapping[str, str]) -> None:
    """Count one event."""
    counter = _counters[event.name]
    (counter.labels(**labels) if labels else counter).inc()
