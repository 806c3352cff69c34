"""Run a unit of work durably: on the write database, retried, or answered by 503."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import (
    DatabaseError,
    Error,
    InterfaceError,
    InternalError,
    OperationalError,
    connections,
    router,
    transaction,
)
from django.dispatch import Signal

from rotating_sessions import signals
from rotating_sessions.exceptions import Unavailable
from rotating_sessions.models import SessionFamily

__all__ = [
    "Contended",
    "Overtaken",
    "announce",
    "failing_clearly",
    "is_database_failure",
    "run_alone",
    "run_durably",
    "run_in_transaction",
    "write_database",
]

# What a database raises that is down, read-only (PostgreSQL: InternalError) or full.
_FAILURES = (OperationalError, InterfaceError, InternalError)

_MAX_RETRIES = 3
_POSTGRESQL = {"40001", "40P01"}  # serialization failure, deadlock
_MYSQL = {1213, 1205, 1020}  # deadlock, lock wait timeout, snapshot changed
_SQLITE = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}

_Result = TypeVar("_Result")


class Overtaken(Exception):
    """Others changed the rows between two reads of them: the work has to run again."""


class Contended(Unavailable):
    """The work was in the way of others at each try: nothing is wrong with the rest."""


def is_database_failure(error: Exception) -> bool:
    """Tell whether the database failed, rather than what was asked of it."""
    # Of no kind: psycopg, where the server makes no sense, and SQLite's damaged files.
    return isinstance(error, _FAILURES) or type(error) is DatabaseError


def write_database() -> str:
    """Return the alias that session state is written to, and always read from."""
    return router.db_for_write(SessionFamily)


def run_durably(work: Callable[[], _Result], using: str | None = None) -> _Result:
    """
    Return what `work` returns, once its transaction is committed.

    Where it is overtaken, or the database aborts it for another transaction's sake,
    `work` runs again, at most three times. May not be called within a transaction.

    Raises:
        Unavailable: The database failed, or the fate of the commit is unknown; as
            `Contended`, if it only aborted each try for others' sake.
    """
    return _run(work, using or write_database(), is_alone=False)


def run_alone(work: Callable[[], _Result]) -> _Result:
    """
    Return what `work` returns, which is durable without a transaction around it.

    That is: one statement, or what opens a transaction by itself. All else is as with
    `run_durably`, but without the time that BEGIN and COMMIT take on their way.

    Raises:
        Unavailable: As `run_durably`.
    """
    alias = write_database()
    # Within a transaction nothing is durable: that is refused, where it has to be.
    nested = transaction.get_connection(alias).in_atomic_block
    return _run(work, alias, is_alone=not nested)


def _run(work: Callable[[], _Result], alias: str, *, is_alone: bool) -> _Result:
    retries = 0
    while True:
        try:
            if is_alone and not retries:
                return work()
            with transaction.atomic(using=alias, durable=True):
                if retries:
                    _read_committed(alias)
                return work()
        except (Overtaken, Error) as error:
            if not (isinstance(error, Overtaken) or is_database_failure(error)):
                raise
            if not _is_transient(error):
                raise Unavailable from error
            if retries == _MAX_RETRIES:
                raise Contended from error
        retries += 1
        # Jitter, so that those who collided do not collide again.
        time.sleep(random.uniform(0, 0.02) * 2**retries)  # noqa: S311 - no secret


@contextmanager
def failing_clearly() -> Iterator[None]:
    """
    Answer for a read outside a transaction.

    Raises:
        Unavailable: The database failed.
    """
    try:
        yield
    except Error as error:
        if is_database_failure(error):
            raise Unavailable from error
        raise


def run_in_transaction(work: Callable[[], _Result]) -> _Result:
    """Return what `work` returns: durably, or as a part of the caller's transaction."""
    if transaction.get_connection(write_database()).in_atomic_block:
        with transaction.atomic(using=write_database()):
            return work()
    return run_durably(work)


def announce(signal: Signal, family: SessionFamily, **fields: Any) -> None:
    """Announce what happened to a family, once the transaction has committed."""
    signals.announce(
        signal,
        sender=SessionFamily,
        using=write_database(),
        family_id=family.pk,
        user_pk=family.user_pk,
        **fields,
    )


def _read_committed(alias: str) -> None:
    """
    Run the transaction that begins here at READ COMMITTED.

    At a stricter level the database aborts whoever waited for a row that then changed:
    of many who retry, each time one would get on. At this level all get their turn.
    """
    connection = connections[alias]
    if connection.vendor in {"postgresql", "mysql"}:
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")


def _is_transient(error: Exception) -> bool:
    """Tell whether the transaction was in another's way, and may be tried again."""
    if isinstance(error, Overtaken):
        return True
    cause = error.__cause__
    if getattr(cause, "sqlstate", None) in _POSTGRESQL:
        return True
    if getattr(cause, "sqlite_errorcode", 0) & 0xFF in _SQLITE:
        return True
    return bool(error.args) and error.args[0] in _MYSQL
