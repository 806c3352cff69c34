"""The migrations: complete, and reversible."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection, migrations
from django.db.migrations.executor import MigrationExecutor

TABLES = {"rotating_sessions_sessionfamily", "rotating_sessions_refreshtoken"}


def tables() -> set[str]:
    return TABLES & set(connection.introspection.table_names())


@pytest.mark.django_db
def test_no_migration_is_missing():
    """The migrations make the tables that the models describe."""
    answer = StringIO()

    call_command("makemigrations", check=True, dry_run=True, stdout=answer)

    assert "No changes detected" in answer.getvalue()


def test_no_migration_touches_a_row():
    """DB-07: Tables are made, and none that holds rows is locked or rewritten."""
    nodes = MigrationExecutor(None).loader.disk_migrations
    own = [
        migration for (app, _), migration in nodes.items() if app == "rotating_sessions"
    ]

    operations = {type(operation) for each in own for operation in each.operations}
    code = [
        operation.code.__name__
        for each in own
        for operation in each.operations
        if isinstance(operation, migrations.RunPython)
    ]

    assert operations == {migrations.CreateModel, migrations.RunPython}
    assert code == ["leave_room"]


@pytest.mark.django_db(transaction=True)
def test_migrations_are_reversible():
    """DB-07: The tables can be taken back, and made again."""
    newest = MigrationExecutor(connection).loader.graph.leaf_nodes("rotating_sessions")

    try:
        call_command("migrate", "rotating_sessions", "zero", verbosity=0)
        without = tables()
    finally:
        call_command("migrate", "rotating_sessions", verbosity=0)

    assert without == set()
    assert tables() == TABLES
    assert set(newest) <= set(MigrationExecutor(connection).loader.applied_migrations)
