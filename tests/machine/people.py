"""Who comes to the site: honest clients, thieves, and what each of them holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from tests.acting import SKEW, W
from tests.machine.facts import Access, Life, Token
from tests.machine.oracle import Answer

__all__ = ["ADDRESSES", "PATIENCE", "Client", "Reply"]

ADDRESSES = tuple(f"203.0.113.{number}" for number in (5, 17, 29, 41, 53, 65))
# README, "What a client has to do": a request and its answer arrive or die within half
# of the grace period, less what the clocks of two hosts may differ.
PATIENCE = W / 2 - SKEW
MAX_LOST = 3


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a refresh, on its way."""

    answer: Answer
    sent_at: timedelta
    token: Token | None = None
    access: Access | None = None


@dataclass(slots=True, eq=False)
class Client:
    """
    Somebody with tokens of one family. The newest of each kind is the last.

    An honest client shows the newest refresh token, or for a moment the one before it,
    and forgets all of them once a refresh is refused. A thief keeps what he ever had.
    """

    number: int
    life: Life
    address: str
    honest: bool = True
    tokens: list[Token] = field(default_factory=list)
    accesses: list[Access] = field(default_factory=list)
    took_at: timedelta = timedelta()
    pending: list[Reply] = field(default_factory=list)

    def take(self, reply: Reply, elapsed: timedelta) -> None:
        """Hold what an answer brings."""
        if reply.token is not None:
            self.tokens.append(reply.token)
            self.took_at = elapsed
        if reply.access is not None:
            self.accesses.append(reply.access)
        if reply.answer in {Answer.INVALID, Answer.ENDED} and self.honest:
            self.forget()

    def lose(self, reply: Reply) -> None:
        """Never learn of an answer."""
        if reply.token is not None and self.honest:
            self.life.lost_answers += 1
            if self.life.lost_answers > MAX_LOST:
                self.life.excuses.add("lost more answers than anybody promised")

    def give_up(self, elapsed: timedelta) -> None:
        """Abort the requests that took too long."""
        for reply in list(self.pending):
            if elapsed - reply.sent_at > PATIENCE:
                self.pending.remove(reply)
                self.lose(reply)

    def forget(self) -> None:
        """Sign out, as far as this side is concerned."""
        self.tokens.clear()
        self.accesses.clear()
        self.pending.clear()

    def former(self, elapsed: timedelta) -> Token | None:
        """Return the token that a request sent a moment ago may still carry."""
        if len(self.tokens) < 2 or elapsed - self.took_at > PATIENCE:
            return None
        return self.tokens[-2]
