"""docs/scaling.md, "Partitions": its SQL, and all that goes on over its tables."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.db.migrations.state import ProjectState
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from rotating_sessions import revocations
from rotating_sessions.exceptions import RefreshTokenReused, SessionEnded
from rotating_sessions.models import RefreshToken, RevokedReason, SessionFamily
from rotating_sessions.services import (
    PurgeCount,
    purge_sessions,
    read_purge_delay,
    read_statistics,
    revoke_session,
    survey_sessions,
)
from rotating_sessions.services.reading import families
from tests.acting import W, claims_of, columns, log_in, present, rows_of, use
from tests.factories import RefreshTokenFactory, SessionFamilyFactory

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="Only PostgreSQL has partitions."
    ),
]

SCALING = Path(__file__).parents[2] / "docs" / "scaling.md"
TABLES = [model._meta.db_table for model in (SessionFamily, RefreshToken)]
DAY = timedelta(days=1)


@pytest.fixture
def before(rf, user, clock):
    """Return the tokens of a session that began before there were partitions."""
    return log_in(rf, user)


def block(language: str) -> str:
    """Return the page's only block in a language."""
    page = SCALING.read_text(encoding="utf-8")
    (found,) = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
    return found


@pytest.fixture(autouse=True)
def _partitioned(before, tmp_path):
    """Run the page's SQL by the page's migration."""
    (tmp_path / "partition_sessions.sql").write_text(block("sql"), encoding="utf-8")
    names = {"__file__": str(tmp_path / "0001_partitions.py")}
    exec(block("python"), names)  # noqa: S102 - our own page
    migration = names["Migration"]("0001_partitions", "site")
    with connection.cursor() as cursor:
        # Nothing may be left to check, as at the end of a transaction.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    with connection.schema_editor() as editor:
        migration.apply(ProjectState(), editor)


def partitions(table: str) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits"
            " WHERE inhparent = %s::regclass",
            [table],
        )
        return {name for (name,) in cursor.fetchall()}


def touched(act: Callable[[], object]) -> list[set[str]]:
    """Do the act, and return what partitions the plan of each statement names."""
    with CaptureQueriesContext(connection) as queries:
        act()
    statements = [q["sql"] for q in queries if any(t in q["sql"] for t in TABLES)]
    return [parts_of_plan(sql) for sql in statements if not sql.startswith("INSERT")]


def parts_of_plan(sql: str) -> set[str]:
    # Of the statement as it was sent, literals and all: no plan is made for others.
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (FORMAT JSON) " + sql.replace("%", "%%"), [])
        (plan,) = cursor.fetchone()
    text = plan if isinstance(plan, str) else json.dumps(plan)
    return set(re.findall(r'"Relation Name": "(rotating_sessions_\w+_\d+)"', text))


def test_rows_move_into_the_partitions(before):
    """What was there before is there after, and the session goes on."""
    token = RefreshToken.objects.get()

    assert token.family_id == rows_of(before).get().pk
    assert len(partitions(TABLES[0])) == len(partitions(TABLES[1])) == 16


def test_constraints_of_the_old_tables_hold_in_the_new(before):
    """The page's tables have the columns, keys and indexes of those it replaces."""
    with connection.cursor() as cursor:
        found = [
            connection.introspection.get_constraints(cursor, table) for table in TABLES
        ]
    keys = [c["columns"] for t in found for c in t.values() if c["primary_key"]]
    indexed = [c["columns"] for t in found for c in t.values() if c["index"]]

    assert keys == [["id"], ["family_id", "generation"]]
    assert sorted(indexed) == [
        ["created_at"],
        ["ends_on", "id"],
        ["revoked_at"],
        ["user_id", "revoked_at", "expires_at"],
    ]
    assert [c["foreign_key"] for c in found[0].values() if c["foreign_key"]] == [
        (get_user_model()._meta.db_table, "id")
    ]
    assert [c["columns"] for c in found[0].values() if c["check"]] == [["displaced"]]


