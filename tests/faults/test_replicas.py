"""Replicas: one that lags is asked nothing, and one that takes over carries on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, connections
from django.test import override_settings

from rotating_sessions.models import RevokedReason, SessionFamily
from rotating_sessions.services import purge_sessions
from rotating_sessions.signals import lost_commit
from tests.acting import MOMENT, Clock, W, columns, heard, log_in, rows_of
from tests.browsing import Api
from tests.faults.aftermath import (
    Honest,
    Request,
    assert_ended,
    assert_unavailable,
    carries_on,
    carries_on_with_a_hole,
    family_of,
    passing,
)
from tests.faults.elsewhere import elsewhere
from tests.faults.servers import PostgreSQL, own_replica
from tests.faults.stages import settled
from tests.figures import count
from tests.routers import EveryReplica

REPLICA = "replica"
DAY = timedelta(days=1)


class ReadsFromReplica(EveryReplica):
    """All reads go to a replica that is there, and lags, unless they say where to."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return REPLICA

    def allow_relation(self, *objects: Any, **hints: Any) -> bool:
        return True


@pytest.fixture(autouse=True)
def _database(django_db_blocker: Any) -> Iterator[None]:
    """Let every database be reached: those of these tests are their own."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def servers() -> Iterator[tuple[PostgreSQL, PostgreSQL]]:
    """Connect to a primary, and to a replica of it by an alias of its own."""
    with own_replica() as (primary, replica), elsewhere(**primary.place):
        call_command("migrate", verbosity=0)
        connections.databases[REPLICA] = {**connection.settings_dict, **replica.place}
        try:
            yield primary, replica
        finally:
            connections.close_all()
            del connections[REPLICA], connections.databases[REPLICA]


def ask(alias: str, sql: str) -> Any:
    with connections[alias].cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def catch_up() -> None:
    """Wait until the replica shows all that is committed."""
    written = ask("default", "SELECT pg_current_wal_lsn()")
    while not ask(REPLICA, f"SELECT pg_last_wal_replay_lsn() >= '{written}'"):
        time.sleep(0.02)


@contextmanager
def reading_from_replica() -> Iterator[list[str]]:
    """Send reads to the replica, and collect what it is asked about sessions."""
    found: list[str] = []

    def note(execute: Any, sql: str, *args: Any) -> Any:
        if "rotating_sessions_" in sql:
            found.append(sql)
        return execute(sql, *args)

    with (
        override_settings(DATABASE_ROUTERS=[ReadsFromReplica()]),
        connections[REPLICA].execute_wrapper(note),
    ):
        yield found


def row_on_replica(client: Honest) -> dict[str, Any]:
    rows = SessionFamily.objects.using(REPLICA).filter(pk=family_of(client))
    return rows.values().get()


# A replica that lags.


@pytest.fixture
def stale(servers, rf, clock):
    """Return a client whose session the replica knows as it was, and no later."""
    client = settled(rf, clock)
    catch_up()
    ask(REPLICA, "SELECT pg_wal_replay_pause()::text")
    return client


def test_no_session_is_read_from_a_replica(stale, clock):
    """A refresh, its use, a theft and a revocation are decided on the primary."""
    before = row_on_replica(stale)
    with reading_from_replica() as questions:
        for _ in range(3):
            assert "refresh" in stale.refreshes().body
            assert stale.visits.send(Api()).status == 200
            clock.forward(W)
        stolen = Request(path="/auth/refresh/", body={"refresh": stale.superseded[-1]})
        verdicts = [stolen.send(Api()).code, stale.refreshes().code]

    assert verdicts == [(401, "session_ended")] * 2
    assert questions == []
    assert row_on_replica(stale) == before
    assert_ended(stale, RevokedReason.REUSED)
    assert columns(stale)["generation"] == before["generation"] + 3
    count("replicas that lagged")


def test_a_session_that_no_replica_has_heard_of_serves(stale, rf, clock):
    """A session that began after the replica stopped is listed, and ends."""
    user = rows_of(stale).get().user
    pair = log_in(rf, user)
    client = Honest(refresh=pair.refresh or "", access=pair.access)
    lists = Request(path="/auth/sessions/", access=client.access)
    leaves = Request(path="/auth/logout/", body={"refresh": client.refresh})
    with reading_from_replica() as questions:
        listed = lists.send(Api()).body["results"]
        left = leaves.send(Api()).status
        after = client.refreshes()

    assert [session["current"] for session in listed] == [True, False]
    assert (left, after.code) == (204, (401, "session_ended"))
    assert questions == []
    assert not SessionFamily.objects.using(REPLICA).filter(pk=family_of(client))


def test_a_password_that_no_replica_has_heard_of_ends_the_session(stale, clock):
    """I-23: A new password counts from its commit on, whatever a replica says."""
    user = rows_of(stale).get().user
    user.set_password("a password that the replica does not know")
    user.save(using="default")
    with reading_from_replica() as questions:
        visit = stale.visits.send(Api())
        answer = stale.refreshes()

    assert visit.body["user"] == ""
    assert answer.code == (401, "session_ended")
    assert columns(stale)["revoked_reason"] == RevokedReason.PASSWORD_CHANGED
    assert questions == []


def test_a_purge_asks_no_replica(stale, clock):
    """What is purged is what the primary says, be the replica's rows live."""
    rows_of(stale).update(revoked_at=clock.now - 31 * DAY)
    with reading_from_replica() as questions:
        purged = sum(batch.families for batch in purge_sessions())

    assert purged == 1
    assert questions == []
    assert row_on_replica(stale)["revoked_at"] is None


