"""What races share: a session just begun, and connections at each isolation level."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, connections

from rotating_sessions.transports import TokenPair
from tests import figures
from tests.acting import log_in
from tests.races.levels import LEVELS, Level, connections_at


@pytest.fixture
def first(rf: Any, user: Any) -> TokenPair:
    """Return the pair of a login."""
    return log_in(rf, user)


@pytest.fixture(
    scope="module", params=LEVELS[connection.vendor], ids=lambda level: level.name
)
def level(request: Any, django_db_setup: None, django_db_blocker: Any) -> Level:
    """Return an isolation level that this server has."""
    found: Level = request.param
    with django_db_blocker.unblock():
        missing = found.missing
        connection.close()
    if missing:
        figures.count(f"isolation levels not raced, for want of {missing}")
        pytest.skip(f"This server has no {missing}.")
    return found


@pytest.fixture
def isolation(level: Level) -> Iterator[None]:
    """Run new connections at each isolation level."""
    with connections_at(level):
        yield


@pytest.fixture(params=[False, True], ids=["autocommit", "atomic requests"])
def atomic_requests(request: Any, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run views in transactions, or not, on the connections of all threads."""
    settings = connections.settings["default"]
    monkeypatch.setitem(settings, "ATOMIC_REQUESTS", request.param)
    return bool(request.param)
