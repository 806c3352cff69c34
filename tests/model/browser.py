"""
An honest browser, with two refreshes in flight, on a bad network.

Requests and answers are delayed, reordered and lost in every order; one failover loses
the last commit and cuts every connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.model.server import (
    AGE_LIMIT,
    Answer,
    Decide,
    Row,
    Token,
    age_row,
    present,
    use,
)

__all__ = ["START", "Browser", "normalize", "steps"]

# A refresh and its answer arrive or die within as many ticks. The client's contract
# asks for less than half of the grace period, since a second refresh may start with the
# old token just before the first one's answer arrives.
TIMEOUT = 1
MAX_LOST = 3


@dataclass(frozen=True, slots=True)
class Flight:
    """A refresh under way: a request until it has an answer."""

    token: Token
    age: int
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class Browser:
    """The world: the row, the cookie jar, what is in flight, what has gone wrong."""

    row: Row
    token: Token
    access: int
    flights: tuple[Flight, ...] = ()
    lost: int = 0
    before: Row | None = None
    failed_over: bool = False


_FIRST = Token(0, 0, 0)
START = Browser(row=Row(current=_FIRST), token=_FIRST, access=0)


def steps(world: Browser, decide: Decide, max_flights: int = 2) -> Iterator[Browser]:
    """Yield every world that may come next."""
    if all(flight.age < TIMEOUT for flight in world.flights):
        yield _tick(world)
    if len(world.flights) < max_flights:
        yield _fly(world, (*world.flights, Flight(world.token, 0)))
    yield _write(world, use(world.row, world.access)[0])
    if not world.failed_over and world.before is not None:
        yield replace(
            world, row=world.before, before=None, failed_over=True, flights=()
        )
    for index, flight in enumerate(world.flights):
        others = world.flights[:index] + world.flights[index + 1 :]
        yield from _arrive(_fly(world, others), flight, decide)


def _arrive(world: Browser, flight: Flight, decide: Decide) -> Iterator[Browser]:
    if flight.answer is None:
        branch = 1 if world.failed_over else 0
        row, answer = present(world.row, flight.token, branch, decide)
        served = _write(world, row)
        if answer is not None:
            served = _fly(served, (*world.flights, replace(flight, answer=answer)))
        yield served
        yield world
        return
    new = flight.answer.token
    yield replace(world, token=new or world.token, access=flight.answer.generation)
    if new is None:
        yield world
    elif world.lost < MAX_LOST:
        yield replace(world, lost=world.lost + 1)


def _fly(world: Browser, flights: tuple[Flight, ...]) -> Browser:
    ordered = sorted(
        flights, key=lambda f: (f.age, f.token, f.answer is not None, repr(f.answer))
    )
    return replace(world, flights=tuple(ordered))


def _write(world: Browser, row: Row) -> Browser:
    if row == world.row:
        return world
    before = None if world.failed_over else world.row
    lost = 0 if row.confirmed else world.lost
    return replace(world, row=row, before=before, lost=lost)


def _tick(world: Browser) -> Browser:
    before = world.before and age_row(world.before)
    flights = tuple(map(_age_flight, world.flights))
    row, token = age_row(world.row), _age(world.token)
    return _fly(replace(world, row=row, before=before, token=token), flights)


def _age_flight(flight: Flight) -> Flight:
    answer = flight.answer
    if answer is not None and answer.token is not None:
        answer = replace(answer, token=_age(answer.token))
    return Flight(_age(flight.token), flight.age + 1, answer)


def _age(token: Token) -> Token:
    return replace(token, age=min(token.age + 1, AGE_LIMIT))


def normalize(world: Browser) -> Browser:
    """Return the same world with its generations counted from the oldest in sight."""
    tokens = [world.token, *(flight.token for flight in world.flights)]
    for row in (world.row, world.before):
        if row is not None:
            tokens += [token for token in (row.current, row.previous) if token]
    base = min(world.access, *(token.generation for token in tokens))
    answers = [flight.answer for flight in world.flights if flight.answer]
    base = min([base, *(answer.generation for answer in answers)])
    return world if base == 0 else _shift(world, base)


def _shift(world: Browser, base: int) -> Browser:
    def token(value: Token) -> Token:
        return replace(value, generation=value.generation - base)

    def row(value: Row) -> Row:
        previous = value.previous and token(value.previous)
        return replace(value, current=token(value.current), previous=previous)

    def answer(value: Answer) -> Answer:
        new = value.token and token(value.token)
        return Answer(value.generation - base, new)

    return replace(
        world,
        row=row(world.row),
        before=world.before and row(world.before),
        token=token(world.token),
        access=world.access - base,
        flights=tuple(
            replace(f, token=token(f.token), answer=f.answer and answer(f.answer))
            for f in world.flights
        ),
    )
