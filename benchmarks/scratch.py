"""A database for one run, of the server or file that the settings name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

__all__ = ["scratch_database"]


@contextmanager
def scratch_database() -> Iterator[None]:
    """Migrate a new database, and drop it when the block ends."""
    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        yield
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)
