"""How large a world is explored, in ticks and counts: one value, passed around."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Bounds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """
    The limits of one exploration. Spans are in ticks.

    A tick is a span, not a unit of precision: any story in real time is one in ticks
    that are short enough, and what decides is only how these spans compare.
    """

    grace: int = 3
    """W: how long the predecessor is forgiven."""

    timeout: int = 1
    """When a client gives a refresh up; an answer that comes later reaches nobody."""

    linger: int = 1
    """How old a request may be when a server takes it up, given up or not."""

    skew: int = 0
    """How far the clocks of two hosts stand apart."""

    flights: int = 2
    """Requests and answers of the browser under way at once."""

    losses: int | None = 3
    """Full answers lost in a row; None for any number."""

    failovers: int = 1
    """How often the database falls back on a replica that is behind."""

    lost_commits: int = 1
    """How many commits a failover may lose."""

    outage: int = 2
    """How long a failover takes: longer than `timeout`, no flight outlives it."""
