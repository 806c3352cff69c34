"""
A client that keeps README's "What a client has to do", whatever happens to answers.

What it will lose is decided beforehand: `drops` full answers are read and forgotten,
and `cuts` connections are closed before the answer can come.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from time import monotonic

from rotating_sessions.tokens.refresh import decode_refresh
from rotating_sessions.transports import COOKIE
from tests.load.scenery import GRACE_PERIOD, MAX_LOST, PASSWORD, PATIENCE, TIMEOUT
from tests.load.tally import Tally
from tests.load.wallet import Held, Wallet
from tests.load.wire import Answer, Message, NoAnswer, Wire

__all__ = ["Client", "GaveUp", "SignedOut", "Unexpected"]

_TRIES = 6
_PAUSE = 0.3  # seconds before the same is tried again, and each time as many more


class SignedOut(Exception):
    """The server says that the session is over: the message is its answer."""


class Unexpected(Exception):
    """An answer that the protocol does not know here: the message is that answer."""


class GaveUp(Exception):
    """No answer came for too long, or too many were lost, to go on judging."""


class Client:
    """A session on one device, which comes from one address at a time."""

    def __init__(
        self, wire: Wire, tally: Tally, *, user: str, address: str, wallet: Wallet
    ) -> None:
        self.user = user
        self.address = address
        self.wallet = wallet
        self.drops = self.cuts = 0
        # Answers in a row that may have been full ones, and did not get here.
        self.lost = 0
        # The newest refresh token whose access token the server has accepted.
        self.proven = Held()
        self._wire = wire
        self._tally = tally

    def robbed_from(self, address: str) -> Client:
        """Return a thief: a client elsewhere, with a copy of all this one holds."""
        loot = replace(self.wallet)
        return Client(
            self._wire, self._tally, user=self.user, address=address, wallet=loot
        )

    async def log_in(self) -> None:
        """
        Start a session, and forget the one before.

        Raises:
            Unexpected: The server refuses.
            GaveUp: It does not answer.
        """
        wallet = self.wallet = Wallet(transport=self.wallet.transport)
        self.drops = self.cuts = self.lost = 0
        self.proven = Held()
        if wallet.transport == COOKIE:
            answer = await self._ask("/auth/login/")
            wallet.csrf = answer.cookies["csrftoken"]
        body = {"username": self.user, "password": PASSWORD}
        body["transport"] = wallet.transport
        answer = await self._ask("/auth/login/", body)
        access, refresh = wallet.read(answer)
        if answer.status != 200 or not refresh:
            raise Unexpected(f"{answer.outcome} /auth/login/")
        wallet.csrf = answer.cookies.get("csrftoken", "")
        # The first refresh always rotates, so a login is as good as long ago.
        held = replace(self._receive(refresh, None), since=monotonic() - GRACE_PERIOD)
        wallet.put(access, held, held)
        self._tally.logins += 1

    async def get(self, path: str) -> Answer:
        """
        Ask with the access token, until there is an answer: 200, or refresh required.

        Raises:
            SignedOut: The session is over.
            Unexpected: Any other answer.
            GaveUp: No answer.
        """
        minted_with = self.wallet.minted_with
        answer = await self._ask(path)
        if answer.outcome == "401 refresh_required":
            return answer
        if answer.status == 401 or answer.body.get("user") == "":
            raise SignedOut(f"{answer.outcome} {path}")
        if answer.status != 200:
            raise Unexpected(f"{answer.outcome} {path}")
        if minted_with.generation > self.proven.generation:
            self.proven = minted_with
        return answer

    async def refresh(self) -> None:
        """
        Present the refresh token until an answer is kept.

        Raises:
            SignedOut: The session is over.
            Unexpected: An answer that is neither that nor tokens.
            GaveUp: No answer, or more were lost than the protocol forgives.
        """
        for tried in range(1, _TRIES + 1):
            # What to present is looked up when it is the client's turn, not before.
            async with self._wire.turn:
                presented = self.wallet.held
                answer = await self._present()
            if answer is not None and self._keep(answer, presented):
                return
            if self.lost > MAX_LOST:
                raise GaveUp("too many answers lost in a row")
            await asyncio.sleep(tried * _PAUSE)
        raise GaveUp("/auth/refresh/")

    async def _present(self) -> Answer | None:
        """Present the refresh token once; None: nobody knows what came of it."""
        message = self._message("/auth/refresh/", self.wallet.body())
        if self.cuts and self.lost < MAX_LOST:
            self.cuts -= 1
            self.lost += 1
            self._tally.cut += 1
            await self._wire.hang_up(message)
            return None
        within = TIMEOUT if self.lost < MAX_LOST else PATIENCE
        try:
            return await self._wire.ask(message, within=within)
        except NoAnswer:
            self.lost += 1
            return None

    def _keep(self, answer: Answer, presented: Held) -> bool:
        """Keep the tokens of an answer, unless there are none or they are dropped."""
        if answer.status == 401:
            raise SignedOut(f"{answer.outcome} /auth/refresh/")
        access, refresh = self.wallet.read(answer)
        if answer.status >= 500:
            return False
        if answer.status != 200 or not access:
            raise Unexpected(f"{answer.outcome} /auth/refresh/")
        if not refresh:
            self._tally.access_only += 1
            self.wallet.put(access, self.wallet.held, presented)
            return True
        held = self._receive(refresh, presented)
        self._tally.full += 1
        self._tally.re_rotated += held.generation > presented.generation + 1
        if self.drops and self.lost < MAX_LOST:
            self.drops -= 1
            self.lost += 1
            self._tally.dropped += 1
            return False
        self.lost = 0
        self.wallet.put(access, held, held)
        return True

    def _receive(self, refresh: str, presented: Held | None) -> Held:
        decoded = decode_refresh(refresh)
        self._tally.note_token(decoded.digest)
        return Held(
            token=refresh,
            generation=decoded.generation,
            predecessor=None if presented is None else presented.generation,
            since=monotonic(),
        )

    def _message(self, path: str, body: dict[str, str] | None = None) -> Message:
        # The site trusts one proxy, whose header is how a client says where it is.
        headers = {"X-Forwarded-For": self.address, **self.wallet.headers()}
        return Message(path=path, headers=headers, body=body)

    async def _ask(self, path: str, body: dict[str, str] | None = None) -> Answer:
        """Ask again until there is an answer that is no 5xx."""
        for tried in range(1, _TRIES + 1):
            with suppress(NoAnswer):
                async with self._wire.turn:
                    answer = await self._wire.ask(
                        self._message(path, body), within=PATIENCE
                    )
                if answer.status < 500:
                    return answer
            await asyncio.sleep(tried * _PAUSE)
        raise GaveUp(path)
