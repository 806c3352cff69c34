"""Races: real threads on one family, each with a connection of its own."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, connections, transaction
from django.db.backends.signals import connection_created
from django.test import override_settings
from django.utils import timezone

from rotating_sessions.exceptions import (
    InvalidToken,
    RefreshTokenReused,
    SessionEnded,
    SessionError,
)
from rotating_sessions.models import RefreshToken, RevokedReason, SessionFamily
from rotating_sessions.services import (
    keep_session_after_password_change,
    purge_sessions,
    revoke_all_sessions,
    revoke_session,
)
from rotating_sessions.signals import refresh_token_reused, session_revoked
from rotating_sessions.transports import TokenPair
from tests.acting import (
    claims_of,
    client_at,
    columns,
    heard,
    log_in,
    present,
    rows_of,
    use,
)
from tests.browsing import Api

pytestmark = pytest.mark.django_db(transaction=True)

THREADS = 16
several_times = pytest.mark.parametrize("attempt", range(3))

_LEVELS = {
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL ",
    "mysql": "SET SESSION TRANSACTION ISOLATION LEVEL ",
    # SQLite has one level, the strictest, which this leaves on.
    "sqlite": "PRAGMA read_uncommitted = OFF; -- ",
}


def race(*jobs: Callable[[], Any]) -> list[Any]:
    """Start the jobs at one moment, and return what each returned or was refused."""
    barrier = threading.Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> Any:
        try:
            connection.ensure_connection()
            barrier.wait(timeout=30)
            return job()
        except SessionError as refusal:
            return refusal
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def times(count: int, job: Callable[..., Any], *args: Any) -> list[Callable[[], Any]]:
    return [lambda: job(*args)] * count


def full(outcomes: list[Any]) -> list[TokenPair]:
    """Return the answers that hand out a refresh token."""
    pairs = [pair for pair in outcomes if isinstance(pair, TokenPair)]
    return [pair for pair in pairs if pair.refresh is not None]


def kinds(outcomes: list[Any]) -> set[type]:
    return {type(outcome) for outcome in outcomes}


def wait_a_grace_period(pair: TokenPair) -> None:
    """Put the last rotation longer ago than W."""
    rows_of(pair).update(rotated_at=timezone.now() - timedelta(seconds=61))


@pytest.fixture
def first(rf: Any, user: Any) -> TokenPair:
    """Return the pair of a login."""
    return log_in(rf, user)


@pytest.fixture(params=["READ COMMITTED", "REPEATABLE READ"])
def isolation(request: Any) -> Iterator[str]:
    """Run new connections at this isolation level; SQLite has only the strictest."""

    def isolate(connection: Any, **kwargs: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_LEVELS[connection.vendor] + request.param)

    connection_created.connect(isolate)
    yield request.param
    connection_created.disconnect(isolate)


# The current token.


@several_times
def test_one_of_many_gets_the_successor(first, isolation, attempt):
    """I-4: Of N presentations one is answered in full, the others with access only."""
    outcomes = race(*times(THREADS, present, first))

    assert kinds(outcomes) == {TokenPair}
    assert len(full(outcomes)) == 1
    row = columns(first)
    assert (row["generation"], row["displaced"]) == (1, 0)
    assert row["revoked_at"] is None


@several_times
def test_one_of_many_gets_the_successor_after_a_rotation(first, attempt):
    """I-4: A token that served for a while is rotated once, however many bring it."""
    newest = present(first)
    wait_a_grace_period(first)

    outcomes = race(*times(THREADS, present, newest))

    assert kinds(outcomes) == {TokenPair}
    assert len(full(outcomes)) == 1
    assert columns(first)["generation"] == 2
    assert RefreshToken.objects.count() == 3


@several_times
def test_newest_token_inside_the_grace_period_is_only_confirmed(first, attempt):
    """I-14: N presentations within W of the rotation rotate nothing."""
    newest = present(first)

    outcomes = race(*times(THREADS, present, newest))

    assert kinds(outcomes) == {TokenPair}
    assert full(outcomes) == []
    row = columns(first)
    assert row["generation"] == 1
    assert row["confirmed_at"] is not None


@several_times
def test_many_retries_of_one_token_in_grace_are_forgiven(first, attempt):
    """I-10: N retries with the predecessor within W confirm and rotate nothing."""
    present(first)
    before = columns(first)

    outcomes = race(*times(THREADS, present, first))

    assert kinds(outcomes) == {TokenPair}
    assert full(outcomes) == []
    assert columns(first) == before


@several_times
def test_two_generations_at_once_are_both_answered(first, attempt):
    """I-2: Tabs that hold the newest token and its predecessor do not disturb."""
    newest = present(first)

    outcomes = race(
        *times(THREADS // 2, present, first), *times(THREADS // 2, present, newest)
    )

    assert kinds(outcomes) == {TokenPair}
    assert full(outcomes) == []
    assert columns(first)["generation"] == 1


@several_times
def test_lost_answer_is_replaced_once(first, isolation, attempt):
    """I-4: Of N retries after W, one is given another successor and counted as lost."""
    present(first)
    wait_a_grace_period(first)

    outcomes = race(*times(THREADS, present, first))

    assert kinds(outcomes) == {TokenPair}
    assert len(full(outcomes)) == 1
    row = columns(first)
    assert (row["generation"], row["displaced"]) == (2, 1)


@several_times
def test_networks_of_one_moment_are_all_remembered(first, attempt):
    """I-2: Refreshes from four networks at once leave all four in the row."""
    present(first)
    addresses = ["203.0.113.5", "198.51.100.1", "198.51.100.2", "198.51.100.3"]

    outcomes = race(
        *[lambda at=address: present(first, client_at(at)) for address in addresses]
    )

    assert kinds(outcomes) == {TokenPair}
    assert len(columns(first)["networks"].split()) == 4


# Confirm and re-rotate.


@several_times
def test_confirm_and_re_rotate_never_both_succeed(first, isolation, attempt):
    """I-12: A generation is confirmed or displaced, and never both."""
    newest = present(first)
    wait_a_grace_period(first)

    outcomes = race(
        *times(THREADS // 2, use, newest), *times(THREADS // 2, present, first)
    )

    confirmed = None in outcomes[: THREADS // 2]
    displaced = full(outcomes[THREADS // 2 :])
    assert confirmed != bool(displaced)
    row = columns(first)
    assert row["revoked_reason"] == "reused"
    assert (row["generation"], row["displaced"]) == ((1, 0) if confirmed else (2, 1))


# Theft.


@several_times
def test_replay_by_many_is_one_theft(first, isolation, caplog, attempt):
    """I-2: N replays revoke once; signals and log tell of it exactly once (RT-10)."""
    use(present(first))
    wait_a_grace_period(first)
    caplog.set_level(logging.INFO, "rotating_sessions.security")

    with (
        heard(refresh_token_reused) as thefts,
        heard(session_revoked) as revocations,
    ):
        outcomes = race(*times(THREADS, present, first))

    assert kinds(outcomes) <= {RefreshTokenReused, SessionEnded}
    assert (len(thefts), len(revocations)) == (1, 1)
    logged = sorted(record.getMessage() for record in caplog.records)
    assert logged == ["refresh_token_reused", "session_revoked"]
    assert columns(first)["revoked_reason"] == "reused"


@several_times
def test_thief_and_victim_at_once_end_the_session(first, attempt):
    """I-8: Whoever of thief and victim comes first, the session does not survive."""
    newest = present(first)
    use(newest)
    wait_a_grace_period(first)

    outcomes = race(
        *times(THREADS // 2, present, first), *times(THREADS // 2, present, newest)
    )

    row = columns(first)
    assert len(full(outcomes)) <= 1
    held = [pair for pair in (newest, *full(outcomes)) if pair.refresh]
    assert row["revoked_reason"] == "reused" or row["generation"] == 2
    assert len(held) <= 2


# Revocation.


def refresh_until_ended(
    pair: TokenPair, revoked: threading.Event
) -> list[tuple[bool, Any]]:
    """Present the token again and again; tell which began after the revocation."""
    seen: list[tuple[bool, Any]] = []
    for _ in range(25):
        late = revoked.is_set()
        try:
            seen.append((late, present(pair)))
        except SessionError as refusal:
            seen.append((late, refusal))
            return seen
    return seen


def and_then(event: threading.Event, job: Callable[[], Any]) -> Callable[[], Any]:
    """Return a job that sets the event once it is committed."""

    def run() -> Any:
        try:
            return job()
        finally:
            event.set()

    return run


@several_times
def test_nothing_is_issued_after_a_revocation(first, isolation, attempt):
    """I-1: No refresh that begins after a revocation has committed yields a token."""
    revoked = threading.Event()
    key = claims_of(first).family_id
    revoke = and_then(revoked, lambda: revoke_session(key, reason=RevokedReason.STAFF))

    ended, *seen = race(
        revoke, *times(THREADS - 1, refresh_until_ended, first, revoked)
    )

    assert ended is True
    answers = [outcome for visits in seen for late, outcome in visits if late]
    assert kinds(answers) <= {SessionEnded}
    assert columns(first)["revoked_reason"] == "staff"
    with pytest.raises(SessionEnded):
        present(first)


@several_times
def test_logout_everywhere_overtakes_every_refresh(rf, user, attempt):
    """I-1: All sessions that were live end, whatever their clients do meanwhile."""
    pairs = [log_in(rf, user) for _ in range(THREADS - 1)]

    count, *outcomes = race(
        lambda: revoke_all_sessions(user.pk, reason=RevokedReason.LOGOUT_EVERYWHERE),
        *[lambda held=pair: present(held) for pair in pairs],
    )

    assert count == len(pairs)
    assert kinds(outcomes) <= {TokenPair, SessionEnded}
    for pair in [*pairs, *full(outcomes)]:
        with pytest.raises(SessionEnded):
            present(pair)


@several_times
def test_one_of_many_logouts_ends_the_session(first, attempt):
    """I-2: Of N logouts of one session one ends it, and it is announced once."""
    key = claims_of(first).family_id

    with heard(session_revoked) as events:
        outcomes = race(
            *times(THREADS, lambda: revoke_session(key, reason=RevokedReason.LOGOUT))
        )

    assert sorted(outcomes) == [*[False] * (THREADS - 1), True]
    assert len(events) == 1


@several_times
def test_crossing_logouts_everywhere_do_not_block(rf, user, attempt):
    """I-2: Several who end the same sessions at once end each of them once."""
    for _ in range(6):
        log_in(rf, user)

    counts = race(
        *times(
            THREADS // 2,
            lambda: revoke_all_sessions(user.pk, reason=RevokedReason.STAFF),
        )
    )

    assert sum(counts) == 6


# The session limit.


@several_times
@override_settings(ROTATING_SESSIONS={"SESSION_LIMIT": 3})
def test_concurrent_logins_keep_to_the_limit(rf, user, isolation, attempt):
    """I-2: After N logins at once as many live as may, and not one fewer."""
    outcomes = race(*times(THREADS, log_in, rf, user))

    assert kinds(outcomes) == {TokenPair}
    rows = SessionFamily.objects
    assert rows.count() == THREADS
    assert rows.filter(revoked_at=None).count() == 3
    assert rows.filter(revoked_reason="session_limit").count() == THREADS - 3


# Purge.


@several_times
@override_settings(ROTATING_SESSIONS={"TOKEN_HISTORY": 1})
def test_purge_disturbs_no_refresh(rf, user, attempt):
    """I-2: Sessions are refreshed while others are purged and their ledgers trimmed."""
    live = [log_in(rf, user) for _ in range(THREADS - 4)]
    over = [log_in(rf, user) for _ in range(2)]
    for pair in live:
        present(pair)
        wait_a_grace_period(pair)
    for pair in over:
        rows_of(pair).update(idle_at=timezone.now() - timedelta(days=31))

    outcomes = race(
        *times(2, lambda: list(purge_sessions(batch_size=3))),
        *[lambda held=pair: present(held) for pair in [*live, *over]],
    )

    assert kinds(outcomes[2:-2]) == {TokenPair}
    assert all(isinstance(outcome, SessionError) for outcome in outcomes[-2:])
    assert kinds(outcomes[-2:]) <= {InvalidToken, *SessionEnded.__subclasses__()}
    assert SessionFamily.objects.count() == len(live)


# The user.


@several_times
def test_nothing_is_issued_after_the_user_is_deleted(first, user, attempt):
    """I-23: No refresh that begins after the user's deletion yields a token."""
    deleted = threading.Event()

    _, *seen = race(
        and_then(deleted, user.delete),
        *times(THREADS - 1, refresh_until_ended, first, deleted),
    )

    answers = [outcome for visits in seen for late, outcome in visits if late]
    assert kinds(answers) <= {SessionEnded}
    row = columns(first)
    assert (row["user_id"], row["revoked_reason"]) == (None, "user_deleted")


