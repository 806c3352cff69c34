"""
The real site, and the oracle beside it: each act is foretold, done, and compared.

Two hosts stand before one database. Time passes only when a rule says so.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from rotating_sessions import revocations
from rotating_sessions.models import RefreshToken, SessionFamily
from tests.acting import SKEW, START, TICK, Clock
from tests.machine.facts import Book, Life, Owner
from tests.machine.hosts import Host
from tests.machine.invariants import WATCHED
from tests.machine.keys import POLL, Keys
from tests.machine.people import Client
from tests.machine.sights import Watch

__all__ = ["World"]

User = get_user_model()


class _Ear(logging.Handler):
    """Keep whatever the package logs, with every field of it."""

    def __init__(self, said: list[str]) -> None:
        super().__init__()
        self.said = said

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(f"{record.getMessage()} {vars(record)}")


class World:
    """Users, clients, keys, hosts and clocks, and what is known of each family."""

    def __init__(self, site: dict[str, Any]) -> None:
        self._patch = pytest.MonkeyPatch()
        self._clock = Clock(self._patch)
        self._base = START
        # True time, whatever the clocks say.
        self.elapsed = timedelta()
        self.hosts = [Host(0, timedelta()), Host(1, SKEW)]
        secret = "the-first-secret-key-" + "0123456789abcdef" * 3
        self.keys = Keys(secrets=[secret], site=site)
        self.owners: list[Owner] = []
        self.nobody = Owner("")
        self.clients: list[Client] = []
        self.watch = Watch()
        self.past: dict[Life, list[tuple[Book, frozenset[int], dict[str, Any]]]] = {}
        self._passwords = 0
        self._logger = logging.getLogger("rotating_sessions")
        self._ear = _Ear(self.watch.said)

    def open(self, users: int, *, own_keys: bool) -> None:
        """Begin, with users and with keys of SECRET_KEY or of SIGNING_KEYS."""
        if own_keys:
            self.keys.signing = [self.keys.new_root()]
        self.keys.apply()
        self._logger.addHandler(self._ear)
        self._logger.setLevel(logging.DEBUG)
        # A deep run would fill pytest's own record of it.
        self._logger.propagate = False
        for number in range(users):
            self.owners.append(self.create_user(11 + 3 * number))

    def close(self) -> None:
        """Leave nothing behind, in the database or in the process."""
        self._logger.removeHandler(self._ear)
        self._logger.setLevel(logging.NOTSET)
        self._logger.propagate = True
        self.keys.withdraw()
        RefreshToken.objects.all().delete()
        SessionFamily.objects.all().delete()
        # Without the signals: there is no session left to end.
        User.objects.all()._raw_delete("default")
        revocations.reset()
        self._patch.undo()

    def create_user(self, pk: int) -> Owner:
        """Create a user, perhaps with the primary key of one who is gone."""
        self._passwords += 1
        user = User(pk=pk, username=f"user{pk}")
        user.set_password(f"password {self._passwords}")
        user.save(force_insert=True)
        return Owner(pk, self._passwords)

    def new_password(self) -> int:
        """Return the number of a password that nobody had before."""
        self._passwords += 1
        return self._passwords

    def at(self, host: Host) -> datetime:
        """Let the host run what follows, and return what its clock says."""
        host.enter()
        self._clock.now = self._base + host.skew
        return self._clock.now

    def wait(self, span: timedelta) -> None:
        """Let time pass: who waits for an answer gives up."""
        self._base += span
        self.elapsed += span
        for client in self.clients:
            client.give_up(self.elapsed)

    def tick(self) -> None:
        """Let no two logins be at one moment."""
        self.wait(TICK)

    def turn_back(self, span: timedelta) -> None:
        """Turn every clock back, while each host goes on serving requests."""
        for move in (timedelta(), span):
            self._base -= move
            for host in self.hosts:
                revocations.poll(self.at(host))
        for life in self.lives:
            life.excuses.add("the clock ran back")
            life.rotations.clear()

    @property
    def lives(self) -> list[Life]:
        """Return every family, in the order of their logins."""
        return list(self.watch.lives.values())

    def end(self, life: Life, reason: str, host: Host, now: datetime) -> None:
        """Note that the family is revoked, from now on and for good."""
        if life.ended or life.purged:
            return
        life.ended, life.ended_at, life.ended_after = reason, now, self.elapsed
        host.told.add(life.number)

    def must_know(self, life: Life, host: Host) -> bool:
        """Tell whether the host has to know by now that the family is revoked."""
        if life.purged or not life.ended:
            return False
        # An end that is dated before the tokens it concerns is looked for in vain.
        if life.ended_at < life.last_issue - SKEW:
            return False
        heard = self.elapsed - life.ended_after >= POLL
        return heard or life.number in host.told

    def check(self) -> None:
        """Look at the whole database, and ask every invariant."""
        watch = self.watch
        rows = SessionFamily.objects.values()
        watch.after = {row["id"]: _plain(row) for row in rows}
        watch.ledger = [_plain(row) for row in RefreshToken.objects.values()]
        for invariant in WATCHED:
            invariant(watch)
        for key, life in watch.lives.items():
            row = watch.after.get(key)
            if row is not None and row != watch.before.get(key):
                state = (life.book, frozenset(life.proven), row)
                self.past.setdefault(life, []).append(state)
        watch.before = watch.after
        watch.said.clear()
        watch.quiet = False


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row with its bytes as bytes, on every database."""
    return {
        name: bytes(value) if isinstance(value, memoryview) else value
        for name, value in row.items()
    }
