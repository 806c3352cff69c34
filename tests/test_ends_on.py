"""The day on which a session ends, by which it is found: a refresh seldom moves it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from rotating_sessions.models import SessionFamily
from tests.acting import START, columns, log_in, present, refresh_and_use

pytestmark = pytest.mark.django_db


@pytest.fixture
def pair(rf, user, clock):
    return log_in(rf, user)


def indexed_columns() -> set[str]:
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(
            cursor, SessionFamily._meta.db_table
        )
    return {name for c in found.values() if c["index"] for name in c["columns"]}


def test_no_indexed_column_changes_at_a_refresh(pair, clock):
    """Within a day a refresh and its confirmation leave what is indexed as it was."""
    before = columns(pair)

    refresh_and_use(pair, clock, times=5)

    after = columns(pair)
    changed = {name for name in before if before[name] != after[name]}
    assert {"generation", "idle_at", "rotated_at", "confirmed_at"} <= changed
    assert not changed & indexed_columns()


def test_the_last_day_moves_once_a_day(pair, clock):
    """The day on which a session ends is indexed, and moves with the first refresh."""
    days = [columns(pair)["ends_on"]]
    for span in (timedelta(hours=18), timedelta(hours=2), timedelta(days=1)):
        clock.forward(span)
        pair = present(pair)
        days.append(columns(pair)["ends_on"])

    first = (START + timedelta(days=14)).date()
    assert days == [first + timedelta(days=number) for number in (0, 0, 1, 2)]


def test_the_last_day_is_no_later_than_the_session_may_live(pair, clock):
    """Near the end of its life a session ends by its age, which no refresh puts off."""
    for _ in range(3):
        clock.forward(timedelta(days=9))
        pair = present(pair)

    row = columns(pair)
    assert row["expires_at"] < row["idle_at"]
    assert row["ends_on"] == row["expires_at"].date()
