"""Fill tables without their indexes, which are built faster all at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections

from rotating_sessions.models import RefreshToken, SessionFamily

__all__ = ["TABLES", "without_indexes"]

TABLES = tuple(model._meta.db_table for model in (SessionFamily, RefreshToken))  # noqa: SLF001 - Django's

# Foreign keys last: they rest on the keys. They hold for what is written from now on,
# and what the fill has written is not compared.
_CONSTRAINTS = """
SELECT conrelid::regclass::text, conname,
    pg_get_constraintdef(oid) || CASE contype WHEN 'f' THEN ' NOT VALID' ELSE '' END
FROM pg_constraint
WHERE conrelid = ANY (%s::regclass[]) AND contype IN ('p', 'u', 'f')
ORDER BY contype = 'f'
"""
_INDEXES = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid = ANY (%s::regclass[])
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
"""


@contextmanager
def without_indexes(using: str) -> Iterator[None]:
    """Drop the indexes and constraints of our tables, and build them at the end."""
    with connections[using].cursor() as cursor:
        cursor.execute(_CONSTRAINTS, [list(TABLES)])
        constraints = cursor.fetchall()
        cursor.execute(_INDEXES, [list(TABLES)])
        indexes = cursor.fetchall()
        for table, name, _definition in reversed(constraints):
            cursor.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
        for name, _definition in indexes:
            cursor.execute(f"DROP INDEX {name}")
        yield
        cursor.execute("SET maintenance_work_mem = '1GB'")
        for _name, definition in indexes:
            cursor.execute(definition)
        for table, name, definition in constraints:
            cursor.execute(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}')
