"""A mass revocation, committed late and in no order, beside everybody's requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from django.db import transaction
from django.http import HttpResponse
from django.test import RequestFactory

from rotating_sessions import revocations
from rotating_sessions.middleware import RotatingSessionMiddleware
from rotating_sessions.models import SessionFamily
from rotating_sessions.transports import TokenPair
from tests import figures
from tests.acting import Clock, claims_of, log_in
from tests.browsing import HOME
from tests.factories import SessionFamilyFactory, UserFactory
from tests.races.racing import race

pytestmark = pytest.mark.django_db(transaction=True)

POLL = timedelta(seconds=5)
ROUNDS = 10
VICTIMS, LIVE, VISITORS = 18, 5, 6


class Process:
    """A process that serves, and that did not carry the revocation out."""

    def __init__(self) -> None:
        revocations.reset()
        self.middleware = RotatingSessionMiddleware(lambda _request: HttpResponse())

    def visit(self, pair: TokenPair) -> str:
        request = RequestFactory().get(
            "/", REMOTE_ADDR=HOME, HTTP_AUTHORIZATION=f"Bearer {pair.access}"
        )
        response: Any = self.middleware(request)
        if response.status_code == 200:
            return "welcome"
        return str(json.loads(response.content)["code"])

    def visiting(self, pairs: list[TokenPair], seed: int) -> Callable[[], list[Any]]:
        """Return a job that uses all of these tokens, in some order."""
        shuffled = Random(seed).sample(pairs, len(pairs))  # noqa: S311 - no secret
        return lambda: [(pair, self.visit(pair)) for pair in shuffled]


def revoking(keys: list[Any], at: Any) -> Callable[[], list[Any]]:
    """Return a job that revokes as another process does, as of some moments ago."""

    def revoke() -> list[Any]:
        with transaction.atomic():
            rows = SessionFamily.objects.filter(pk__in=keys)
            rows.update(revoked_at=at, revoked_reason="staff")
        return []

    return revoke


@pytest.mark.parametrize("seed", range(4))
def test_nobody_revoked_is_served_after_the_poll(
    rf: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """I-1, I-18: Who was revoked before the last poll is out, and the others stay."""
    monkeypatch.setattr(revocations, "_LISTED", 4)
    random = Random(seed)  # noqa: S311 - no secret
    pairs = [log_in(rf, UserFactory.create()) for _ in range(VICTIMS + LIVE)]
    keys = {pair: claims_of(pair).family_id for pair in pairs}
    # In which round each is revoked, and in which that is committed.
    fates = {}
    for pair in pairs[LIVE:]:
        begun = random.randrange(2)
        fates[pair] = begun, begun + random.randrange(7)
    process, begun_at, seen = Process(), {}, []

    for number in range(ROUNDS):
        begun_at[number] = clock.forward(POLL)
        # The poll is over once this is answered.
        process.visit(pairs[0])
        jobs = [process.visiting(pairs, seed + n) for n in range(VISITORS)]
        if number < 2:
            others = SessionFamilyFactory.create_batch(5, now=clock.now)
            jobs.append(revoking([family.pk for family in others], clock.now))
        jobs += [
            revoking([keys[pair]], begun_at[begun])
            for pair, (begun, commit) in fates.items()
            if commit == number
        ]
        for answers in race(*jobs):
            seen += [(number, *answer) for answer in answers]

    served_late = [
        pair
        for number, pair, answer in seen
        if answer == "welcome" and number > fates.get(pair, (0, ROUNDS))[1]
    ]
    assert served_late == []
    assert {answer for _, pair, answer in seen if pair not in fates} == {"welcome"}
    figures.count("requests beside a mass revocation", len(seen))
