"""
The statements of a refresh and of reading a user, each put together once.

Django builds the SQL of a query anew whenever it runs, which was most of what a refresh
took. Here it is kept for each connection, as prepared statements are. Values come and
go through the fields of the models, as they always do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeAlias, TypeVar, cast
from uuid import UUID

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, Model

from rotating_sessions.models import RefreshToken, SessionFamily

__all__ = [
    "give_user",
    "insert_token",
    "read_family",
    "rotate_family",
    "update_family",
]

_Built = TypeVar("_Built")
_Connection: TypeAlias = BaseDatabaseWrapper
_Values: TypeAlias = Mapping[str, Any]

# The attribute of a connection that holds its statements.
_KEPT = "rotating_sessions_statements"


def read_family(family_id: UUID, using: str) -> SessionFamily | None:
    """Return the family with its user, in one query, or None where there is none."""
    connection = connections[using]
    select = _keep(connection, _Select, partial(_Select, connection))
    with connection.cursor() as cursor:
        cursor.execute(select.sql, (select.prepare(family_id, connection),))
        row = cursor.fetchone()
    return None if row is None else select.build(row, connection)


def update_family(
    family_id: UUID, changes: _Values, expected: _Values, using: str
) -> bool:
    """
    Write to a family that nobody has revoked, and tell whether it was as expected.

    Args:
        family_id: The one row that is written.
        changes: The new values by field. Literals only: MySQL would compute an
            expression from what the same statement has just set.
        expected: What the row still holds, by field, where None is NULL.
        using: The database.
    """
    connection = connections[using]
    return _update(connection, family_id, changes, expected).write(connection)


def insert_token(token: _Values, using: str) -> None:
    """Write a ledger row: a value for every column that may not be NULL."""
    connection = connections[using]
    insert = _keep(connection, "insert", partial(_build_insert, connection, token))
    _Bound(insert, token.values()).write(connection)


def rotate_family(
    family_id: UUID, changes: _Values, expected: _Values, token: _Values, using: str
) -> bool:
    """
    Do as `update_family`, and write a ledger row with it, in one commit.

    PostgreSQL does both in one statement, which saves it three of four round trips.
    """
    connection = connections[using]
    if connection.vendor == "postgresql":
        update = _update(connection, family_id, changes, expected)
        build = partial(_build_rotate, connection, update.statement, token)
        rotate = _keep(connection, update.statement, build)
        return _Bound(rotate, (*update.values, *token.values())).write(connection)
    # No savepoint: whoever has a transaction open loses it by an error in here.
    with transaction.atomic(using=using, savepoint=False):
        if not update_family(family_id, changes, expected, using):
            return False
        insert_token(token, using)
    return True


def give_user(family: SessionFamily, user: object) -> None:
    """Let the family have this user, who was read beside it, as a join would."""
    # Not by assignment: that asks the routers, one of which may know the two apart.
    _field(SessionFamily, "user").set_cached_value(family, user)  # type: ignore[attr-defined]


class _Select:
    """The query of a family and its user, and how a row of it becomes both."""

    def __init__(self, connection: _Connection) -> None:
        self._families = [field.attname for field in _fields(SessionFamily)]
        # What the row refers to, which AUTH_USER_MODEL says no longer in a test.
        owner = _field(SessionFamily, "user")
        self._user_model = cast(type[Model], owner.related_model)
        self._users = [field.attname for field in _fields(self._user_model)]
        self.prepare = _field(SessionFamily, "id").get_db_prep_save
        # Any key will do: it is the query's one parameter.
        rows = SessionFamily.objects.using(connection.alias).filter(pk=UUID(int=0))
        columns = rows.values_list(
            *self._families, *[f"user__{name}" for name in self._users]
        )
        query = columns.query
        # Short: Django looks through the text each time that it is executed.
        tables: list[str | None] = list(query.alias_map)
        query.change_aliases({table: f"t{n}" for n, table in enumerate(tables)})
        compiler = query.get_compiler(connection=connection)
        compiler.pre_sql_setup()
        names = ", ".join(sql for _, (sql, _), _ in compiler.select)
        joins = " ".join(compiler.get_from_clause()[0])
        condition, _ = compiler.compile(compiler.where)
        self.sql = f"SELECT {names} FROM {joins} WHERE {condition}"  # noqa: S608 - as below
        expressions = [expression for expression, _, _ in compiler.select]
        self._converters = list(compiler.get_converters(expressions).items())

    def build(self, row: Iterable[Any], connection: _Connection) -> SessionFamily:
        """Return the family of a row, with its user or with None."""
        values = list(row)
        for position, (converters, expression) in self._converters:
            for convert in converters:
                values[position] = convert(values[position], expression, connection)
        alias, width = connection.alias, len(self._families)
        family = SessionFamily.from_db(alias, self._families, values[:width])
        if family.user_id is not None:
            user = self._user_model.from_db(alias, self._users, values[width:])
            give_user(family, user)
        return family


class _Statement:
    """The SQL of a statement that writes, and how the database takes each value."""

    def __init__(self, sql: str, fields: Iterable[Field[Any, Any]]) -> None:
        self.sql = sql
        self.fields = tuple(fields)
        self.prepare = [field.get_db_prep_save for field in self.fields]


class _Bound:
    """A statement with its values, in their order."""

    def __init__(self, statement: _Statement, values: Iterable[Any]) -> None:
        self.statement = statement
        self.values = values

    def write(self, connection: _Connection) -> bool:
        """Execute the statement, and tell whether it wrote a row."""
        pairs = zip(self.statement.prepare, self.values, strict=True)
        values = [prepare(value, connection) for prepare, value in pairs]
        with connection.cursor() as cursor:
            cursor.execute(self.statement.sql, values)
            return bool(cursor.rowcount)


def _update(
    connection: _Connection, family_id: UUID, changes: _Values, expected: _Values
) -> _Bound:
    given = [value for value in expected.values() if value is not None]
    tested = [(name, value is None) for name, value in expected.items()]
    shape = (tuple(changes), tuple(tested))
    update = _keep(connection, shape, partial(_build_update, connection, *shape))
    return _Bound(update, (*changes.values(), family_id, *given))


def _build_update(
    connection: _Connection,
    changed: tuple[str, ...],
    tested: tuple[tuple[str, bool], ...],
) -> _Statement:
    table, column = _quoting(connection, SessionFamily)
    sets = ", ".join(f"{column(name)} = %s" for name in changed)
    tests = [f"{column('id')} = %s"]
    tests += [
        f"{column(name)} IS NULL" if is_empty else f"{column(name)} = %s"
        for name, is_empty in tested
    ]
    # In brackets, and true: for a plain IS NULL MariaDB may lock the index before the
    # row, and two writes that come from either side deadlock.
    tests.append(f"({column('revoked_at')} IS NULL) = TRUE")
    # No value is in here, only the names of our own columns.
    sql = f"UPDATE {table} SET {sets} WHERE {' AND '.join(tests)}"  # noqa: S608
    given = [name for name, is_empty in tested if not is_empty]
    names = (*changed, "id", *given)
    return _Statement(sql, [_field(SessionFamily, name) for name in names])


def _build_insert(connection: _Connection, token: _Values) -> _Statement:
    table, columns, marks = _insertion(connection, token)
    sql = f"INSERT INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608 - as above
    return _Statement(sql, [_field(RefreshToken, name) for name in token])


def _build_rotate(
    connection: _Connection, update: _Statement, token: _Values
) -> _Statement:
    table, columns, marks = _insertion(connection, token)
    sql = (
        f"WITH rotated AS ({update.sql} RETURNING 1) "  # noqa: S608 - as above
        f"INSERT INTO {table} ({columns}) SELECT {marks} FROM rotated"
    )
    inserted = [_field(RefreshToken, name) for name in token]
    return _Statement(sql, [*update.fields, *inserted])


def _insertion(connection: _Connection, token: _Values) -> tuple[str, str, str]:
    """Return the ledger's table, the columns of a row and the marks of its values."""
    table, column = _quoting(connection, RefreshToken)
    return table, ", ".join(map(column, token)), ", ".join(["%s"] * len(token))


def _quoting(
    connection: _Connection, model: type[Model]
) -> tuple[str, Callable[[str], str]]:
    """Return the model's table, and what returns the column of a field, in quotes."""
    quote = connection.ops.quote_name
    table = quote(model._meta.db_table)  # noqa: SLF001 - public, for all its name
    return table, lambda name: quote(_field(model, name).column or name)


def _keep(connection: _Connection, key: object, build: Callable[[], _Built]) -> _Built:
    """Return what was built for this connection under the key, or build it."""
    # On the connection itself, which they refer to, and so for as long as it lasts.
    kept: dict[object, Any] = vars(connection).setdefault(_KEPT, {})
    if key not in kept:
        kept[key] = build()
    return cast(_Built, kept[key])


def _fields(model: type[Model]) -> list[Field[Any, Any]]:
    return list(model._meta.concrete_fields)  # noqa: SLF001 - as above


def _field(model: type[Model], name: str) -> Field[Any, Any]:
    return cast("Field[Any, Any]", model._meta.get_field(name))  # noqa: SLF001
