"""The isolation levels that connections can run at, by database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.backends.signals import connection_created

SNAPSHOT = "innodb_snapshot_isolation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """How the connections of a race are set up."""

    name: str
    statements: tuple[str, ...] = ()
    variable: str | None = None

    @property
    def missing(self) -> str | None:
        """Return the server's variable that it takes, where the server has none."""
        if self.variable is None:
            return None
        with connection.cursor() as cursor:
            cursor.execute("SHOW VARIABLES LIKE %s", [self.variable])
            return None if cursor.fetchone() else self.variable


def _postgresql(name: str) -> Level:
    set_level = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL"
    return Level(name=name, statements=(f"{set_level} {name}",))


def _mariadb(name: str, snapshot: str) -> Level:
    return Level(
        name=f"{name}, snapshot isolation {snapshot}",
        statements=(
            f"SET SESSION TRANSACTION ISOLATION LEVEL {name}",
            f"SET SESSION {SNAPSHOT} = {snapshot}",
        ),
        variable=SNAPSHOT,
    )


def _mysql(name: str) -> Level:
    set_level = f"SET SESSION TRANSACTION ISOLATION LEVEL {name}"
    return Level(name=name, statements=(set_level,))


LEVELS = {
    "postgresql": [
        _postgresql("READ COMMITTED"),
        _postgresql("REPEATABLE READ"),
        _postgresql("SERIALIZABLE"),
    ],
    "mysql": [
        _mysql("READ COMMITTED"),
        _mysql("REPEATABLE READ"),
        _mariadb("READ COMMITTED", "ON"),
        _mariadb("REPEATABLE READ", "ON"),
    ],
    "sqlite": [Level(name="WAL")],
}


@contextmanager
def connections_at(level: Level) -> Iterator[None]:
    """Let connections that open from now on run at this level."""

    def isolate(connection: Any, **kwargs: Any) -> None:
        with connection.cursor() as cursor:
            for statement in level.statements:
                cursor.execute(statement)

    connection_created.connect(isolate)
    try:
        yield
    finally:
        connection_created.disconnect(isolate)