# A replica that takes over.


def cut(replica: PostgreSQL) -> None:
    """Let the replica hear nothing more, as if its line were down."""
    with connections[REPLICA].cursor() as cursor:
        cursor.execute("ALTER SYSTEM SET primary_conninfo = ''")
        cursor.execute("SELECT pg_reload_conf()")
    while ask(REPLICA, "SELECT count(*) FROM pg_stat_wal_receiver"):
        time.sleep(0.02)


def refreshes_unknown_to_the_replica(client: Honest, clock: Clock, times: int) -> None:
    for _ in range(times):
        assert "refresh" in client.refreshes().body
        client.visits.send(Api())
        clock.forward(W)


def test_sessions_outlive_their_primary(servers, rf, clock):
    """I-15, I-5: The replica takes over, up to two lost commits behind each session."""
    primary, replica = servers
    clients = {lost: settled(rf, clock) for lost in (0, 1, 2, 3)}
    catch_up()
    cut(replica)
    for lost, client in clients.items():
        refreshes_unknown_to_the_replica(client, clock, lost)

    plain = Request(path="/plain/", access=clients[3].access)
    plain.send(Api())

    primary.stop()
    assert_unavailable(clients[0].asks.send(Api()))
    served = plain.send(Api()).status
    replica.promote()

    assert served == 200
    with elsewhere(**replica.place):
        clock.forward(MOMENT)
        with heard(lost_commit) as events:
            answers = {lost: client.refreshes() for lost, client in clients.items()}
        further = answers.pop(3)
        assert ["refresh" in answer.body for answer in answers.values()] == [True] * 3
        assert [event["generation"] for event in events] == [2, 3]
        assert further.code == (401, "session_ended")
        assert columns(clients.pop(3))["revoked_at"] is None
        clock.forward(W)
        carries_on(clients.pop(0), passing(clock))
        for client in clients.values():
            carries_on_with_a_hole(client, clock)
    count("replicas that took over")


def test_a_theft_from_before_the_failover_is_told_after_it(servers, rf, clock):
    """I-8: The replica knows of a superseded token what the primary knew."""
    primary, replica = servers
    client = settled(rf, clock)
    stolen = Request(path="/auth/refresh/", body={"refresh": client.superseded[-1]})
    catch_up()
    primary.stop()
    replica.promote()

    with elsewhere(**replica.place):
        answer = stolen.send(Api())

        assert answer.code == (401, "session_ended")
        assert_ended(client, RevokedReason.REUSED)
    count("thefts caught after a fault")
