"""The machine: with visitors and users, what staff, operators and failures do."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from rotating_sessions.models import RefreshToken, RevokedReason, SessionFamily
from rotating_sessions.services import (
    end_proven_session,
    purge_sessions,
    revoke_all_sessions,
    revoke_session,
    revoke_sessions,
)
from tests.machine.chances import (
    anyone,
    has_clients,
    hosts,
    is_blow_due,
    is_change_due,
)
from tests.machine.hosts import Host
from tests.machine.keys import RETENTION
from tests.machine.users import Users

__all__ = ["Machine"]


class Machine(Users):
    """Everybody: all that may happen to sessions, in any order."""

    @precondition(has_clients)
    @precondition(is_blow_due)
    @rule(who=anyone, host=hosts, everywhere=st.booleans())
    def log_out(self, who: int, host: int, *, everywhere: bool) -> None:
        client, place = self.one(who), self.world.hosts[host]
        token, life, owner = client.tokens[-1], client.life, client.life.owner
        now = self.world.at(place)
        proven = token.key in self.world.keys and not life.purged
        count = 0
        if everywhere and owner.exists and not owner.is_nobody:
            reason = RevokedReason.LOGOUT_EVERYWHERE
            count = revoke_all_sessions(owner.pk, reason=reason)
            assert count == self.end_live(self.families_of(owner), reason, place)
        elif proven:
            reason = RevokedReason.LOGOUT
            was_open = end_proven_session(token.value, reason=reason)
            assert was_open == life.is_open(now)
            count = self.end_live([life], reason, place)
        client.forget()
        self.tell("log out", client.number, host, everywhere, count)

    @precondition(is_blow_due)
    @rule(number=st.integers(0, 9), host=hosts, of=st.sampled_from(["one", "all"]))
    def staff_revokes(self, number: int, host: int, of: str) -> None:
        lives, place = self.world.lives, self.world.hosts[host]
        self.world.at(place)
        life = lives[number % len(lives)]
        reason = RevokedReason.STAFF
        if of == "one":
            gone = revoke_session(life.id, reason=reason)
            count = self.end_live([life], reason, place)
            assert gone == (count == 1)
        else:
            same = [one for one in lives if one.transport == life.transport]
            # Staff may select what is over already: it ends all the same.
            rows = SessionFamily.objects.filter(transport=life.transport)
            count = revoke_sessions(rows, reason=reason)
            assert count == self.end(same, reason, place)
        self.tell("staff revokes", life.number, host, of, count)

    @precondition(is_change_due)
    @rule(host=hosts, task=st.sampled_from(["purge", "restart", "key", "secret"]))
    def operate(self, host: int, task: str) -> None:
        place = self.world.hosts[host]
        if task == "purge":
            self.purge(place)
        elif task == "restart":
            place.restart()
        else:
            keys = self.world.keys
            roots = keys.secrets if task == "secret" else keys.roots
            roots.insert(0, keys.new_root())
            self.put_in_force()
        self.tell("operate", host, task)

    def purge(self, host: Host) -> None:
        now = self.world.at(host)
        for _count in purge_sessions(batch_size=1):
            pass
        for life in self.world.lives:
            ends = [life.deadline, *([life.ended_at] if life.ended else [])]
            life.purged = life.purged or any(end < now - RETENTION for end in ends)
        # The ledger is trimmed: no earlier state can be put together again.
        self.world.past.clear()

    @precondition(is_blow_due)
    @rule(what=st.sampled_from(["epoch", "key", "key", "secret"]))
    def drop_key(self, what: str) -> None:
        keys = self.world.keys
        roots = keys.secrets if what == "secret" else keys.roots
        if what == "epoch":
            keys.epoch += 1
        elif len(roots) > 1:
            roots.pop()
        self.excuse(self.world.lives, "a key was dropped")
        self.put_in_force()
        self.tell("drop key", what)

    def put_in_force(self) -> None:
        self.world.keys.apply()
        self.world.watch.quiet = True

    @precondition(lambda machine: any(len(p) > 1 for p in machine.world.past.values()))
    @precondition(is_change_due)
    @rule(number=st.integers(0, 9), back=st.integers(1, 3))
    def fail_over(self, number: int, back: int) -> None:
        """Lose the last commits of a family, as an asynchronous replica may."""
        past = [
            (life, states)
            for life, states in self.world.past.items()
            if len(states) > 1 and life.owner.exists and not life.ended
        ]
        if not past:
            return
        life, states = past[number % len(past)]
        del states[max(1, len(states) - back) :]
        book, proven, row = states[-1]
        SessionFamily.objects.filter(pk=life.id).update(**row)
        newer = RefreshToken.objects.filter(family=life.id)
        newer.filter(generation__gt=row["generation"]).delete()
        life.book, life.proven = book, set(proven)
        life.excuses.add("the database lost commits")
        life.rotations.clear()
        self.world.watch.before[life.id] = row
        for client in self.world.clients:
            if client.life is life:
                client.pending.clear()
        self.tell("fail over", life.number, back, row["generation"])

    @precondition(is_blow_due)
    @rule(
        span=st.sampled_from(
            [timedelta(minutes=11), timedelta(hours=1), timedelta(days=1)]
        )
    )
    def turn_clocks_back(self, span: timedelta) -> None:
        self.world.turn_back(span)
        self.tell("turn back", span)
