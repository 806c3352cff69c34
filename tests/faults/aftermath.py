"""
What has to hold after every fault, whichever it was.

The honest client carries on with the token that it has, theft is told as before, and a
failure of the database is a 503 and never a 401.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import close_old_connections

from rotating_sessions.models import RefreshToken
from rotating_sessions.signals import refresh_token_reused
from rotating_sessions.tokens.refresh import decode_refresh
from tests.acting import Clock, W, columns, heard, log_in
from tests.browsing import Api, bearer
from tests.factories import UserFactory
from tests.figures import count

Wait = Callable[[], object]

# Any fault that is over is over for good: so many refreshes more have to work.
_ROUNDS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a client sends."""

    path: str
    body: dict[str, Any] | None = None
    access: str = ""

    def send(self, api: Api) -> Answer:
        """Send it as a server gets it: on a connection that is not known to be dead."""
        extra = bearer(self.access) if self.access else {}
        close_old_connections()
        try:
            if self.body is None:
                response = api.get(self.path, **extra)
            else:
                response = api.send(self.path, self.body, **extra)
        finally:
            close_old_connections()
        json = response.headers.get("Content-Type") == "application/json"
        return Answer(
            status=response.status_code,
            body=response.json() if json else {},
            headers=dict(response.headers),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What it is answered."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def code(self) -> tuple[int, str]:
        """Return the status, and the code of a refusal."""
        return self.status, self.body.get("code", "")


class Honest:
    """A client that does with each answer what README asks of it, and nothing else."""

    def __init__(self, *, refresh: str, access: str) -> None:
        self.refresh, self.access = refresh, access
        self.superseded: list[str] = []

    @property
    def asks(self) -> Request:
        """Return its next refresh."""
        return Request(path="/auth/refresh/", body={"refresh": self.refresh})

    @property
    def visits(self) -> Request:
        """Return a request with its access token, to a view that reads the user."""
        return Request(path="/whoami/", access=self.access)

    def take(self, answer: Answer) -> Answer:
        """Keep what the answer brings; without a refresh token, keep the one it has."""
        if answer.status == 200:
            self.access = answer.body["access"]
            if "refresh" in answer.body:
                self.superseded.append(self.refresh)
                self.refresh = answer.body["refresh"]
        return answer

    def refreshes(self) -> Answer:
        """Refresh in this process, and take the answer."""
        return self.take(self.asks.send(Api()))


def newcomer(rf: Any) -> Honest:
    """Return a client that has just logged in, as a user of its own."""
    pair = log_in(rf, UserFactory.create())
    return Honest(refresh=pair.refresh or "", access=pair.access)


def passing(clock: Clock, span: timedelta = W) -> Wait:
    """Return what makes a grace period pass."""
    return lambda: clock.forward(span)


def carries_on(client: Honest, wait: Wait, *, at: object = "") -> None:
    """The client gets on with the token it holds, at once and from then on."""
    answer = client.refreshes()
    assert answer.status == 200, (at, answer)
    for _ in range(_ROUNDS):
        wait()
        answer = client.refreshes()
        assert answer.status == 200, (at, answer)
        assert "refresh" in answer.body, (at, answer)
        visit = client.visits.send(Api())
        assert visit.status == 200, (at, visit)
    row = columns(client)
    assert (row["displaced"], row["revoked_at"]) == (0, None), (at, row)
    assert row["confirmed_at"] is not None, (at, row)
    is_whole(client, at=at)
    count("honest clients that carried on")


def carries_on_with_a_hole(client: Honest, clock: Clock) -> None:
    """The client gets on, and theft is caught, as ever: but for the records lost."""
    for _ in range(2):
        assert "refresh" in client.refreshes().body
        client.visits.send(Api())
        clock.forward(W)
    count("honest clients that carried on")
    theft_is_caught(client, passing(clock))


def theft_is_caught(client: Honest, wait: Wait, *, at: object = "") -> None:
    """A token that was superseded, and comes back, ends the session: once, for all."""
    wait()
    stolen = Request(path="/auth/refresh/", body={"refresh": client.superseded[-1]})
    with heard(refresh_token_reused) as thefts:
        verdicts = [stolen.send(Api()).code for _ in range(2)]
    assert verdicts == [(401, "session_ended")] * 2, (at, verdicts)
    assert len(thefts) == 1, (at, thefts)
    assert_ended(client, "reused", at=at)
    count("thefts caught after a fault")


def assert_ended(client: Honest, reason: str, *, at: object = "") -> None:
    """The session is over for the client too, and staff can read why."""
    assert columns(client)["revoked_reason"] == reason, at
    answer = client.refreshes()
    assert answer.code == (401, "session_ended"), (at, answer)


def assert_unavailable(answer: Answer, *, at: object = "") -> None:
    """A 503 says when to come back, and brings and takes no token."""
    assert answer.code == (503, "unavailable"), (at, answer)
    assert answer.headers["Retry-After"] == "1", (at, answer)
    assert not answer.body.keys() & {"access", "refresh"}, (at, answer)
    assert "Set-Cookie" not in answer.headers, (at, answer)


def is_whole(client: Honest, *, lost: int = 0, at: object = "") -> None:
    """The row and the ledger tell one story, but for generations that were lost."""
    row = columns(client)
    tokens = RefreshToken.objects.filter(family_id=row["id"])
    digests = {token.generation: bytes(token.digest) for token in tokens}
    assert digests[row["generation"]] == bytes(row["current_digest"]), at
    if row["previous"] in digests:
        assert digests[row["previous"]] == bytes(row["previous_digest"]), at
    assert max(digests) == row["generation"], (at, digests.keys())
    assert len(digests) == row["generation"] + 1 - lost, (at, digests.keys())


def outline(client: Honest) -> dict[str, Any]:
    """Return what the protocol makes of the row, without moments and digests."""
    row = columns(client)
    names = ("generation", "previous", "displaced", "revoked_reason")
    outline = {name: row[name] for name in names}
    return {**outline, "confirmed": row["confirmed_at"] is not None}


def family_of(client: Honest) -> Any:
    """Return the id of the client's family."""
    return decode_refresh(client.refresh).family_id
