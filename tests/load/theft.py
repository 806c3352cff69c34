"""
Thefts: a thief copies all that a client holds, and both refresh.

Who refreshes when is the `Order`. Whether the server must refuse is never read off the
order but off the answers that both have got: see `Theft._is_doomed`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum
from time import monotonic

from tests.load.client import Client, SignedOut
from tests.load.scenery import AFTER_GRACE, AFTER_POLL, GRACE_PERIOD
from tests.load.tally import Fault, Tally
from tests.load.wire import Answer

__all__ = ["Order", "steal"]

_ROUNDS = 3
_PAGE = "/plain/"


class Missed(Exception):
    """The server served where the protocol says that it must refuse."""


class Order(Enum):
    """Who comes first."""

    THIEF_FIRST = "thief first"
    """The thief refreshes and goes on; the victim comes within the grace period."""

    THIEF_LONG_GONE = "thief first, twice"
    """The thief refreshes twice before the victim comes back."""

    THIEF_WAITS = "thief first, in silence"
    """The thief refreshes and hides, until the victim has got another successor."""

    VICTIM_FIRST = "victim first"
    """The victim refreshes; the thief comes within the grace period."""

    VICTIM_LONG_GONE = "victim first, twice"
    """The victim refreshes twice before the thief uses his copy."""

    AT_ONCE = "both at once"
    """Both present the same token at the same moment."""


async def steal(victim: Client, address: str, order: Order, tally: Tally) -> None:
    """
    Rob the client, and see to it that the theft comes out and ends the session.

    Args:
        victim: Whose tokens are copied.
        address: Where the thief is.
        order: How it begins.
        tally: Where it is counted.

    Raises:
        Unexpected: An answer that the protocol does not know here.
        GaveUp: There was no answer.
    """
    await _outlast_grace(victim)
    tally.thefts += 1
    theft = Theft(victim, victim.robbed_from(address))
    try:
        await theft.play(order)
    except SignedOut:
        pass
    except Missed as missed:
        tally.blame(Fault.THEFT_MISSED, f"{order.value}: {missed}")
        return
    going_on = await theft.find_who_goes_on()
    if going_on:
        tally.blame(Fault.THEFT_MISSED, f"{order.value}: {', '.join(going_on)}")
    else:
        tally.caught[order.value] += 1


class Theft:
    """A victim and a thief with the same tokens."""

    def __init__(self, victim: Client, thief: Client) -> None:
        self._victim = victim
        self._thief = thief
        self._openings: dict[Order, Callable[[], Awaitable[None]]] = {
            Order.THIEF_FIRST: lambda: self._race(thief, victim),
            Order.THIEF_LONG_GONE: lambda: self._outrun(thief, victim),
            Order.THIEF_WAITS: self._wait_in_silence,
            Order.VICTIM_FIRST: lambda: self._race(victim, thief),
            Order.VICTIM_LONG_GONE: lambda: self._outrun(victim, thief),
            Order.AT_ONCE: self._collide,
        }

    async def play(self, order: Order) -> None:
        """
        Begin as ordered, then let them come by turns, outside the grace period.

        Raises:
            SignedOut: It came out.
            Missed: One was served who must not be, or both still are.
        """
        await self._openings[order]()
        for _ in range(_ROUNDS):
            for client in (self._thief, self._victim):
                await asyncio.sleep(AFTER_GRACE)
                await self._go_on(client)
        raise Missed("both go on for ever")

    async def find_who_goes_on(self) -> list[str]:
        """Return what was answered other than that the session is over."""
        await asyncio.sleep(AFTER_POLL)
        uses = {
            "the victim's refresh": self._victim.refresh(),
            "the thief's refresh": self._thief.refresh(),
            "the victim's access": self._victim.get(_PAGE),
            "the thief's access": self._thief.get(_PAGE),
        }
        answers = await asyncio.gather(*uses.values(), return_exceptions=True)
        return [
            f"{name}: {answer!r}"
            for name, answer in zip(uses, answers, strict=True)
            if not _is_refusal(answer)
        ]

    async def _race(self, first: Client, second: Client) -> None:
        await self._go_on(first)
        for _ in ("within the grace period", "after it"):
            await self._go_on(second)
            await asyncio.sleep(AFTER_GRACE)

    async def _outrun(self, first: Client, second: Client) -> None:
        await self._go_on(first)
        await _outlast_grace(first)
        await self._go_on(first)
        await self._go_on(second)

    async def _wait_in_silence(self) -> None:
        await self._refresh(self._thief)
        await _outlast_grace(self._thief)
        await self._go_on(self._victim)
        await self._go_on(self._thief)

    async def _collide(self) -> None:
        both = (self._refresh(self._thief), self._refresh(self._victim))
        for result in await asyncio.gather(*both, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
        for client in (self._thief, self._victim):
            await client.get(_PAGE)

    async def _go_on(self, client: Client) -> None:
        """Refresh, and use what came of it."""
        await self._refresh(client)
        await client.get(_PAGE)

    async def _refresh(self, client: Client) -> None:
        doomed = self._is_doomed(client)
        held = client.wallet.held.generation
        await client.refresh()
        if doomed:
            who = "the thief" if client is self._thief else "the victim"
            raise Missed(f"{who} refreshed with generation {held}")

    def _is_doomed(self, client: Client) -> bool:
        """
        Tell whether no rule forgives the client's token any more.

        The other one has proven that he holds a newer token, and so it is confirmed.
        What is forgiven then is its predecessor only, within the grace period.
        """
        other = self._victim if client is self._thief else self._thief
        held, newer = client.wallet.held, other.proven
        if newer.generation <= held.generation:
            return False
        age = monotonic() - newer.since
        return held.generation != newer.predecessor or age >= GRACE_PERIOD


def _is_refusal(answer: object) -> bool:
    if isinstance(answer, Answer):
        # An access token that has expired meanwhile is refused for that.
        return answer.status == 401
    return isinstance(answer, SignedOut) and "session_ended" in str(answer)


async def _outlast_grace(client: Client) -> None:
    """Wait until the client's token is due for replacement."""
    age = monotonic() - client.wallet.held.since
    await asyncio.sleep(max(AFTER_GRACE - age, 0))
