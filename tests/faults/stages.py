"""The states of a session in which a fault may strike, and what it then meets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.acting import MOMENT, Clock, W, columns, restore
from tests.browsing import Api
from tests.faults.aftermath import Honest, Request, newcomer

Stage = Callable[[Honest, Clock], Request]


def settled(rf: Any, clock: Clock) -> Honest:
    """Return a client whose session has lived for a while."""
    client = newcomer(rf)
    _live(client, clock)
    return client


def first_refresh(client: Honest, clock: Clock) -> Request:
    """The client has logged in, and refreshes for the first time."""
    return client.asks


def rotation(client: Honest, clock: Clock) -> Request:
    """The client has refreshed and confirmed, and is due again."""
    _live(client, clock)
    return client.asks


def confirmation(client: Honest, clock: Clock) -> Request:
    """The client presents its newest token right after it got it."""
    client.refreshes()
    clock.forward(MOMENT)
    return client.asks


def second_tab(client: Honest, clock: Clock) -> Request:
    """Another tab was first, and this one presents the predecessor within W."""
    client.asks.send(Api())
    clock.forward(MOMENT)
    return client.asks


def lost_answer(client: Honest, clock: Clock) -> Request:
    """The answer was lost, and the client comes back with the token it has."""
    client.asks.send(Api())
    clock.forward(W)
    return client.asks


def lost_commit(client: Honest, clock: Clock) -> Request:
    """The database lost the commit of the token that the client holds."""
    _live(client, clock)
    saved = columns(client)
    client.refreshes()
    clock.forward(W)
    restore(client, saved)
    return client.asks


def first_use(client: Honest, clock: Clock) -> Request:
    """The client brings its new access token for the first time."""
    client.refreshes()
    clock.forward(MOMENT)
    return client.visits


def _live(client: Honest, clock: Clock) -> None:
    client.refreshes()
    client.visits.send(Api())
    clock.forward(W)


HONEST: dict[str, Stage] = {
    stage.__name__: stage
    for stage in (
        first_refresh,
        rotation,
        confirmation,
        second_tab,
        lost_answer,
        lost_commit,
        first_use,
    )
}


def theft(client: Honest, clock: Clock) -> Request:
    """A thief brings a token whose successor was confirmed."""
    _live(client, clock)
    return Request(path="/auth/refresh/", body={"refresh": client.superseded[-1]})
