"""
A thief with one copy of the victim's jar, taken whenever it suits, and ideal luck.

The victim is the browser of the other model, and the network loses its answers as the
thief would like. The thief's own requests take no time. All that was ever handed to the
thief is kept, and may be presented whenever that pays: every way to play is walked.

Access tokens never run out here. A run in which both make requests for ever needs both
to be refreshed again and again, however long an access token lives; so that is looked
for, and nothing has to be known of lifetimes.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple

from tests.model import browser
from tests.model.bounds import Bounds
from tests.model.browser import Act, Browser
from tests.model.numbering import Numbering
from tests.model.server import Server, Token

__all__ = ["START", "Deed", "Theft", "normalize", "steps"]


class Deed(Enum):
    """What the thief does."""

    STEAL = auto()
    REFRESH = auto()
    BREAK_IN = auto()
    USE = auto()


class Theft(NamedTuple):
    """The victim's world, and what the thief holds."""

    victim: Browser
    loot: frozenset[Token] = frozenset()
    access: frozenset[int] = frozenset()
    stolen: bool = False


START = Theft(victim=browser.START)


def steps(world: Theft, server: Server, bounds: Bounds) -> Iterator[tuple[Enum, Theft]]:
    """Yield what may come next, but what signs the victim out: there the run ends."""
    span = {Act.TICK: 1, Act.FAIL_OVER: bounds.outage}
    for act, victim in browser.steps(world.victim, server, bounds):
        if not victim.signed_out:
            loot = frozenset(token.older(span.get(act, 0)) for token in world.loot)
            yield act, world._replace(victim=victim, loot=loot)
    if not world.stolen:
        victim = world.victim
        loot = frozenset({victim.jar})
        yield Deed.STEAL, Theft(victim, loot, victim.access, stolen=True)
    for token in world.loot:
        yield from _refreshes(world, token, server, bounds)
    for generation in world.access:
        row = server.use(world.victim.row, generation)
        if row != world.victim.row and not row.revoked:
            victim = browser.commit(world.victim, row, bounds)
            yield Deed.USE, world._replace(victim=victim)


def _refreshes(
    world: Theft, token: Token, server: Server, bounds: Bounds
) -> Iterator[tuple[Deed, Theft]]:
    victim = world.victim
    for ahead in range(bounds.skew + 1):
        row, answer = server.present(victim.row, token, victim.failovers, ahead)
        if answer is None:
            continue
        new = set() if answer.token is None else {answer.token}
        deed = Deed.BREAK_IN if new and _is_locked_out(victim, token) else Deed.REFRESH
        yield (
            deed,
            world._replace(
                victim=browser.commit(victim, row, bounds),
                loot=world.loot | new,
                access=world.access | {answer.generation},
            ),
        )


def _is_locked_out(victim: Browser, token: Token) -> bool:
    """
    Tell whether the victim has shown to hold the newest token, and this is another one.

    Shown to this database: what the one before a failover had seen is not known to it.
    """
    newest = victim.row.current
    shown = victim.row.confirmed and newest.branch == victim.failovers
    return shown and victim.jar.is_same(newest) and not token.is_same(newest)


def normalize(world: Theft, bounds: Bounds) -> Theft:
    """Return the same world in the numbers that stand for all worlds like it."""
    victim = world.victim
    rows = browser.rows(victim)
    held = [*browser.tokens(victim), *world.loot]
    new = Numbering(rows, held, bounds.grace)
    # An access token that is older than the newest refresh token changes nothing, or
    # gives the thief away. Not to use it is always as good.
    newest = min(row.current.generation for row in rows)
    access = {new.generation(value) for value in world.access if value >= newest}
    return Theft(
        victim=browser.renumber(victim, new),
        loot=frozenset(map(new.token, world.loot)),
        access=frozenset(access),
        stolen=world.stolen,
    )
