"""A login: a new family, and the end of those that it replaces or displaces."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth import get_user_model

from rotating_sessions.services import start_session
from tests.machine.answers import read_access, read_claims
from tests.machine.facts import Book, Life, Owner, Token
from tests.machine.hosts import Host, request_from
from tests.machine.keys import ABSOLUTE, IDLE, LIMIT
from tests.machine.oracle import Answer
from tests.machine.people import Client, Reply
from tests.machine.world import World

__all__ = ["log_in"]


def log_in(
    world: World,
    owner: Owner,
    host: Host,
    *,
    address: str,
    transport: str,
    browser: Client | None,
) -> Client:
    """Log in, perhaps in a browser that has a session already."""
    world.tick()
    now = world.at(host)
    old = browser.tokens[-1] if browser and browser.tokens else None
    cookie = {"HTTP_COOKIE": f"__Host-rs_refresh={old.value}"} if old else {}
    user = get_user_model().objects.get(pk=owner.pk)
    pair = start_session(request_from(address, **cookie), user, transport=transport)
    world.watch.said.append(repr(pair))
    claims = read_claims(pair)
    token = Token(pair.refresh or "", 0, now, world.keys.first)
    networks = ((address, world.keys.first),)
    stamp = world.keys.stamp(owner.password)
    life = Life(
        number=len(world.lives),
        id=claims["sid"],
        owner=owner,
        transport=transport,
        born_at=now,
        expires_at=now + ABSOLUTE,
        book=Book(token, stamp, now + IDLE, networks),
    )
    if browser is not None and old is not None and old.key in world.keys:
        if browser.life.owner.pk == owner.pk:
            browser.life.excuses.add("replaced")
            world.end(browser.life, "replaced", host, now)
        browser.forget()
    world.watch.lives[life.id] = life
    world.watch.issued.append(token.value)
    _limit_sessions(world, owner, host, now)
    client = Client(len(world.clients), life, address)
    client.take(
        Reply(Answer.FULL, world.elapsed, token, read_access(world, life, pair)),
        world.elapsed,
    )
    world.clients.append(client)
    return client


def _limit_sessions(world: World, owner: Owner, host: Host, now: datetime) -> None:
    """Expect the sessions beyond the limit to end, those idle for longest first."""
    live = [life for life in world.lives if life.owner is owner and life.is_open(now)]
    live.sort(key=lambda life: (life.last_active, life.born_at), reverse=True)
    for life in live[LIMIT:]:
        life.excuses.add("too many sessions")
        world.end(life, "session_limit", host, now)
