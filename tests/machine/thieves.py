"""Thieves: copies of what a client holds, shown at whatever moment is worst."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.machine.chances import (
    addresses,
    anyone,
    has_clients,
    has_room,
    hosts,
    is_change_due,
    pauses,
)
from tests.machine.visitors import Visitors

__all__ = ["Thieves"]

choices = st.integers(0, 3)


class Thieves(Visitors):
    """Visitors, and those who took what is theirs."""

    @precondition(lambda machine: has_clients(machine) and has_room(machine))
    @precondition(is_change_due)
    @rule(who=anyone, address=st.none() | addresses)
    def steal(self, who: int, address: str | None) -> None:
        victim = self.one(who)
        thief = self.new_thief(victim, address or victim.address)
        thief.tokens, thief.accesses = victim.tokens[-2:], victim.accesses[-2:]
        self.tell("steal", victim.number, thief.number)

    @precondition(lambda machine: machine.thieves())
    @rule(who=anyone, host=hosts, after=pauses, which=choices)
    def thief_refreshes(
        self, who: int, host: int, after: timedelta, which: int
    ) -> None:
        thief = self.one(who, self.thieves())
        self.world.wait(after)
        self.show(thief, thief.tokens[-1 - which % len(thief.tokens)], host, "arrives")

    @precondition(lambda machine: machine.thieves())
    @rule(who=anyone, host=hosts, reads_user=st.booleans(), which=choices)
    def thief_visits(
        self, who: int, host: int, *, reads_user: bool, which: int
    ) -> None:
        thief = self.one(who, self.thieves())
        access = thief.accesses[-1 - which % len(thief.accesses)]
        self.use(thief, access, host, reads_user=reads_user)
