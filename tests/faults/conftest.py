"""What the faults share: a database that other processes see, and workers to kill."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from tests.faults.crew import Crew, hired

# Each module runs on the databases that can fail in its way; the others never load it.
_ONLY_ON = {
    "test_connections_cut.py": {"mysql", "postgresql"},
    "test_deadlocks.py": {"mysql", "postgresql"},
    "test_full_disk.py": {"sqlite"},
    "test_replicas.py": {"postgresql"},
    "test_restarts.py": {"mysql", "postgresql"},
}
collect_ignore = [
    module for module, vendors in _ONLY_ON.items() if connection.vendor not in vendors
]


@pytest.fixture(autouse=True)
def _database(transactional_db: None) -> None:
    """Commit for real, because other processes and connections have to see it."""


@pytest.fixture(scope="session")
def crew(django_db_setup: None, django_db_blocker: Any) -> Iterator[Crew]:
    """Return workers that may die."""
    with hired() as workers:
        yield workers
