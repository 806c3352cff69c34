"""
An honest browser on a bad network, and a database that may fall back on a replica.

Requests and answers are delayed, reordered, repeated and lost in every order; access
tokens are used or not, at once or much later, from one tab or another; a failover takes
commits with it, and every connection if it lasts for long enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple, TypeVar

from tests.model.bounds import Bounds
from tests.model.numbering import OLDER, Numbering
from tests.model.server import Answer, Row, Server, Token

__all__ = [
    "START",
    "Act",
    "Browser",
    "Reply",
    "Request",
    "commit",
    "renumber",
    "rows",
    "steps",
    "tokens",
]


Item = TypeVar("Item")


class Act(Enum):
    """What may happen next."""

    TICK = auto()
    SEND = auto()
    SERVE = auto()
    REPEAT = auto()
    LOSE = auto()
    DELIVER = auto()
    USE = auto()
    FAIL_OVER = auto()


class Request(NamedTuple):
    """A refresh on its way to a server, that many ticks after it was sent."""

    age: int
    token: Token


class Reply(NamedTuple):
    """Its answer on the way back."""

    age: int
    answer: Answer


class Browser(NamedTuple):
    """The row and its replica, the jar, what is under way, and what went wrong."""

    row: Row
    jar: Token
    # Every access token it ever got: an API request may be under way for long.
    access: frozenset[int] = frozenset({0})
    requests: tuple[Request, ...] = ()
    replies: tuple[Reply, ...] = ()
    lost: int = 0
    history: tuple[Row, ...] = ()
    failovers: int = 0
    signed_out: bool = False


START = Browser(row=Row(current=Token(0)), jar=Token(0))


def steps(
    world: Browser, server: Server, bounds: Bounds
) -> Iterator[tuple[Act, Browser]]:
    """Yield every world that may come next, and what leads there."""
    if all(request.age < bounds.linger for request in world.requests) and all(
        reply.age < bounds.timeout for reply in world.replies
    ):
        yield Act.TICK, _age(world, 1, bounds)
    if len(world.requests) + len(world.replies) < bounds.flights:
        yield Act.SEND, _with_request(world, Request(0, world.jar))
    for generation in world.access:
        used = commit(world, server.use(world.row, generation), bounds)
        if used != world:
            yield Act.USE, used
    for request in dict.fromkeys(world.requests):
        yield from _request_steps(world, request, server, bounds)
    for reply in dict.fromkeys(world.replies):
        yield from _reply_steps(world, reply, bounds)
    for lost in range(len(world.history)):
        fallen = world._replace(
            row=world.history[lost],
            history=world.history[lost + 1 :],
            failovers=world.failovers + 1,
        )
        if fallen.failovers == bounds.failovers:
            fallen = fallen._replace(history=())
        yield Act.FAIL_OVER, _age(fallen, bounds.outage, bounds)


def _request_steps(
    world: Browser, request: Request, server: Server, bounds: Bounds
) -> Iterator[tuple[Act, Browser]]:
    without = world._replace(requests=_drop(world.requests, request))
    yield Act.LOSE, without
    for ahead in range(bounds.skew + 1):
        row, answer = server.present(world.row, request.token, world.failovers, ahead)
        served = commit(without, row, bounds)
        if answer is None:
            yield Act.SERVE, served._replace(signed_out=True)
            continue
        if request.age <= bounds.timeout:
            yield Act.SERVE, _with_reply(served, Reply(request.age, answer))
        unheard = _lose(served, answer, bounds)
        if unheard is not None:
            if request.age > bounds.timeout:
                yield Act.SERVE, unheard
            # The answer is lost between two hops, the nearer of which asks once more.
            yield Act.REPEAT, unheard._replace(requests=world.requests)


def _reply_steps(
    world: Browser, reply: Reply, bounds: Bounds
) -> Iterator[tuple[Act, Browser]]:
    without = world._replace(replies=_drop(world.replies, reply))
    generation, token = reply.answer
    got = without._replace(access=world.access | {generation})
    yield Act.DELIVER, got if token is None else got._replace(jar=token, lost=0)
    unheard = _lose(without, reply.answer, bounds)
    if unheard is not None:
        yield Act.LOSE, unheard


def _lose(world: Browser, answer: Answer, bounds: Bounds) -> Browser | None:
    """Return the world without the answer; None where that is one loss too many."""
    if answer.token is None or bounds.losses is None:
        return world
    return world._replace(lost=world.lost + 1) if world.lost < bounds.losses else None


def _drop(items: tuple[Item, ...], item: Item) -> tuple[Item, ...]:
    """Return the items without the first that is like this one."""
    index = items.index(item)
    return items[:index] + items[index + 1 :]


def _with_request(world: Browser, request: Request) -> Browser:
    return world._replace(requests=tuple(sorted((*world.requests, request))))


def _with_reply(world: Browser, reply: Reply) -> Browser:
    replies = sorted((*world.replies, reply), key=_place)
    return world._replace(replies=tuple(replies))


def _place(reply: Reply) -> tuple[int, int, tuple[int, ...]]:
    return reply.age, reply.answer.generation, reply.answer.token or ()


def commit(world: Browser, row: Row, bounds: Bounds) -> Browser:
    """Return the world with the row written; the replica hears of it later."""
    if row == world.row:
        return world
    history = (world.row, *world.history)
    kept = bounds.lost_commits if world.failovers < bounds.failovers else 0
    return world._replace(
        row=row, history=history[:kept], signed_out=world.signed_out or row.revoked
    )


def _age(world: Browser, ticks: int, bounds: Bounds) -> Browser:
    """Let time pass; what the client no longer waits for is gone."""
    requests = [Request(age + ticks, t.older(ticks)) for age, t in world.requests]
    replies = [Reply(age + ticks, got.older(ticks)) for age, got in world.replies]
    return world._replace(
        row=world.row.older(ticks),
        jar=world.jar.older(ticks),
        requests=tuple(r for r in requests if r.age <= bounds.linger),
        replies=tuple(r for r in replies if r.age <= bounds.timeout),
        history=tuple(row.older(ticks) for row in world.history),
    )


def rows(world: Browser) -> tuple[Row, ...]:
    """Return the row and those that a failover may bring back."""
    return (world.row, *world.history)


def tokens(world: Browser) -> list[Token]:
    """Return every refresh token that the browser holds or that is under way."""
    answers = (reply.answer.token for reply in world.replies)
    under_way = [request.token for request in world.requests]
    return [world.jar, *under_way, *(token for token in answers if token)]


def normalize(world: Browser, bounds: Bounds) -> Browser:
    """Return the same world in the numbers that stand for all worlds like it."""
    return renumber(world, Numbering(rows(world), tokens(world), bounds.grace))


def renumber(world: Browser, new: Numbering) -> Browser:
    """Return the same world in other numbers."""
    access = {new.generation(generation) for generation in world.access}
    return world._replace(
        row=new.row(world.row),
        jar=new.token(world.jar),
        access=frozenset(access - {OLDER}),
        requests=tuple(Request(age, new.token(t)) for age, t in world.requests),
        replies=tuple(Reply(age, new.answer(got)) for age, got in world.replies),
        history=tuple(map(new.row, world.history)),
    )
