"""Kills: SIGKILL at each statement and commit of a request, and what is left of it."""

from __future__ import annotations

from signal import SIGKILL
from typing import Any

import pytest

from rotating_sessions.models import SessionFamily
from tests.acting import Clock, columns
from tests.browsing import Api
from tests.factories import PASSWORD, UserFactory
from tests.faults.aftermath import (
    Honest,
    Request,
    assert_ended,
    carries_on,
    is_whole,
    newcomer,
    outline,
    passing,
    theft_is_caught,
)
from tests.faults.crew import Crew
from tests.faults.stages import HONEST, Stage, theft
from tests.faults.steps import is_committed, points
from tests.figures import count


@pytest.mark.parametrize("stage", HONEST.values(), ids=HONEST)
def test_client_of_a_killed_worker_carries_on(rf, clock, crew, stage):
    """I-6, I-5: Wherever a worker dies, the same token serves and theft shows."""
    steps, after = rehearse(rf, clock, crew, stage)

    for point in points(steps):
        client = newcomer(rf)
        request = stage(client, clock)
        before, row = outline(client), columns(client)

        outcome = crew.work(request, dying_at=point)

        assert outcome.signal == SIGKILL, point
        count("workers killed at a statement")
        if is_committed(steps, point):
            assert outline(client) == after, point
        else:
            assert columns(client) == row, (point, before)
        if stage.__name__ == "lost_commit":
            assert client.refreshes().status == 200, point
        else:
            is_whole(client, at=point)
            carries_on(client, passing(clock), at=point)
            theft_is_caught(client, passing(clock), at=point)


def rehearse(
    rf: Any, clock: Clock, crew: Crew, stage: Stage
) -> tuple[list[str], dict[str, Any]]:
    """Return the steps of a request that nothing disturbs, and what it leads to."""
    client = newcomer(rf)
    outcome = crew.work(stage(client, clock))
    assert outcome.answer is not None
    return list(outcome.steps), outline(client)


def test_theft_is_caught_although_the_worker_died_of_it(rf, clock, crew):
    """I-1, I-6: A thief whose presentation was cut short is caught at the next one."""
    steps, _ = rehearse(rf, clock, crew, theft)

    for point in points(steps):
        client = newcomer(rf)
        request = theft(client, clock)

        outcome = crew.work(request, dying_at=point)

        assert outcome.signal == SIGKILL, point
        count("workers killed at a statement")
        revoked = columns(client)["revoked_reason"] == "reused"
        assert revoked is is_committed(steps, point), point
        # Whoever comes first, thief or victim: nobody is given a token for it.
        answer = crew.work(request).answer
        assert answer is not None
        assert answer.code == (401, "session_ended"), point
        assert_ended(client, "reused", at=point)
        count("thefts caught after a fault")


def test_logout_is_done_or_can_be_repeated(rf, clock, crew):
    """I-1, I-6: A logout whose worker dies has ended the session, or left it alone."""

    def log_out(client: Honest, clock: Clock) -> Request:
        client.refreshes()
        return Request(path="/auth/logout/", body={"refresh": client.refresh})

    steps, _ = rehearse(rf, clock, crew, log_out)

    for point in points(steps):
        client = newcomer(rf)
        request = log_out(client, clock)
        row = columns(client)

        outcome = crew.work(request, dying_at=point)

        assert outcome.signal == SIGKILL, point
        count("workers killed at a statement")
        if not is_committed(steps, point):
            assert columns(client) == row, point
        assert request.send(Api()).status == 204, point
        assert_ended(client, "logout", at=point)


def test_login_leaves_a_whole_session_or_none(clock, crew):
    """I-5, I-6: A login whose worker dies has started one whole session, or none."""

    def log_in() -> tuple[str, Request]:
        name = UserFactory.create().username
        body = {"username": name, "password": PASSWORD}
        return name, Request(path="/auth/login/", body=body)

    steps = list(crew.work(log_in()[1]).steps)

    for point in points(steps):
        name, request = log_in()

        outcome = crew.work(request, dying_at=point)

        assert outcome.signal == SIGKILL, point
        count("workers killed at a statement")
        families = SessionFamily.objects.filter(user__username=name)
        for family in families:
            assert family.refresh_tokens.count() == 1, point
        answer = request.send(Api())
        assert answer.status == 200, point
        client = Honest(refresh=answer.body["refresh"], access=answer.body["access"])
        carries_on(client, passing(clock), at=point)
        theft_is_caught(client, passing(clock), at=point)
