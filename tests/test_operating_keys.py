"""docs/operating.md, "Keys": its steps, walked by two hosts."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from rotating_sessions.models import SessionFamily
from tests.acting import MOMENT, W
from tests.browsing import HOME, TRAIN, Api, bearer, refusal

pytestmark = pytest.mark.django_db(transaction=True)

OPERATING = Path(__file__).parent.parent / "docs" / "operating.md"
KEYS = {
    "old": "the-key-that-has-served-so-far-" + "0123456789abcdef" * 2,
    "new": "the-key-that-comes-after-it-" + "fedcba9876543210" * 2,
}
# Columns of the table of steps.
WITH_SECRET_KEY, WITH_SIGNING_KEYS = 1, 2


def section() -> str:
    text = OPERATING.read_text(encoding="utf-8")
    return text.split("\n### Roll out a new key\n")[1].split("\n### ")[0]


def steps(column: int) -> dict[str, list[str]]:
    """Return the root keys of each step, as the table says, the first one first."""
    rows = re.findall(r"^\| (.+) \|$", section(), re.MULTILINE)
    cells = [row.split(" | ") for row in rows if "`" in row]
    return {
        cell[0].strip("*"): [
            KEYS[name] for name in re.findall(r"\b(old|new)\b", cell[column])
        ]
        for cell in cells
    }


class Host:
    """One host of the site, which reads its own settings."""

    def __init__(self, column: int, roots: list[str]) -> None:
        self.column = column
        self.roots = roots

    def serving(self) -> AbstractContextManager[Any]:
        if self.column == WITH_SIGNING_KEYS:
            return override_settings(ROTATING_SESSIONS={"SIGNING_KEYS": self.roots})
        first, *others = self.roots
        return override_settings(SECRET_KEY=first, SECRET_KEY_FALLBACKS=others)


class Person:
    """Someone who is signed in, and asks whichever host answers."""

    def __init__(self, user: Any, host: Host) -> None:
        self.user, self.api = user, Api()
        with host.serving():
            self.tokens = self.api.log_in(user)

    def visit(self, host: Host, address: str = HOME) -> Any:
        """Use the access token, on a page that reads the user."""
        with host.serving():
            return self.api.get(
                "/whoami/", REMOTE_ADDR=address, **bearer(self.tokens["access"])
            )

    def refresh(self, host: Host, address: str = HOME) -> Any:
        with host.serving():
            answer = self.api.send(
                "/auth/refresh/",
                {"refresh": self.tokens["refresh"]},
                REMOTE_ADDR=address,
            )
        if answer.status_code == 200:
            self.tokens |= answer.json()
        return answer


def assert_alive(people: list[Person], hosts: list[Host], clock: Any) -> None:
    """Assert that everybody can use and refresh their session on every host."""
    for host in hosts:
        for person in people:
            seen = [person.visit(each).status_code for each in hosts]
            answer = person.refresh(host)
            assert seen == [200] * len(hosts)
            assert (answer.status_code, "refresh" in answer.json()) == (200, True)
        clock.forward(W)


both_ways = pytest.mark.parametrize(
    "column", [WITH_SECRET_KEY, WITH_SIGNING_KEYS], ids=["SECRET_KEY", "SIGNING_KEYS"]
)


def test_the_steps_are_those_that_are_walked():
    """The list of docs/operating.md names each step of its table, and the wait."""
    listed = re.findall(r"^\d\. \*\*(\w+)\*\*", section(), re.MULTILINE)

    assert listed == ["Add", "Swap", "Wait", "Remove"]
    for column in (WITH_SECRET_KEY, WITH_SIGNING_KEYS):
        assert list(steps(column)) == ["before", "Add", "Swap", "Remove"]
    assert Path(__file__).name in section()


@both_ways
def test_a_new_key_signs_nobody_out(user, clock, column):
    """KM-02: Host by host, step by step, all sessions serve on both hosts."""
    walk = steps(column)
    before = walk.pop("before")
    hosts = [Host(column, before), Host(column, before)]
    people = [Person(user, host) for host in hosts]
    clock.forward(MOMENT)
    assert_alive(people, hosts, clock)

    for name, roots in walk.items():
        if name == "Remove":
            wait(people, hosts, clock)
        for host in hosts:
            host.roots = roots
            assert_alive(people, hosts, clock)
            # Whoever logs in on either host in this very state is served by both.
            people += [Person(user, each) for each in hosts]
            clock.forward(MOMENT)
            assert_alive(people, hosts, clock)

    assert {family.revoked_at for family in SessionFamily.objects.all()} == {None}
    assert [host.roots for host in hosts] == [[KEYS["new"]]] * 2


def wait(people: list[Person], hosts: list[Host], clock: Any) -> None:
    """Let IDLE_TIMEOUT pass, in which everybody comes back once, near its end."""
    clock.forward(timedelta(days=14, hours=-1))
    for person in people:
        assert person.refresh(hosts[0]).status_code == 200
    clock.forward(timedelta(hours=1))
    for person in people:
        assert person.refresh(hosts[1]).status_code == 200
    clock.forward(W)


@both_ways
def test_a_key_that_is_swapped_in_at_once_signs_people_out(user, clock, column):
    """Without the first step a host refuses what the other one signs: log in again."""
    walk = steps(column)
    ahead, behind = Host(column, walk["Swap"]), Host(column, walk["before"])
    person = Person(user, ahead)
    clock.forward(MOMENT)

    answers = [person.visit(behind), person.refresh(behind)]

    assert [refusal(answer) for answer in answers] == [(401, "invalid_token")] * 2
    assert person.refresh(ahead).status_code == 200


@both_ways
def test_a_removed_key_ends_what_it_signed(user, clock, column):
    """I-22: Who has not refreshed since the swap is out, and no row tells of it."""
    walk = steps(column)
    host = Host(column, walk["before"])
    sleeper, carried = Person(user, host), Person(user, host)
    clock.forward(MOMENT)
    host.roots = walk["Swap"]
    assert carried.refresh(host).status_code == 200
    host.roots = walk["Remove"]
    clock.forward(W)
    before = list(SessionFamily.objects.order_by("pk").values())

    answers = [sleeper.visit(host), sleeper.refresh(host)]

    assert [refusal(answer) for answer in answers] == [(401, "invalid_token")] * 2
    assert list(SessionFamily.objects.order_by("pk").values()) == before
    assert carried.refresh(host).status_code == 200


@both_ways
@pytest.mark.parametrize(("step", "noticed"), [("Swap", True), ("Remove", False)])
def test_a_removed_key_hides_a_theft(user, clock, column, step, noticed):
    """While the old key is kept, a stolen token that it signed gives the theft away."""
    walk = steps(column)
    host = Host(column, walk["before"])
    person = Person(user, host)
    stolen = dict(person.tokens)
    clock.forward(MOMENT)
    host.roots = walk["Swap"]
    for _ in range(2):
        assert person.refresh(host).status_code == 200
        clock.forward(W)
    thief = Person(user, host)
    thief.tokens = stolen
    host.roots = walk[step]

    assert thief.refresh(host).status_code == 401

    assert (person.refresh(host).status_code == 401) is noticed


@both_ways
@pytest.mark.parametrize(
    ("step", "status"), [("Add", 200), ("Swap", 200), ("Remove", 401)]
)
def test_a_network_known_under_a_removed_key_costs_a_refresh(
    user, clock, column, step, status
):
    """A network last seen before the swap is new after the removal, and no more."""
    walk = steps(column)
    host = Host(column, walk["before"])
    person = Person(user, host)
    clock.forward(MOMENT)
    host.roots = walk["Swap"]
    assert person.refresh(host, TRAIN).status_code == 200
    host.roots = walk[step]

    answer = person.visit(host, HOME)

    assert answer.status_code == status
    assert person.refresh(host, HOME).status_code == 200
    assert person.visit(host, HOME).status_code == 200


@both_ways
def test_another_password_ends_a_session_at_every_step(user, clock, column):
    """I-23: No step of a new key hides that the password has changed."""
    for roots in steps(column).values():
        host = Host(column, roots)
        person = Person(user, host)
        clock.forward(MOMENT)
        with host.serving():
            user.set_password("correct horse battery staple")
            user.save()

        answers = [person.visit(host), person.refresh(host)]

        assert answers[0].json()["user"] == ""
        assert refusal(answers[1]) == (401, "session_ended")