@several_times
def test_nothing_is_issued_after_the_password_changed(first, user, attempt):
    """I-23: No refresh that begins after the new password is saved yields a token."""
    changed = threading.Event()
    user.set_password("another one")

    _, *seen = race(
        and_then(changed, user.save),
        *times(THREADS - 1, refresh_until_ended, first, changed),
    )

    answers = [outcome for visits in seen for late, outcome in visits if late]
    assert kinds(answers) <= {SessionEnded}
    with pytest.raises(SessionEnded):
        present(first)


@several_times
def test_session_kept_at_a_password_change_survives_its_own_refreshes(
    rf, first, user, attempt
):
    """I-23: Refreshes that overlap the password change do not end the session kept."""
    request = rf.post("/password/")
    request.session_family = claims_of(first)
    user.set_password("another one")

    def change() -> None:
        with transaction.atomic():
            user.save()
            keep_session_after_password_change(request, user)

    outcomes = race(*times(THREADS - 1, present, first), change)

    assert kinds(outcomes) == {TokenPair, type(None)}
    assert columns(first)["revoked_at"] is None
    assert present(first).access


# Over HTTP.


@pytest.fixture(params=[False, True], ids=["autocommit", "atomic requests"])
def atomic_requests(request: Any, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run views in transactions, or not, on the connections of all threads."""
    settings = connections.settings["default"]
    monkeypatch.setitem(settings, "ATOMIC_REQUESTS", request.param)
    return bool(request.param)


def refresh_over_http(value: str) -> tuple[int, dict[str, Any]]:
    response = Api().send("/auth/refresh/", {"refresh": value})
    return response.status_code, json.loads(response.content)


@several_times
def test_one_of_many_requests_gets_the_successor(first, atomic_requests, attempt):
    """I-4, I-26: Of N requests one gets a refresh token, the others access only."""
    outcomes = race(*times(THREADS, refresh_over_http, first.refresh))

    assert {status for status, _ in outcomes} == {200}
    assert sum("refresh" in body for _, body in outcomes) == 1
    assert columns(first)["generation"] == 1


@several_times
def test_replay_by_many_requests_is_committed(first, atomic_requests, attempt):
    """I-1, I-26: N replays are all refused, and the session is revoked for good."""
    use(present(first))
    wait_a_grace_period(first)

    with heard(refresh_token_reused) as thefts:
        outcomes = race(*times(THREADS, refresh_over_http, first.refresh))

    answers = {(status, body["code"]) for status, body in outcomes}
    assert answers == {(401, "session_ended")}
    assert len(thefts) == 1
    assert columns(first)["revoked_reason"] == "reused"


def test_other_users_are_not_in_the_way(rf, db):
    """I-2: Sessions of different users are refreshed side by side."""
    users = [get_user_model().objects.create_user(f"racer{n}") for n in range(THREADS)]
    pairs = [log_in(rf, user) for user in users]

    outcomes = race(*[lambda held=pair: present(held) for pair in pairs])

    assert len(full(outcomes)) == THREADS
