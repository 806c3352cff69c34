"""
A thief with one copy of the victim's refresh token, and all the time in the world.

Both refresh and make requests whenever they like; the victim may rest, but not for
ever. Nothing is lost here, so that whatever ends the session is the theft.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto

from tests.model.server import GRACE, Decide, Row, Token, age_row, present, use

__all__ = ["START", "Act", "Theft", "steps"]

# Longer than the grace period, as the settings demand.
ACCESS_LIFE = 4


class Act(Enum):
    """Who does what."""

    TICK = auto()
    REFRESH = auto()
    STEAL = auto()
    VICTIM_REQUEST = auto()
    THIEF_REQUEST = auto()


@dataclass(frozen=True, slots=True)
class Theft:
    """The row, and what either of them holds. Access tokens map to ticks to live."""

    row: Row
    token: Token
    access: tuple[tuple[int, int], ...] = ()
    stolen: bool = False
    loot: frozenset[Token] = frozenset()
    loot_access: tuple[tuple[int, int], ...] = ()


_FIRST = Token(0, 0, 0)
START = Theft(row=Row(current=_FIRST), token=_FIRST)


def steps(world: Theft, decide: Decide) -> Iterator[tuple[Act, Theft]]:
    """Yield what each of them may do next, but what ends the session."""
    yield Act.TICK, _tick(world)
    if not world.stolen:
        yield Act.STEAL, replace(world, stolen=True, loot=frozenset({world.token}))
    row, answer = present(world.row, world.token, 0, decide)
    if answer is not None:
        access = ((answer.generation, ACCESS_LIFE),)
        token = _fresh(answer.token) or world.token
        yield Act.REFRESH, _forget(replace(world, row=row, token=token, access=access))
    for generation, _life in world.access:
        row, served = use(world.row, generation)
        if served:
            yield Act.VICTIM_REQUEST, replace(world, row=row)
    yield from _steps_of_the_thief(world, decide)


def _steps_of_the_thief(world: Theft, decide: Decide) -> Iterator[tuple[Act, Theft]]:
    for loot in world.loot:
        row, answer = present(world.row, loot, 0, decide)
        if answer is not None:
            token = _fresh(answer.token)
            held = world.loot | ({token} if token else set())
            access = {**dict(world.loot_access), answer.generation: ACCESS_LIFE}
            taken = replace(
                world, row=row, loot=held, loot_access=tuple(sorted(access.items()))
            )
            yield Act.REFRESH, _forget(taken)
    for generation, _life in world.loot_access:
        # Those that would give him away he has thrown away: what is left serves.
        row, _served = use(world.row, generation)
        yield Act.THIEF_REQUEST, replace(world, row=row)


def _fresh(token: Token | None) -> Token | None:
    # Nothing is lost here, so a token's age decides nothing: one state less for each.
    return token and replace(token, age=0)


def _forget(world: Theft) -> Theft:
    """
    Drop what a thief who plays well never uses, and number generations by their rank.

    The rules only tell apart: older than the predecessor (0), the predecessor (1), an
    orphan (2) and the newest (3). Orphans, and refresh tokens that are older, give away
    whoever shows them.
    """
    newest = world.row.current.generation
    previous = world.row.previous
    oldest = newest if previous is None else previous.generation

    def rank(generation: int) -> int:
        if generation <= oldest:
            return 1 if generation == oldest else 0
        return 3 if generation == newest else 2

    def ranked(token: Token) -> Token:
        return replace(token, generation=rank(token.generation))

    loot_access: dict[int, int] = {}
    for generation, life in world.loot_access:
        kind = rank(generation)
        loot_access[kind] = max(life, loot_access.get(kind, 0))
    loot_access.pop(2, None)
    current, before = ranked(world.row.current), previous and ranked(previous)
    loot = {ranked(token) for token in world.loot}
    return replace(
        world,
        row=replace(world.row, current=current, previous=before),
        token=ranked(world.token),
        access=tuple((rank(generation), life) for generation, life in world.access),
        loot=frozenset(token for token in loot if token.generation in {1, 3}),
        loot_access=tuple(sorted(loot_access.items())),
    )


def _tick(world: Theft) -> Theft:
    access, loot_access = (
        tuple((generation, life - 1) for generation, life in held if life > 1)
        for held in (world.access, world.loot_access)
    )
    row = age_row(world.row, GRACE)
    return _forget(replace(world, row=row, access=access, loot_access=loot_access))
