"""Those who come to the site: honest clients and thieves, by lines good and bad."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from tests import figures
from tests.acting import SKEW, W
from tests.machine import acts, logins
from tests.machine.chances import (
    addresses,
    anyone,
    delays,
    has_clients,
    has_room,
    hosts,
    is_blow_due,
    is_change_due,
    pauses,
    transports,
    wants_login,
)
from tests.machine.facts import Access, Owner, Token
from tests.machine.keys import IDLE
from tests.machine.people import ADDRESSES, Client
from tests.machine.world import World

__all__ = ["Visitors"]


class Visitors(RuleBasedStateMachine):
    """Those who come to the site, and the time that passes."""

    # Settings that the site has, and the oracle does not know of.
    site: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.site)
        # What happened, without anything that chance alone decides.
        self.trace: list[tuple[Any, ...]] = []

    @initialize(users=st.integers(1, 3), own_keys=st.booleans())
    def open(self, *, users: int, own_keys: bool) -> None:
        self.world.open(users, own_keys=own_keys)
        figures.count("state-machine runs")
        self.tell("open", users, own_keys)
        self.log_in(0, 0, ADDRESSES[0], "header", None)

    def teardown(self) -> None:
        self.world.close()

    @invariant()
    def everything_holds(self) -> None:
        self.world.check()

    def tell(self, name: str, *facts: Any) -> None:
        self.trace.append((name, *facts))
        figures.count("state-machine steps")

    def active(self) -> list[Client]:
        """Return the honest clients who believe to be logged in."""
        return [one for one in self.world.clients if one.honest and one.tokens]

    def who_may_log_in(self) -> list[Owner]:
        return [one for one in self.world.owners if one.exists and one.active]

    def thieves(self) -> list[Client]:
        return [client for client in self.world.clients if not client.honest]

    def one(self, number: int, among: list[Client] | None = None) -> Client:
        clients = among or self.active()
        return clients[number % len(clients)]

    @precondition(wants_login)
    @rule(
        owner=st.integers(0, 2),
        host=hosts,
        address=addresses,
        transport=transports,
        browser=st.none() | anyone,
    )
    def log_in(
        self, owner: int, host: int, address: str, transport: str, browser: int | None
    ) -> None:
        world = self.world
        owners = self.who_may_log_in()
        whose = owners[owner % len(owners)]
        old = None
        if browser is not None and self.active():
            old = self.one(browser)
        client = logins.log_in(
            world,
            whose,
            world.hosts[host],
            address=address,
            transport=transport,
            browser=old,
        )
        self.tell("log in", client.number, whose.pk, host, address, transport, browser)

    @precondition(has_room)
    @precondition(is_change_due)
    @rule(host=hosts, address=addresses, transport=transports, stays=st.booleans())
    def come(self, host: int, address: str, transport: str, *, stays: bool) -> None:
        """Come without a login, and perhaps log in after a look around."""
        world, place = self.world, self.world.hosts[host]
        client = logins.come(world, place, address=address, transport=transport)
        self.tell("come", client.number, host, address, transport)
        if not stays and self.who_may_log_in():
            self.log_in(host, host, address, transport, self.active().index(client))

    @precondition(has_clients)
    @rule(who=anyone, host=hosts, after=pauses, second_tab=st.booleans())
    def refresh(
        self, who: int, host: int, after: timedelta, *, second_tab: bool
    ) -> None:
        client = self.one(who)
        self.world.wait(after)
        former = client.former(self.world.elapsed) if second_tab else None
        self.show(client, former or client.tokens[-1], host, "arrives")

    @precondition(has_clients)
    @rule(who=anyone, host=hosts, fate=st.sampled_from(["lost", "late", "caught"]))
    def refresh_over_a_bad_line(self, who: int, host: int, fate: str) -> None:
        client = self.one(who)
        self.world.wait(W + SKEW)
        self.show(client, client.tokens[-1], host, fate)

    def show(self, client: Client, token: Token, host: int, fate: str) -> None:
        """Refresh; the answer arrives, is lost, comes late, or is caught by a thief."""
        reply = acts.refresh(self.world, client, token, self.world.hosts[host])
        if fate == "arrives":
            client.take(reply, self.world.elapsed)
        elif fate == "late":
            client.pending.append(reply)
        else:
            client.lose(reply)
        if fate == "caught" and reply.token is not None:
            self.thief_beside(client).take(reply, self.world.elapsed)
        self.tell("refresh", client.number, host, fate, token.generation, reply.answer)

    def thief_beside(self, victim: Client) -> Client:
        """Return who listens on the client's line, and is seen at its address."""
        for thief in self.thieves():
            if (thief.life, thief.address) == (victim.life, victim.address):
                return thief
        return self.new_thief(victim, victim.address)

    def new_thief(self, victim: Client, address: str) -> Client:
        number = len(self.world.clients)
        thief = Client(number, victim.life, address, honest=False)
        self.world.clients.append(thief)
        return thief

    @precondition(lambda machine: any(one.pending for one in machine.active()))
    @rule(who=anyone)
    def arrive(self, who: int) -> None:
        client = self.one(who, [one for one in self.active() if one.pending])
        reply = client.pending.pop(0)
        client.take(reply, self.world.elapsed)
        self.tell("arrive", client.number, reply.answer)

    @precondition(has_clients)
    @rule(who=anyone, host=hosts, after=delays, reads_user=st.booleans())
    def visit(self, who: int, host: int, after: timedelta, *, reads_user: bool) -> None:
        client = self.one(who)
        self.world.wait(after)
        self.use(client, client.accesses[-1], host, reads_user=reads_user)

    def use(
        self, client: Client, access: Access, host: int, *, reads_user: bool
    ) -> None:
        place = self.world.hosts[host]
        verdict, _ = acts.visit(
            self.world, client, access, place, reads_user=reads_user
        )
        self.tell("visit", client.number, host, reads_user, access.generation, verdict)

    @precondition(has_clients)
    @precondition(is_change_due)
    @rule(who=anyone, address=addresses)
    def move(self, who: int, address: str) -> None:
        client = self.one(who)
        client.address = address
        self.tell("move", client.number, address)

    @precondition(is_blow_due)
    @rule(
        span=st.sampled_from(
            [
                timedelta(minutes=29),
                timedelta(hours=7),
                timedelta(hours=25),
                *[IDLE] * 2,
            ]
        )
    )
    def wait(self, span: timedelta) -> None:
        self.world.wait(span)
        self.tell("wait", span)
