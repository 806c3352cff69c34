"""
Clocks: the server's clock jumps, and theft stays theft and an honest client logged in.

Each state is left alone for a while (`rested`), the clock jumps, and one of its tokens
is presented. What the protocol makes of a jump is told by one number, the age of the
last rotation on the new clock: a clock that ran back to within W of it lands in the
grace period, and one that ran back further is outside.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import product

import pytest

from tests.acting import MOMENT, SKEW, Clock, W, columns, restore
from tests.browsing import Api
from tests.faults.aftermath import (
    Answer,
    Honest,
    Request,
    assert_ended,
    carries_on,
    newcomer,
    passing,
    theft_is_caught,
)
from tests.figures import count

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
RESTED = [MOMENT, 2 * W + MOMENT, 3 * HOUR]
JUMPS = [-HOUR, -2 * W, -W, -SKEW, -SECOND, timedelta(), SECOND, W, HOUR]
FULL, ACCESS_ONLY, ENDED = "full answer", "access only", "session ended"

# A state: the tokens there are, by what they are to the row; `held` is the client's,
# and a "replaced" one is the predecessor of a token that was confirmed.
Tokens = dict[str, str]
State = Callable[[Honest, Clock], Tokens]


def fresh(client: Honest, clock: Clock) -> Tokens:
    """The client has just logged in."""
    return {"current": client.refresh, "held": client.refresh}


def rotated(client: Honest, clock: Clock) -> Tokens:
    """The client has refreshed, and not yet used what it got."""
    client.refreshes()
    return {
        "current": client.refresh,
        "previous": client.superseded[-1],
        "held": client.refresh,
    }


def unheard(client: Honest, clock: Clock) -> Tokens:
    """The client has refreshed, and the answer was lost."""
    answer = client.asks.send(Api())
    return {
        "current": answer.body["refresh"],
        "previous": client.refresh,
        "held": client.refresh,
    }


def confirmed(client: Honest, clock: Clock) -> Tokens:
    """The client has refreshed, and used what it got."""
    client.refreshes()
    client.visits.send(Api())
    return {
        "current": client.refresh,
        "replaced": client.superseded[-1],
        "held": client.refresh,
    }


def displaced(client: Honest, clock: Clock) -> Tokens:
    """Two answers in a row were lost: there is an orphan."""
    orphan = unheard(client, clock)["current"]
    clock.forward(W)
    return {**unheard(client, clock), "orphan": orphan}


def lived(client: Honest, clock: Clock) -> Tokens:
    """The session has rotated twice, and was confirmed each time."""
    older = confirmed(client, clock)["replaced"]
    clock.forward(W)
    return {**confirmed(client, clock), "older": older}


STATES = [fresh, rotated, unheard, confirmed, displaced, lived]


def verdict(who: str, age: timedelta | None) -> str:
    """Return what the protocol says: by the token, and the age of the last rotation."""
    if who in {"orphan", "older"}:
        return ENDED
    # Hosts differ: a clock that is behind by no more than that reads as not behind.
    in_grace = age is not None and -SKEW <= age < W
    if in_grace:
        return ACCESS_ONLY
    return ENDED if who == "replaced" else FULL


def kind(answer: Answer) -> str:
    """Return what an answer brings."""
    if answer.status == 200:
        return FULL if "refresh" in answer.body else ACCESS_ONLY
    assert answer.code == (401, "session_ended"), answer
    return ENDED


@pytest.mark.parametrize("state", STATES)
def test_jump_of_the_clock_changes_no_verdict_but_by_age(rf, clock, settings, state):
    """I-1, I-9, I-17: A jump makes no theft a success, and ends no session at rest."""
    settings.ROTATING_SESSIONS = {"REFRESH_RATE": None}
    client = newcomer(rf)
    tokens = state(client, clock)
    row, left_at = columns(client), clock.now

    for rested, jump, who in product(RESTED, JUMPS, tokens):
        restore(client, row)
        clock.now = left_at + rested + jump
        age = None if row["rotated_at"] is None else clock.now - row["rotated_at"]
        at = (who, rested, jump)

        answer = Request(path="/auth/refresh/", body={"refresh": tokens[who]}).send(
            Api()
        )

        count("clock jumps")
        assert kind(answer) == verdict(who, age), at
        if kind(answer) == ENDED:
            assert_ended(client, "reused", at=at)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("jump", [-HOUR, HOUR])
def test_client_at_rest_survives_a_jump_there_and_back(rf, clock, crew, state, jump):
    """I-7, I-17: A clock an hour off, and put right again, logs nobody out."""
    client = newcomer(rf)
    state(client, clock)
    clock.forward(2 * W)

    for leap in (jump, -jump, -jump, jump):
        clock.forward(leap)
        # In another process, which knows of the jump no more than its clock shows.
        outcome = crew.work(client.asks)
        assert outcome.answer is not None
        assert client.take(outcome.answer).status == 200, leap
        count("clock jumps")
        clock.forward(W)

    carries_on(client, passing(clock))
    theft_is_caught(client, passing(clock))


@pytest.mark.parametrize("jump", JUMPS)
def test_revoked_session_stays_so_at_any_time(rf, clock, crew, jump):
    """I-1: No jump of the clock brings a session back that was ended for theft."""
    client = newcomer(rf)
    lived(client, clock)
    theft_is_caught(client, passing(clock))
    clock.forward(jump)

    for value in (client.refresh, *client.superseded):
        request = Request(path="/auth/refresh/", body={"refresh": value})
        answers = [request.send(Api()), crew.work(request).answer]
        assert [answer and answer.code for answer in answers] == [
            (401, "session_ended")
        ] * 2
    visit = client.visits.send(Api())
    assert visit.status == 401
    count("clock jumps")


@pytest.mark.parametrize("jump", [-HOUR, HOUR])
def test_access_token_asks_for_a_refresh_after_a_jump(rf, clock, jump):
    """I-7: What a jump makes too old or too new asks for a refresh, which helps."""
    client = newcomer(rf)
    confirmed(client, clock)
    clock.forward(2 * W + jump)

    answer = client.visits.send(Api())

    assert answer.code == (401, "refresh_required")
    assert client.refreshes().status == 200
    assert client.visits.send(Api()).status == 200
    count("clock jumps")
