"""
No query of ours reads a table from end to end, as PostgreSQL plans it.

The tables hold so many rows that PostgreSQL would rather read them whole than go
without an index, as the last test shows. Other databases explain in other words.

Not asked here, because they do read the table: the admin's filters by a reason and an
address, which have no index, for each refresh would have to write it; and what counts
the live sessions for `rotating_sessions_stats`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from benchmarks.filling import Sessions, fill_ours_unsorted, fill_users
from rotating_sessions import revocations
from rotating_sessions.admin.listing import MAX_COUNT
from rotating_sessions.exceptions import RefreshTokenReused
from rotating_sessions.models import RefreshToken, RevokedReason, SessionFamily
from rotating_sessions.services import (
    count_ended,
    login,
    purge_sessions,
    read_history,
    read_purge_delay,
    revoke_all_sessions,
    revoke_session,
    survey_sessions,
)
from rotating_sessions.services.overview import Place
from rotating_sessions.services.reading import find_session
from tests.acting import claims_of, log_in, overtaken, present, rows_of, use
from tests.browsing import Api, bearer
from tests.staffing import LIST, REVOKE, VIEW, detail, staff

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="reads the plans of PostgreSQL"
    ),
]

TABLES = [model._meta.db_table for model in (SessionFamily, RefreshToken)]
OURS = re.compile(
    rf"(WITH|SELECT|INSERT|UPDATE|DELETE)\b.*({'|'.join(TABLES)})", re.DOTALL
)
# It stops at the limit, wherever the rows lie.
BOUNDED = f"LIMIT {MAX_COUNT + 1}) subquery"
# What takes no more rows than are taken from it: a limit above ends what is below.
PASSING = {"Incremental Sort", "LockRows", "Nested Loop", "Subquery Scan"}
SESSIONS = Sessions(
    ended=3000, live=27_000, refreshes=2, users=6000, days=12, revoked=9
)


@pytest.fixture(scope="module", autouse=True)
def _filled(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Fill the tables for all tests of this module, each of which is rolled back."""
    # The users of other tests, all rolled back, have taken the first numbers.
    empty = f"TRUNCATE {', '.join(TABLES)}, auth_user RESTART IDENTITY CASCADE"
    with django_db_blocker.unblock():
        run(empty)
        fill_users(SESSIONS.users)
        fill_ours_unsorted(SESSIONS, using="default")
        run("VACUUM ANALYZE")
        yield
        run(empty)


def run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


Act = Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A statement, and which of our tables it reads from end to end."""

    sql: str
    whole: frozenset[str]


@contextmanager
def planned() -> Iterator[list[Planned]]:
    """Collect what is asked of our tables, with the plan as of that moment."""
    found: list[Planned] = []

    def explain(execute: Any, sql: str, params: Any, *args: Any) -> Any:
        if OURS.match(sql):
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
                (plan,) = cursor.fetchone()
            plan = json.loads(plan) if isinstance(plan, str) else plan
            whole = frozenset(read_whole(plan[0]["Plan"]))
            found.append(Planned(sql=sql, whole=whole))
        return execute(sql, params, *args)

    with connection.execute_wrapper(explain):
        yield found


def read_whole(node: dict[str, Any], *, ends: bool = False) -> Iterator[str]:
    """
    Yield the tables and indexes of ours that a plan reads from end to end.

    An index, where its first column is not looked up, and no limit ends its scan.
    """
    kind, cond = node["Node Type"], node.get("Index Cond", "")
    if kind == "Seq Scan" and node["Relation Name"] in TABLES:
        yield node["Relation Name"]
    index = node.get("Index Name")
    if not ends and leading_columns().get(index, cond) not in cond:
        yield index
    for part in node.get("Plans", ()):
        yield from read_whole(part, ends=kind == "Limit" or (ends and kind in PASSING))


@cache
def leading_columns() -> dict[str, str]:
    """Return the first column of each of our indexes."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, attname FROM pg_index"
            " JOIN pg_class ON pg_class.oid = indexrelid"
            " JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]"
            " WHERE indrelid = ANY (%s::regclass[])",
            [TABLES],
        )
        return dict(cursor.fetchall())


def unbounded(statements: list[Planned]) -> list[str]:
    """Return those that read a table of ours from end to end."""
    return [each.sql for each in statements if each.whole and BOUNDED not in each.sql]


