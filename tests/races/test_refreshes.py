"""Refreshes and first uses of one session at once, by its client and by a thief."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from django.db import OperationalError, connections, transaction

from rotating_sessions.exceptions import RefreshTokenReused, SessionEnded
from rotating_sessions.models import RefreshToken
from rotating_sessions.services.reading import lock_family
from rotating_sessions.signals import refresh_token_reused, session_revoked
from rotating_sessions.transports import TokenPair
from tests.acting import client_at, columns, heard, present, rows_of, use
from tests.races.racing import (
    THREADS,
    full,
    kinds,
    race,
    several_times,
    times,
    wait_a_grace_period,
)

pytestmark = pytest.mark.django_db(transaction=True)

# The current token.


@several_times
def test_one_of_many_gets_the_successor(first, isolation, attempt):
    """I-4, RT-01: Of N presentations one is answered in full, the others not."""
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


def lock_generation(pair: TokenPair) -> int | None:
    """Return the generation of the locked row, or None where the database aborts."""
    try:
        with transaction.atomic():
            family = lock_family(rows_of(pair).get())
            return None if family is None else family.generation
    except OperationalError:
        return None
    finally:
        connections.close_all()


def test_second_pass_waits_for_who_is_changing_the_row(first, isolation):
    """I-2: The row is never judged as it was before a change that is under way."""
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            rows_of(first).update(generation=5)
            second = pool.submit(lock_generation, first)
            # Time enough to come back, for whoever does not wait.
            with suppress(TimeoutError):
                second.result(timeout=1)

        assert second.result() in {5, None}


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
