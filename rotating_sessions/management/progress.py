"""How far a purge has come: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import time

from django.core.management.base import OutputWrapper

from rotating_sessions.services import PurgeCount

__all__ = ["Progress", "describe"]

# Seconds between two lines in a log: a short run is to leave none.
_INTERVAL = 30
_WIDTH = 20


class Progress:
    """Tells of the batches of one run: at verbosity 2 of each, at 0 of none."""

    def __init__(
        self, out: OutputWrapper, *, verbosity: int, expected: int | None
    ) -> None:
        """Tell on `out`; `expected` is how many sessions there are, where known."""
        self._out = out
        self._verbosity = verbosity
        self._expected = expected
        self._batches = 0
        self._total = PurgeCount()
        self._shown = 0
        self._told_at = time.monotonic()

    def tell(self, count: PurgeCount) -> None:
        """Tell of one more batch, in the way that suits."""
        self._batches += 1
        self._total += count
        if self._verbosity >= 2:
            self._out.write(f"Batch {self._batches}: {describe(count)}.")
        elif self._verbosity == 1 and self._out.isatty():
            self._draw()
        elif self._verbosity == 1 and time.monotonic() - self._told_at >= _INTERVAL:
            self._told_at = time.monotonic()
            self._out.write(f"So far {describe(self._total)}.")

    def clear(self) -> None:
        """Wipe the bar, where there is one, for what is printed next."""
        if self._shown:
            self._out.write(f"\r{'':{self._shown}}\r", ending="")

    def _draw(self) -> None:
        text = describe(self._total)
        if self._expected:
            share = min(self._total.families / self._expected, 1)
            text = f"[{'#' * int(share * _WIDTH):-<{_WIDTH}}] {share:4.0%}  {text}"
        self._out.write(f"\r{text:{self._shown}}", ending="")
        self._out.flush()
        self._shown = len(text)


def describe(count: PurgeCount) -> str:
    """Return the numbers in words."""
    return f"{count.families} session(s) and {count.tokens} token record(s)"