def drop_index(column: str) -> None:
    """Drop the indexes that lead with a column, until the test is rolled back."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexrelid::regclass, indrelid::regclass, conname FROM pg_index"
            " JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]"
            " LEFT JOIN pg_constraint ON conindid = indexrelid AND contype <> 'f'"
            " WHERE indrelid = ANY (%s::regclass[]) AND attname = %s",
            [TABLES, column],
        )
        found = cursor.fetchall()
        # Nothing that the test has written waits to be checked any more.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for index, table, constraint in found:
            if constraint is None:
                cursor.execute(f"DROP INDEX {index}")
            else:
                cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")


def a_live_family() -> SessionFamily:
    return SessionFamily.objects.live(timezone.now()).order_by("pk")[0]


def refresh(rf: Any) -> Act:
    pair = log_in(rf, a_live_family().user)
    return lambda: present(pair)


def refresh_after_another(rf: Any) -> Act:
    pair = log_in(rf, a_live_family().user)

    def act() -> None:
        with overtaken(lambda: rows_of(pair).update(networks="")):
            present(pair)

    return act


def refresh_by_predecessor(rf: Any) -> Act:
    pair = log_in(rf, a_live_family().user)
    present(pair)
    return lambda: present(pair)


def refresh_by_thief(rf: Any) -> Act:
    stolen = log_in(rf, a_live_family().user)
    rows_of(stolen).update(generation=4, previous=3)

    def act() -> None:
        with pytest.raises(RefreshTokenReused):
            present(stolen)

    return act


def confirm(rf: Any) -> Act:
    pair = present(log_in(rf, a_live_family().user))
    return lambda: use(pair)


def confirm_again(rf: Any) -> Act:
    pair = log_in(rf, a_live_family().user)
    present(pair)
    return lambda: use(pair)


def read_user(rf: Any) -> Act:
    claims = claims_of(log_in(rf, a_live_family().user))
    return lambda: find_session(claims)


def begin(rf: Any) -> Act:
    user = a_live_family().user
    return lambda: log_in(rf, user)


def enforce_limit(rf: Any) -> Act:
    user = a_live_family().user
    return lambda: login._enforce_session_limit(user.pk)


def survey(rf: Any) -> Act:
    family = a_live_family()
    return lambda: survey_sessions(user_pk=family.user_id, current=family.pk)


def survey_on(rf: Any) -> Act:
    family = a_live_family()
    after = Place(created_at=family.created_at, id=family.pk)
    return lambda: survey_sessions(user_pk=family.user_id, after=after)


def list_by_api(rf: Any) -> Act:
    pair = log_in(rf, a_live_family().user)
    return lambda: Api().get("/auth/sessions/", **bearer(pair.access))


def log_out(rf: Any) -> Act:
    family = a_live_family()
    return lambda: revoke_session(family.pk, reason=RevokedReason.LOGOUT)


def log_out_everywhere(rf: Any) -> Act:
    user_pk = a_live_family().user_id
    reason = RevokedReason.LOGOUT_EVERYWHERE
    return lambda: revoke_all_sessions(user_pk, reason=reason)


def poll(rf: Any) -> Act:
    return lambda: revocations.poll(timezone.now())


def poll_once_more(rf: Any) -> Act:
    revocations.poll(timezone.now() - timedelta(seconds=10))
    return lambda: revocations.poll(timezone.now())


def purge(rf: Any) -> Act:
    return lambda: list(purge_sessions(max_batches=2))


def trim(rf: Any) -> Act:
    # All that has ended is gone, and of the first live ones one token each is to stay.
    SessionFamily.objects.filter(idle_at__lt=timezone.now()).delete()
    return lambda: list(purge_sessions(batch_size=100, max_batches=2))


def count_what_ended(rf: Any) -> Act:
    return lambda: count_ended(limit=1000)


def read_delay(rf: Any) -> Act:
    return read_purge_delay


def read_timeline(rf: Any) -> Act:
    family = a_live_family()
    return lambda: read_history(family)


def look(**params: str) -> Callable[[Any], Act]:
    """Return how a member of staff asks for the list."""

    def arrange(rf: Any) -> Act:
        browser = staff(VIEW, REVOKE, username="watcher")
        return lambda: browser.get(LIST, params)

    return arrange


def look_closer(rf: Any) -> Act:
    browser, page = staff(VIEW, REVOKE, username="watcher"), detail(a_live_family())
    return lambda: browser.get(page)


def search_by_id(rf: Any) -> Act:
    return look(q=str(a_live_family().pk))(rf)


ACTS = [
    *(refresh, refresh_after_another, refresh_by_predecessor, refresh_by_thief),
    *(confirm, confirm_again, read_user, begin, enforce_limit),
    *(survey, survey_on, list_by_api, log_out, log_out_everywhere),
    *(
        poll,
        poll_once_more,
        purge,
        trim,
        count_what_ended,
        read_delay,
        read_timeline,
    ),
    *(look_closer, search_by_id),
    pytest.param(look(), id="look"),
    pytest.param(look(q="user77"), id="look_for_user"),
    pytest.param(look(state="live"), id="look_at_live"),
    pytest.param(look(state="revoked"), id="look_at_revoked"),
    pytest.param(look(state="idle"), id="look_at_idle"),
    pytest.param(look(state="expired"), id="look_at_expired"),
    pytest.param(look(created_at__year="2026"), id="look_at_year"),
]


@pytest.mark.parametrize("arrange", ACTS)
def test_nothing_is_read_from_end_to_end(rf, settings, arrange):
    """Each query of sessions and tokens goes by an index."""
    settings.ROTATING_SESSIONS = {"TOKEN_HISTORY": 1}
    act = arrange(rf)

    with planned() as statements:
        act()

    assert statements
    assert unbounded(statements) == []


@pytest.mark.parametrize(
    ("column", "arrange"),
    [
        ("id", refresh),
        ("user_id", survey),
        ("created_at", look()),
        ("ends_on", purge),
        ("revoked_at", poll),
        ("family_id", read_timeline),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_missing_index_shows(rf, column, arrange):
    """Without the index that leads with a column, what needs it reads the table."""
    act = arrange(rf)
    drop_index(column)

    with planned() as statements:
        act()

    assert unbounded(statements)