def test_every_part_of_the_hot_path_touches_one_partition(before, clock):
    """Rotation, grace, confirmation and first use plan for one partition alone."""
    held = [before]

    def refresh() -> None:
        held.append(present(held[-1]))

    acts: list[Callable[[], object]] = [
        refresh,
        lambda: use(held[-1]),
        lambda: present(held[0]),
        lambda: clock.forward(W),
        refresh,
        lambda: present(held[-1]),
    ]
    plans = [plan for act in acts for plan in touched(act)]

    families_of_one = {part for plan in plans for part in plan}
    assert len(plans) >= 7
    assert {len(plan) for plan in plans} == {1}
    assert len(families_of_one) == 1


def test_theft_touches_one_partition_of_each_table(before, clock):
    """A reuse revokes one row, and notes it on one record."""
    newest = before
    for _ in range(2):
        newest = present(newest)
        use(newest)
        clock.forward(W)

    def steal() -> None:
        with pytest.raises(RefreshTokenReused):
            present(before)

    plans = touched(steal)

    assert {len(plan) for plan in plans} == {1}
    assert {part.rpartition("_")[0] for plan in plans for part in plan} == set(TABLES)
    assert columns(before)["revoked_reason"] == RevokedReason.REUSED
    assert RefreshToken.objects.get(generation=0).reused_at == clock.now


def test_sessions_live_and_end_over_partitions(rf, user, clock):
    """Login, list, revocation and its poll work as over one table."""
    pairs = [log_in(rf, user) for _ in range(20)]
    used = {
        row.tableoid
        for row in families().raw(
            "SELECT id, tableoid FROM rotating_sessions_sessionfamily"
        )
    }
    revocations.poll(clock.now)
    ended = claims_of(pairs[3])
    SessionFamily.objects.filter(pk=ended.family_id).update(
        revoked_at=clock.now, revoked_reason=RevokedReason.STAFF
    )
    clock.forward(timedelta(seconds=6))

    revocations.poll(clock.now)

    assert len(used) > 5
    assert revocations.is_revoked(ended.family_id)
    assert len(survey_sessions(user_pk=user.pk).sessions) == 20
    assert revoke_session(claims_of(pairs[4]).family_id, reason=RevokedReason.LOGOUT)
    with pytest.raises(SessionEnded):
        present(pairs[4])
    assert len(survey_sessions(user_pk=user.pk).sessions) == 19


def test_purge_and_statistics_see_every_partition(clock, settings):
    """Ended sessions go with their records, and live ones keep the last few."""
    settings.ROTATING_SESSIONS = {"TOKEN_HISTORY": 1}
    over = clock.now - 31 * DAY
    for ended in ({"revoked_at": over}, {"idle_at": over}, {"expires_at": over}):
        for family in SessionFamilyFactory.create_batch(5, now=clock.now, **ended):
            RefreshTokenFactory.create(family=family)
    live = SessionFamilyFactory.create(now=clock.now, generation=2)
    for number in range(3):
        RefreshTokenFactory.create(family=live, generation=number)
    delay = read_purge_delay()

    count = sum(purge_sessions(batch_size=4), PurgeCount())

    assert delay == DAY
    assert count == PurgeCount(families=15, tokens=17)
    found = read_statistics(DAY)
    assert (sum(found.live.values()), found.ended) == (2, 0)
    assert found.size is not None
    assert found.size > 32 * 8192


def test_staff_see_sessions_over_partitions(before, admin_client: Browser):
    """The admin lists a session, and tells what happened to it."""
    family = rows_of(before).get()
    listed = admin_client.get("/admin/rotating_sessions/sessionfamily/")

    page = admin_client.get(
        f"/admin/rotating_sessions/sessionfamily/{family.pk}/change/"
    )

    assert (listed.status_code, page.status_code) == (200, 200)
    assert str(family.user) in listed.content.decode()
    assert timezone.localtime(family.created_at).strftime("%Y") in page.content.decode()


def test_deleted_user_leaves_the_sessions(before, user: Any):
    """The user's deletion finds the sessions in all partitions, and ends them."""
    user.delete()

    row = SessionFamily.objects.get()
    assert (row.user_id, row.revoked_reason) == (None, RevokedReason.USER_DELETED)
