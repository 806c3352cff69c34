"""What an honest session does: it opens pages, and things happen to it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from itertools import count, cycle
from time import monotonic

from tests.load.client import Client, GaveUp, SignedOut, Unexpected
from tests.load.scenery import (
    ACCESS_LIFETIME,
    AFTER_GRACE,
    MAX_LOST,
    NETWORKS,
    TIMEOUT,
    home_of,
    lair_of,
)
from tests.load.tally import Fault, Tally
from tests.load.theft import Order, steal

__all__ = ["Session"]

# Without a query, with request.user, and with the DRF class.
_PAGES = ("/plain/", "/whoami/", "/api/profile/")

_thefts = count()
_orders = cycle(Order)


class Session:
    """
    Somebody with one device, who logs in again whenever a session has ended.

    Args:
        number: Which of all sessions.
        client: The device.
        turn: What is locked while others wait to send.
        chance: What decides when something happens, and what.
        tally: Where it is counted.
    """

    def __init__(
        self,
        number: int,
        client: Client,
        turn: asyncio.Semaphore,
        chance: random.Random,
        tally: Tally,
    ) -> None:
        self._number = number
        self._client = client
        self._turn = turn
        self._chance = chance
        self._tally = tally
        # In a hundred visits.
        self._kinds: dict[Callable[[], Awaitable[None]], int] = {
            self._open_a_page: 29,
            self._open_two_tabs: 26,
            self._change_networks: 17,
            self._lose_answers: 9,
            self._be_cut_off: 10,
            self._be_robbed: 9,
        }

    async def live(self, until: float, pause: float) -> None:
        """
        Visit the site now and then.

        Args:
            until: The moment from which no visit begins any more, of `monotonic`.
            pause: How long it stays away between visits, in the mean.
        """
        while True:
            rest = self._chance.expovariate(1 / pause)
            await asyncio.sleep(min(rest, until - monotonic()))
            # No more than the server can take: a visit waits until nobody waits.
            while self._turn.locked():  # noqa: ASYNC110 - nobody announces that
                await asyncio.sleep(self._chance.random())
            if monotonic() >= until:
                return
            (visit,) = self._chance.choices(
                list(self._kinds), weights=list(self._kinds.values())
            )
            if not await self._goes_well(visit) and not await self._goes_well(
                self._client.log_in
            ):
                return

    async def log_in(self) -> None:
        """Log in for the first time."""
        await self._goes_well(self._client.log_in)

    async def _goes_well(self, visit: Callable[[], Awaitable[None]]) -> bool:
        """Visit, and return whether the session goes on as it must."""
        try:
            await visit()
        except SignedOut as error:
            fault, note = Fault.FALSE_REVOCATION, error
        except Unexpected as error:
            fault, note = Fault.UNEXPECTED, error
        except GaveUp as error:
            fault, note = Fault.GAVE_UP, error
        else:
            return True
        what = visit.__name__.strip("_")
        self._tally.blame(fault, f"session {self._number}, {what}: {note}")
        return False

    async def _open_a_page(self) -> None:
        """Ask; where a refresh is required, refresh and ask again."""
        client, path = self._client, self._chance.choice(_PAGES)
        answer = await client.get(path)
        if answer.status == 401:
            await client.refresh()
            answer = await client.get(path)
        if answer.status == 401:
            # Where the turn came late, the token may have expired again.
            age = monotonic() - client.wallet.renewed_at
            if age < ACCESS_LIFETIME - TIMEOUT:
                self._tally.blame(Fault.NOT_MENDED, f"session {self._number}: {path}")
        elif answer.body.get("user", client.user) != client.user:
            self._tally.blame(Fault.WRONG_USER, f"session {self._number}: {path}")

    async def _open_two_tabs(self) -> None:
        """Ask in two tabs at once, each of which refreshes by itself."""
        # One more loss would be one too many: such a client keeps to one tab.
        tabs = 2 if self._client.lost < MAX_LOST else 1
        self._tally.both_tabs += tabs == 2
        results = await asyncio.gather(
            *(self._open_a_page() for _ in range(tabs)), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _change_networks(self) -> None:
        """Ask from where the access token may not serve."""
        addresses = [home_of(self._number, network) for network in range(NETWORKS)]
        addresses.remove(self._client.address)
        self._client.address = self._chance.choice(addresses)
        self._tally.network_changes += 1
        await self._open_a_page()

    async def _lose_answers(self) -> None:
        """Lose one to three full answers in a row, each after the grace period."""
        for _ in range(self._chance.randint(1, MAX_LOST)):
            await asyncio.sleep(AFTER_GRACE)
            # What is tried again at once comes within the grace period.
            self._client.drops = 1
            await self._client.refresh()
        self._client.drops = 0
        await asyncio.sleep(AFTER_GRACE)
        await self._client.refresh()
        await self._open_a_page()

    async def _be_cut_off(self) -> None:
        """Refresh while the connection breaks, once or twice."""
        self._client.cuts = self._chance.randint(1, 2)
        await self._client.refresh()
        self._client.cuts = 0
        await self._open_a_page()

    async def _be_robbed(self) -> None:
        """Fall victim to a thief, and log in again."""
        await self._open_a_page()
        await steal(self._client, lair_of(next(_thefts)), next(_orders), self._tally)
        await self._client.log_in()
