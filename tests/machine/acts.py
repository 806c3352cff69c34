"""What clients do to the site: foretold by the oracle, done for real, compared."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest

from rotating_sessions.exceptions import RefreshTokenReused, SessionError
from rotating_sessions.services import refresh_session
from rotating_sessions.transports import TokenPair
from tests.acting import client_at, counted, reads, writes
from tests.machine.answers import classify, read_access, read_claims
from tests.machine.facts import Access, Life, Token
from tests.machine.hosts import Host, bearing
from tests.machine.invariants import SHOWN
from tests.machine.keys import IDLE
from tests.machine.oracle import (
    Answer,
    Sight,
    foretell,
    foretell_use,
    forgive_skew,
)
from tests.machine.people import Client, Reply
from tests.machine.sights import Shown
from tests.machine.world import World

__all__ = ["refresh", "visit"]


def refresh(world: World, client: Client, token: Token, host: Host) -> Reply:
    """Show a refresh token, and see that the answer is the one foretold."""
    life, now = client.life, world.at(host)
    _suspect(client)
    foretold = foretell(life, token, now, world.keys)
    asker = client_at(client.address)
    with counted() as verbs:
        try:
            outcome: Any = refresh_session(
                token.value, client=asker, transport=life.transport
            )
        except SessionError as refusal:
            outcome = refusal
    world.watch.said += [repr(outcome), str(outcome)]
    answer = classify(outcome)
    assert answer is foretold.answer, (life.book, token, foretold, answer)
    assert isinstance(outcome, RefreshTokenReused) == (foretold.reason == "reused")
    # I-20, and nothing at all for a token that no key of ours made.
    assert reads(verbs) <= 2
    assert writes(verbs) <= 2 or not isinstance(outcome, TokenPair)
    assert verbs.total() == 0 or token.key in world.keys
    before, proven = life.book, frozenset(life.proven)
    reply = Reply(answer, world.elapsed)
    if isinstance(outcome, TokenPair):
        reply = _remember(world, client, token, outcome, forgive_skew(life, now))
    shown = Shown(
        life=life,
        book=before,
        proven=proven,
        token=token,
        now=forgive_skew(life, now),
        key_in_force=token.key in world.keys,
        answer=answer,
        new=reply.token,
        access=reply.access,
    )
    for invariant in SHOWN:
        invariant(shown)
    if foretold.reason:
        world.end(life, foretold.reason, host, forgive_skew(life, now))
    return reply


def visit(
    world: World, client: Client, access: Access, host: Host, *, reads_user: bool
) -> tuple[str, HttpRequest]:
    """Make a request, see that it is answered as foretold, and return the answer."""
    life, now = client.life, world.at(host)
    _suspect(client)
    key = (life.number, access.generation)
    sight = Sight(
        first=key not in host.seen,
        must_know=world.must_know(life, host),
        reads_user=reads_user,
    )
    foretold = foretell_use(
        life, access, address=client.address, now=now, keys=world.keys, sight=sight
    )
    request = bearing(access.value, client.address, reads_user=reads_user)
    verdict = host.visit(request)
    world.watch.said.append(repr(vars(request).get("session_visit")))
    assert verdict in foretold.verdicts, (life, access, sight, foretold, verdict)
    if verdict in {"refresh_required", "invalid_token"}:
        world.watch.quiet = True
    if verdict in {"welcome", "anonymous"}:
        host.seen.add(key)
    if verdict == "welcome" and not reads_user:
        with counted() as verbs:
            again = host.visit(bearing(access.value, client.address, reads_user=False))
        # I-19: A request that is warm costs no statement.
        assert (again, verbs.total()) == ("welcome", 0)
    if foretold.confirms:
        _prove(life, access.generation)
    if foretold.reason:
        world.end(life, foretold.reason, host, now)
    return verdict, request


def _suspect(client: Client) -> None:
    if not client.honest:
        client.life.excuses.add("a thief acts")


def _prove(life: Life, generation: int) -> None:
    life.book = life.book.confirm()
    life.proven.add(generation)
    life.lost_answers = 0


def _remember(
    world: World, client: Client, token: Token, pair: TokenPair, now: datetime
) -> Reply:
    """Write the answer into the book, and return it as it goes to the client."""
    life = client.life
    newest = token.value == life.book.newest.value
    if newest:
        _prove(life, token.generation)
    life.book = life.book.meet(client.address, world.keys)
    new = None
    if pair.refresh:
        if token.generation > life.book.newest.generation:
            life.rotations.clear()
        new = Token(pair.refresh, read_claims(pair)["gen"], now, world.keys.first)
        stamp = world.keys.stamp(life.owner.password)
        life.book = life.book.rotate(
            token, new, rotated_at=now, idle_at=now + IDLE, stamp=stamp
        )
        life.rotations.append(now)
        world.watch.issued.append(new.value)
    return Reply(
        Answer.FULL if new else Answer.ACCESS_ONLY,
        world.elapsed,
        new,
        read_access(world, life, pair),
    )
