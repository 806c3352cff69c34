"""Races over HTTP, in transactions of the requests and without."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from rotating_sessions.signals import refresh_token_reused
from tests.acting import columns, heard, log_in, present, use
from tests.browsing import Api
from tests.races.racing import (
    THREADS,
    full,
    race,
    several_times,
    times,
    wait_a_grace_period,
)

pytestmark = pytest.mark.django_db(transaction=True)


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
