"""What users and those who manage them do: passwords, deactivation, deletion."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from rotating_sessions.models import RevokedReason
from rotating_sessions.services import keep_session_after_password_change
from tests.machine import acts
from tests.machine.chances import (
    anyone,
    has_clients,
    hosts,
    is_blow_due,
    is_change_due,
)
from tests.machine.facts import Life, Owner
from tests.machine.hosts import Host
from tests.machine.thieves import Thieves

__all__ = ["Users"]

User = get_user_model()
routes = st.sampled_from(["save", "update"])
owners = st.integers(0, 2)


def has_users(machine: Any) -> bool:
    return any(owner.exists for owner in machine.world.owners)


class Users(Thieves):
    """Visitors, and the accounts that they log in to."""

    """Everybody."""

    def owner(self, number: int) -> Owner:
        existing = [owner for owner in self.world.owners if owner.exists]
        return existing[number % len(existing)]

    def families_of(self, owner: Owner) -> list[Life]:
        return [life for life in self.world.lives if life.owner is owner]

    def excuse(self, lives: list[Life], why: str) -> None:
        for life in lives:
            life.excuses.add(why)

    def end(self, lives: list[Life], reason: str, host: Host) -> int:
        """Expect those among the families to end that have not; return how many."""
        now = self.world.at(host)
        ending = [life for life in lives if not life.ended and not life.purged]
        for life in ending:
            life.excuses.add(reason)
            self.world.end(life, reason, host, now)
        return len(ending)

    def end_live(self, lives: list[Life], reason: str, host: Host) -> int:
        """Expect the live ones among the families to end; return how many."""
        now = self.world.at(host)
        return self.end([life for life in lives if life.is_open(now)], reason, host)

    def change(self, owner: Owner, route: str, **fields: Any) -> None:
        """Write to the user with `save()` or, past every signal, with `update()`."""
        if route == "update":
            User.objects.filter(pk=owner.pk).update(**fields)
            return
        user = User.objects.get(pk=owner.pk)
        for name, value in fields.items():
            setattr(user, name, value)
        user.save()

    @precondition(has_users)
    @precondition(is_blow_due)
    @rule(number=owners, route=routes)
    def change_password(self, number: int, route: str) -> None:
        owner = self.owner(number)
        self.change(owner, route, password=make_password(f"changed by {route}"))
        owner.password = self.world.new_password()
        self.excuse(self.families_of(owner), "password changed")
        self.tell("change password", owner.pk, route)

    @precondition(has_clients)
    @precondition(is_change_due)
    @rule(who=anyone, host=hosts)
    def change_password_and_stay(self, who: int, host: int) -> None:
        client, place = self.one(who), self.world.hosts[host]
        life, owner = client.life, client.life.owner
        verdict, request = acts.visit(
            self.world, client, client.accesses[-1], place, reads_user=True
        )
        if verdict == "welcome":
            self.world.at(place)
            user = User.objects.get(pk=owner.pk)
            user.set_password("chosen by the user")
            user.save()
            keep_session_after_password_change(request, user)
            owner.password = self.world.new_password()
            self.excuse(self.families_of(owner), "password changed")
            others = [one for one in self.families_of(owner) if one is not life]
            self.end_live(others, RevokedReason.PASSWORD_CHANGED, place)
            life.book = life.book.restamp(self.world.keys.stamp(owner.password))
        self.tell("change password and stay", client.number, host, verdict)

    @precondition(has_users)
    @precondition(is_blow_due)
    @rule(number=owners, route=routes)
    def switch_on_or_off(self, number: int, route: str) -> None:
        owner = self.owner(number)
        owner.active = not owner.active
        self.change(owner, route, is_active=owner.active)
        self.excuse(self.families_of(owner), "deactivated")
        self.tell("switch", owner.pk, route, owner.active)

    @precondition(has_users)
    @precondition(is_blow_due)
    @rule(number=owners, host=hosts, bulk=st.booleans())
    def delete_user(self, number: int, host: int, *, bulk: bool) -> None:
        owner, place = self.owner(number), self.world.hosts[host]
        self.world.at(place)
        rows = User.objects.filter(pk=owner.pk)
        rows.delete() if bulk else rows.get().delete()
        self.excuse(self.families_of(owner), "deleted")
        count = self.end(self.families_of(owner), RevokedReason.USER_DELETED, place)
        owner.exists = False
        self.tell("delete user", owner.pk, host, bulk, count)

    @precondition(lambda machine: not all(o.exists for o in machine.world.owners))
    @precondition(is_change_due)
    @rule()
    def create_user_anew(self) -> None:
        gone = next(owner for owner in self.world.owners if not owner.exists)
        self.world.owners.remove(gone)
        self.world.owners.append(self.world.create_user(gone.pk))
        self.tell("create user", gone.pk)
