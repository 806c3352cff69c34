"""Another connection, that holds what a request needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from django.db import connection, connections, transaction
from django.db.backends.signals import connection_created

from rotating_sessions.models import SessionFamily


@contextmanager
def on_each_connection(*statements: str) -> Iterator[None]:
    """Run statements at the start of every connection while the context lasts."""

    def prepare(connection: Any, **kwargs: Any) -> None:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    connection.close()
    connection_created.connect(prepare)
    try:
        yield
    finally:
        connection_created.disconnect(prepare)
        connection.close()


class Rival:
    """A connection of its own, in a thread of its own, with one transaction open."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)

    def do(self, work: Callable[[], object]) -> Future[object]:
        """Begin some work, after all that was begun before."""
        return self._thread.submit(work)

    def hold(self, family_id: Any) -> None:
        """Lock the row of a family, and with it whatever the database locks."""
        self.do(begin).result()
        rows = SessionFamily.objects.filter(pk=family_id)
        self.do(lambda: rows.update(user_agent="rival")).result()

    def release(self) -> None:
        """Take everything back."""
        self.do(roll_back).result()

    def leave(self) -> None:
        """Release what is held, and hang up."""
        self.do(connections.close_all).result()
        self._thread.shutdown()


def begin() -> None:
    """Open a transaction in this thread."""
    transaction.set_autocommit(False)
    if connection.vendor == "sqlite":
        connection.cursor().execute("BEGIN IMMEDIATE")


def roll_back() -> None:
    """Take this thread's transaction back."""
    transaction.rollback()
    transaction.set_autocommit(True)


@contextmanager
def rival() -> Iterator[Rival]:
    """Provide a rival while the context lasts."""
    other = Rival()
    try:
        yield other
    finally:
        other.leave()
