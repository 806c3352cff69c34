"""A login or a visit: a new family, and the end of those that it displaces."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth import get_user_model

from rotating_sessions.services import start_anonymous_session, start_session
from rotating_sessions.transports import TokenPair
from tests import figures
from tests.machine.answers import read_access, read_claims
from tests.machine.facts import Book, Life, Owner, Token
from tests.machine.hosts import Host, request_from
from tests.machine.keys import ABSOLUTE, IDLE, LIMIT
from tests.machine.oracle import Answer, foretell
from tests.machine.people import Client, Reply
from tests.machine.world import World

__all__ = ["come", "log_in"]


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
    life = _begin(world, owner, pair, address=address, now=now)
    if browser is not None and old is not None and old.key in world.keys:
        if browser.life.owner.pk == owner.pk:
            browser.life.excuses.add("replaced")
            world.end(browser.life, "replaced", host, now)
        elif browser.life.owner.is_nobody and _serves(world, browser.life, old, now):
            browser.life.excuses.add("logged in")
            life.data = browser.life.data
            figures.count("logins of visitors")
            world.end(browser.life, "logged_in", host, now)
        browser.forget()
    _limit_sessions(world, owner, host, now)
    return _client_of(world, life, pair, address)


def _serves(world: World, life: Life, token: Token, now: datetime) -> bool:
    """Tell whether a refresh by the token would be, and not be the end of it."""
    answer = foretell(life, token, now, world.keys).answer
    return answer in {Answer.FULL, Answer.ACCESS_ONLY}


def come(world: World, host: Host, *, address: str, transport: str) -> Client:
    """Come as a visitor, who has not logged in."""
    world.tick()
    now = world.at(host)
    data = {"visit": len(world.lives)}
    pair = start_anonymous_session(
        request_from(address), transport=transport, data=data
    )
    life = _begin(world, world.nobody, pair, address=address, now=now)
    life.data = data
    return _client_of(world, life, pair, address)


def _begin(
    world: World, owner: Owner, pair: TokenPair, *, address: str, now: datetime
) -> Life:
    world.watch.said.append(repr(pair))
    token = Token(pair.refresh or "", 0, now, world.keys.first)
    networks = ((address, world.keys.first),)
    stamp = world.keys.stamp(owner.password)
    life = Life(
        number=len(world.lives),
        id=read_claims(pair)["sid"],
        owner=owner,
        transport=pair.transport,
        born_at=now,
        expires_at=now + ABSOLUTE,
        book=Book(token, stamp, now + IDLE, networks),
    )
    world.watch.lives[life.id] = life
    world.watch.issued.append(token.value)
    return life


def _client_of(world: World, life: Life, pair: TokenPair, address: str) -> Client:
    client = Client(len(world.clients), life, address)
    access = read_access(world, life, pair)
    reply = Reply(Answer.FULL, world.elapsed, life.book.newest, access)
    client.take(reply, world.elapsed)
    world.clients.append(client)
    return client


def _limit_sessions(world: World, owner: Owner, host: Host, now: datetime) -> None:
    """Expect the sessions beyond the limit to end, those idle for longest first."""
    live = [life for life in world.lives if life.owner is owner and life.is_open(now)]
    live.sort(key=lambda life: (life.last_active, life.born_at), reverse=True)
    for life in live[LIMIT:]:
        life.excuses.add("too many sessions")
        world.end(life, "session_limit", host, now)
