"""Jobs that start at one moment, in threads with connections of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.utils import timezone

from rotating_sessions.exceptions import SessionError
from rotating_sessions.transports import TokenPair
from tests.acting import present, rows_of

THREADS = 16
several_times = pytest.mark.parametrize("attempt", range(3))


def race(*jobs: Callable[[], Any]) -> list[Any]:
    """Start the jobs at one moment, and return what each returned or was refused."""
    barrier = threading.Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> Any:
        try:
            connection.ensure_connection()
            barrier.wait(timeout=30)
            return job()
        except SessionError as refusal:
            return refusal
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def times(count: int, job: Callable[..., Any], *args: Any) -> list[Callable[[], Any]]:
    return [lambda: job(*args)] * count


def full(outcomes: list[Any]) -> list[TokenPair]:
    """Return the answers that hand out a refresh token."""
    pairs = [pair for pair in outcomes if isinstance(pair, TokenPair)]
    return [pair for pair in pairs if pair.refresh is not None]


def kinds(outcomes: list[Any]) -> set[type]:
    return {type(outcome) for outcome in outcomes}


def wait_a_grace_period(pair: TokenPair) -> None:
    """Put the last rotation longer ago than W."""
    rows_of(pair).update(rotated_at=timezone.now() - timedelta(seconds=61))


def refresh_until_ended(
    pair: TokenPair, revoked: threading.Event
) -> list[tuple[bool, Any]]:
    """Present the token again and again; tell which began after the revocation."""
    seen: list[tuple[bool, Any]] = []
    for _ in range(25):
        late = revoked.is_set()
        try:
            seen.append((late, present(pair)))
        except SessionError as refusal:
            seen.append((late, refusal))
            return seen
    return seen


def and_then(event: threading.Event, job: Callable[[], Any]) -> Callable[[], Any]:
    """Return a job that sets the event once it is committed."""

    def run() -> Any:
        try:
            return job()
        finally:
            event.set()

    return run
