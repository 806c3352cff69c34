"""One live session, refreshed over and over on a connection of its own."""

from __future__ import annotations

import threading
import time
from statistics import median, quantiles

from django.contrib.auth import get_user_model
from django.db import connection
from django.test import RequestFactory

from rotating_sessions.clients import Client
from rotating_sessions.services import refresh_session, start_session

__all__ = ["LiveSession", "describe_latency"]

# Seconds between two refreshes: more than GRACE_PERIOD, so that each of them rotates.
_PAUSE = 0.02


class LiveSession:
    """Refreshes until it is told to stop, and keeps how long each refresh took."""

    def __init__(self) -> None:
        """Log in."""
        request = RequestFactory().post("/", REMOTE_ADDR="203.0.113.7")
        user = get_user_model().objects.order_by("pk")[0]
        self._refresh = start_session(request, user, transport="header").refresh
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.seconds: list[float] = []

    def __enter__(self) -> LiveSession:
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        client = Client(ip_address="203.0.113.7", network=None, user_agent="benchmark")
        while not self._over.wait(_PAUSE):
            began = time.monotonic()
            pair = refresh_session(self._refresh, client=client, transport="header")
            self.seconds.append(time.monotonic() - began)
            self._refresh = pair.refresh
        connection.close()


def describe_latency(seconds: list[float]) -> str:
    """Return how long the refreshes took."""
    p99 = quantiles(seconds, n=100, method="inclusive")[98]
    return (
        f"p50 {median(seconds) * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms, "
        f"longest {max(seconds) * 1000:.1f} ms of {len(seconds)}"
    )
