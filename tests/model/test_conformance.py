"""The model's server and the real services, walked through the same stories."""

from __future__ import annotations

import random
from typing import Any

import pytest

from rotating_sessions.exceptions import SessionEnded, SessionError
from rotating_sessions.services import confirm
from rotating_sessions.tokens.access import AccessClaims
from rotating_sessions.transports import TokenPair
from tests import figures
from tests.acting import (
    START,
    Clock,
    W,
    claims_of,
    client_at,
    columns,
    digest_of,
    log_in,
    present,
    restore,
)
from tests.model.server import SHIPPED, TICK, Row, Server, Token

# Most presentations are of one of the latest tokens, as clients' are.
LATEST = 5
SPANS = [1, 1, 1, 2, 5, 11, 12, 13]


class Walk:
    """One session in both worlds: what one of them does, the other has to do."""

    def __init__(self, first: TokenPair, clock: Clock, server: Server) -> None:
        token = Token(0)
        self.first, self.clock, self.server = first, clock, server
        self.row, self.branch, self.ticks = Row(current=token), 0, 0
        self.tokens: list[tuple[Token, int, TokenPair]] = [(token, 0, first)]
        self.claims: list[AccessClaims] = [claims_of(first)]
        self.replica: tuple[Row, dict[str, Any]] = (self.row, columns(first))

    def pass_time(self, ticks: int) -> None:
        """Let time pass, on all hosts alike."""
        self.ticks += ticks
        self.row = self.row.older(ticks)

    def refresh(self, index: int, ahead: int) -> None:
        """Present a token to a host whose clock may be fast."""
        token, issued, pair = self.tokens[index]
        self._set_clock(ahead)
        aged = token._replace(age=self.ticks - issued)
        self.row, expected = self.server.present(self.row, aged, self.branch, ahead)

        answer = self._refresh_really(pair)

        if expected is None or answer is None:
            assert expected is answer
        elif expected.token is None:
            assert answer == (expected.generation, None)
        else:
            generation, fresh = answer
            assert generation == expected.generation
            assert fresh is not None
            issued = self.ticks - expected.token.age
            self.tokens.append((expected.token, issued, fresh))
        self._compare()

    def use(self, index: int) -> None:
        """Use an access token, for the first time that its process sees it."""
        self._set_clock(0)
        claims = self.claims[index]
        was_revoked = self.row.revoked
        self.row = self.server.use(self.row, claims.generation)

        try:
            confirm(claims, client=client_at())
        except SessionEnded:
            assert self.row.revoked
        else:
            assert not was_revoked
        self._compare()

    def save(self) -> None:
        """Let the replica catch up."""
        self.replica = self.row.older(-self.ticks), columns(self.first)

    def fail_over(self) -> None:
        """Fall back on the replica."""
        row, saved = self.replica
        self.row = row.older(self.ticks)
        self.branch += 1
        restore(self.first, saved)
        self._compare()

    def _refresh_really(self, pair: TokenPair) -> tuple[int, TokenPair | None] | None:
        try:
            got = present(pair)
        except SessionError:
            return None
        self.claims.append(claims_of(got))
        return self.claims[-1].generation, got if got.refresh else None

    def _set_clock(self, ahead: int) -> None:
        self.clock.now = START + (self.ticks + ahead) * TICK

    def _compare(self) -> None:
        """Compare every column that the rules read."""
        row, found = self.row, columns(self.first)
        digests = {token[:2]: digest_of(pair) for token, _at, pair in self.tokens}
        assert found["generation"] == row.current.generation
        assert bytes(found["current_digest"]) == digests[row.current[:2]]
        if row.previous is None:
            assert found["previous"] is found["previous_digest"] is None
        else:
            assert found["previous"] == row.previous.generation
            assert bytes(found["previous_digest"]) == digests[row.previous[:2]]
        if row.rotated is None:
            assert found["rotated_at"] is None
        else:
            assert found["rotated_at"] == START + (self.ticks - row.rotated) * TICK
        assert found["displaced"] == row.displaced
        assert (found["confirmed_at"] is not None) is row.confirmed
        assert (found["revoked_at"] is not None) is row.revoked


def take(walk: Walk, dice: random.Random) -> str:
    """Take one step of whichever kind, and return which."""
    kind = dice.choices(
        ["refresh", "pass time", "use", "save", "fail over"], [10, 8, 4, 3, 1]
    )[0]
    latest = len(walk.tokens) - 1
    if kind == "refresh":
        reach = LATEST if dice.random() < 0.9 else latest + 1
        back = min(dice.randrange(reach), dice.randrange(reach), latest)
        walk.refresh(latest - back, dice.randrange(2))
    elif kind == "pass time":
        walk.pass_time(dice.choice(SPANS))
    elif kind == "use":
        newest = len(walk.claims) - 1
        walk.use(newest - min(dice.randrange(LATEST), newest))
    elif kind == "save":
        walk.save()
    elif not walk.row.revoked:
        walk.fail_over()
    return kind


@pytest.mark.django_db
def test_the_model_writes_and_answers_what_the_services_do(
    rf: Any, user: Any, clock: Clock, *, deep: bool
) -> None:
    """
    I-17: What the model explores is what the services do, column by column.

    Random walks of rotations, re-rotations, reuse, confirmations, failovers and hosts
    whose clocks differ; a walk goes on a little after its session has ended.
    """
    dice = random.Random(20260504)  # noqa: S311 - no secret
    server = Server(SHIPPED, grace=W // TICK)
    steps = 0
    for _walk in range(600 if deep else 60):
        clock.now = START
        walk = Walk(log_in(rf, user), clock, server)
        ended = 0
        while ended < 3 and len(walk.tokens) < 30:
            take(walk, dice)
            steps += 1
            ended += walk.row.revoked

    figures.count("model: steps alike in model and services", steps)
    assert steps > 900
