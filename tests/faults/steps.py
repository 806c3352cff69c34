"""The steps that a request takes in the database, and what may happen at one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connection

COMMIT = "COMMIT"
_WRITES = {"DELETE", "INSERT", "UPDATE", "WITH"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A moment within a request: right before or right after one of its steps."""

    step: int
    after: bool


def points(steps: list[str]) -> list[Point]:
    """Return every moment of a request that took these steps."""
    return [
        Point(step=step, after=after)
        for step in range(len(steps))
        for after in (False, True)
    ]


def is_committed(steps: list[str], point: Point) -> bool:
    """Tell whether the last commit of these steps has taken effect at this moment."""
    commits = [step for step, verb in enumerate(steps) if verb == COMMIT]
    # What writes nothing has nothing to commit.
    last = max(commits, default=len(steps))
    return point.step > last or (point.step == last and point.after)


class Steps:
    """Note each statement and commit of this thread, and strike at one of them."""

    def __init__(
        self, point: Point | None = None, strike: Callable[[], object] | None = None
    ) -> None:
        self.taken: list[str] = []
        self._point, self._strike = point, strike

    @contextmanager
    def watched(self) -> Iterator[Steps]:
        """Watch the connection while the context lasts."""
        commit = connection._commit
        connection._commit = lambda: self._take(COMMIT, commit)
        try:
            with connection.execute_wrapper(self):
                yield self
        finally:
            connection._commit = commit

    def __call__(self, execute: Any, sql: str, *args: Any) -> Any:
        """Run a statement, as `execute_wrapper` asks for."""
        verb = sql.split(maxsplit=1)[0]
        if verb in _WRITES and not connection.in_atomic_block:
            # With no transaction around it a statement is a commit.
            verb = COMMIT
        return self._take(verb, lambda: execute(sql, *args))

    def _take(self, verb: str, run: Callable[[], Any]) -> Any:
        step = len(self.taken)
        self.taken.append(verb)
        self._reach(step, after=False)
        result = run()
        self._reach(step, after=True)
        return result

    def _reach(self, step: int, *, after: bool) -> None:
        if self._strike is not None and self._point == Point(step=step, after=after):
            self._strike()
