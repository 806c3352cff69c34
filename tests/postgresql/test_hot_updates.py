"""A refresh changes no indexed column, and PostgreSQL then leaves all indexes alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection

from rotating_sessions.models import RefreshToken, SessionFamily
from tests.acting import log_in, refresh_and_use

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="Only PostgreSQL counts them."
    ),
]

# Of this transaction: all updates, and those that wrote no index ("heap-only tuples").
COUNTS = """
SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = %s
"""


@pytest.fixture
def pair(rf, user, clock):
    return log_in(rf, user)


@contextmanager
def counted_updates() -> Iterator[list[int]]:
    """Count all updates of families, and those among them that wrote no index."""
    found: list[int] = []
    before = read_counts()
    yield found
    found += [now - then for now, then in zip(read_counts(), before, strict=True)]


def read_counts() -> tuple[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(COUNTS, [SessionFamily._meta.db_table])
        return cursor.fetchone()


def test_every_update_of_a_day_leaves_the_indexes_alone(pair, clock):
    """Refreshes and confirmations are heap-only updates, where their page has room."""
    with counted_updates() as counts:
        refresh_and_use(pair, clock, times=5)

    assert counts == [10, 10]


def test_one_update_of_a_new_day_writes_the_indexes(pair, clock):
    """The first refresh of a day moves the last day, and is the only one to do so."""
    clock.forward(timedelta(hours=19))

    with counted_updates() as counts:
        refresh_and_use(pair, clock, times=4)

    assert counts == [8, 7]


def test_pages_keep_room_for_the_next_version_of_a_row():
    """Pages of sessions are not filled up: an update that finds no room is not HOT."""
    tables = [model._meta.db_table for model in (SessionFamily, RefreshToken)]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, reloptions FROM pg_class WHERE relname = ANY(%s)", [tables]
        )
        found = dict(cursor.fetchall())

    assert found == {tables[0]: ["fillfactor=85"], tables[1]: None}
