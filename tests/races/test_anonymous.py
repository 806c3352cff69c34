"""A visitor's session taken over while it is changed, refreshed, or ended by others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.test import RequestFactory

from rotating_sessions.exceptions import RefreshTokenReused, SessionEnded
from rotating_sessions.models import RevokedReason, SessionFamily
from rotating_sessions.services import (
    change_session_data,
    revoke_session,
    start_anonymous_session,
    start_session,
)
from rotating_sessions.transports import TokenPair
from tests.acting import claims_of, columns, present
from tests.browsing import HOME
from tests.factories import UserFactory
from tests.races.racing import THREADS, full, race, several_times, times

pytestmark = pytest.mark.django_db(transaction=True)

BASKET = {"basket": {"tea": 2}}


@pytest.fixture
def visitor() -> TokenPair:
    """Return the pair of a visitor with a basket."""
    request = RequestFactory().get("/", REMOTE_ADDR=HOME)
    return start_anonymous_session(request, transport="header", data=BASKET)


def request_of(pair: TokenPair) -> Any:
    request: Any = RequestFactory().post("/anything/", REMOTE_ADDR=HOME)
    request.session_family = claims_of(pair)
    return request


def log_in(pair: TokenPair, user: Any) -> TokenPair:
    return start_session(request_of(pair), user, transport="header")


def mark(pair: TokenPair, number: int) -> int:
    change_session_data(request_of(pair), {"marks": {str(number): True}})
    return number


@several_times
def test_each_change_moves_or_is_refused(visitor, user, isolation, attempt):
    """I-2: Nobody is told that a change was made which the login leaves behind."""
    marks = [partial(mark, visitor, number) for number in range(THREADS - 1)]

    pair, *outcomes = race(partial(log_in, visitor, user), *marks)

    made = {str(each) for each in outcomes if isinstance(each, int)}
    refused = {type(each) for each in outcomes if not isinstance(each, int)}
    data = columns(pair)["data"]
    assert refused <= {SessionEnded}
    assert set(data.get("marks", ())) == made
    assert data["basket"] == BASKET["basket"]
    assert columns(visitor)["revoked_reason"] == "logged_in"


@several_times
def test_one_of_many_logins_takes_the_data(visitor, isolation, attempt):
    """I-2: Of all who log in from one visit at once, one gets what it held."""
    users = UserFactory.create_batch(THREADS)

    pairs = race(*[partial(log_in, visitor, user) for user in users])

    found = [columns(pair)["data"] for pair in pairs]
    assert found.count(BASKET) == 1
    assert found.count(None) == THREADS - 1


@several_times
def test_refreshes_beside_a_login_are_answered_or_refused(
    visitor, user, isolation, attempt
):
    """I-1, I-2: Whichever was first, nothing is theft, and one live session is left."""
    refreshes = times(THREADS - 1, present, visitor)

    pair, *outcomes = race(partial(log_in, visitor, user), *refreshes)

    refused = [each for each in outcomes if not isinstance(each, TokenPair)]
    assert {isinstance(each, SessionEnded) for each in refused} <= {True}
    assert not any(isinstance(each, RefreshTokenReused) for each in refused)
    assert len(full(outcomes)) <= 1
    assert columns(pair)["data"] == BASKET
    assert columns(visitor)["revoked_reason"] == "logged_in"


@several_times
def test_a_visit_that_others_end_is_taken_over_or_ended(
    visitor, user, isolation, attempt
):
    """I-1, I-2: Staff or the login ends it; only the login that did has its data."""
    key = claims_of(visitor).family_id
    revoke = partial(revoke_session, key, reason=RevokedReason.STAFF)

    pair, ended = race(partial(log_in, visitor, user), revoke)

    reason = columns(visitor)["revoked_reason"]
    assert reason == ("staff" if ended else "logged_in")
    assert columns(pair)["data"] == (None if ended else BASKET)


@pytest.mark.skipif(connection.vendor == "sqlite", reason="It has one writer.")
def test_no_change_is_lost_to_an_older_snapshot(visitor, user, isolation):
    """I-2: A login within a transaction takes what others wrote since, or fails."""
    kept: Any = None

    def change_elsewhere() -> None:
        try:
            mark(visitor, 7)
        finally:
            connection.close()

    connection.close()
    with suppress(OperationalError), transaction.atomic():
        # As a view does that looks at `request.user`.
        SessionFamily.objects.get()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(change_elsewhere).result()
        log_in(visitor, user)
        kept = {**BASKET, "marks": {"7": True}}
    connection.close()

    taken = SessionFamily.objects.filter(user=user).first()
    assert (taken and taken.data) == kept
    assert (columns(visitor)["revoked_reason"] == "logged_in") is (kept is not None)
