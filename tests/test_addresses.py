"""What is believed of a request, and what many sessions betray of the settings."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpRequest

from rotating_sessions.addresses import (
    Ground,
    Problem,
    Suspicion,
    judge_addresses,
    see_request,
)

SPOOFED = "198.51.100.66"
CLIENT = "203.0.113.9"
INNER = "10.0.0.1"
OUTER = "10.0.0.2"
COUNT_1: dict[str, Any] = {"TRUSTED_PROXY_COUNT": 1}
COUNT_2: dict[str, Any] = {"TRUSTED_PROXY_COUNT": 2}
COUNT_3: dict[str, Any] = {"TRUSTED_PROXY_COUNT": 3}
LIST_1: dict[str, Any] = {"TRUSTED_PROXIES": [INNER]}
LIST_2: dict[str, Any] = {"TRUSTED_PROXIES": [OUTER, INNER]}


@pytest.mark.parametrize(
    ("values", "peer", "hops", "expected"),
    [
        ({}, CLIENT, [], (CLIENT, "NO_PROXY", [], False)),
        ({}, CLIENT, [SPOOFED], (CLIENT, "NO_PROXY", [SPOOFED], False)),
        ({}, INNER, [], (INNER, "NO_PROXY", [], False)),
        ({}, INNER, [CLIENT], (INNER, "NO_PROXY", [CLIENT], True)),
        ({}, "127.0.0.1", [CLIENT], ("127.0.0.1", "NO_PROXY", [CLIENT], True)),
        ({}, "fe80::1%eth0", [CLIENT], ("fe80::1", "NO_PROXY", [CLIENT], True)),
        ({}, "", [], (None, "UNKNOWN", [], False)),
        ({}, "", [CLIENT], (None, "UNKNOWN", [CLIENT], False)),
        (COUNT_1, INNER, [CLIENT], (CLIENT, "COUNTED", [], False)),
        (COUNT_1, INNER, [SPOOFED, CLIENT], (CLIENT, "COUNTED", [SPOOFED], False)),
        (COUNT_1, INNER, [CLIENT, OUTER], (OUTER, "COUNTED", [CLIENT], True)),
        (COUNT_1, INNER, [OUTER], (OUTER, "COUNTED", [], False)),
        (COUNT_1, INNER, [], (None, "UNKNOWN", [], False)),
        (COUNT_1, INNER, [SPOOFED, "x"], (None, "UNKNOWN", [SPOOFED], False)),
        (COUNT_2, INNER, [CLIENT], (None, "UNKNOWN", [], False)),
        (COUNT_2, INNER, [CLIENT, OUTER], (CLIENT, "COUNTED", [], False)),
        (COUNT_3, INNER, [CLIENT, OUTER], (None, "UNKNOWN", [], False)),
        (LIST_1, INNER, [CLIENT], (CLIENT, "LISTED", [], False)),
        (LIST_1, INNER, [SPOOFED, CLIENT], (CLIENT, "LISTED", [SPOOFED], False)),
        (LIST_1, SPOOFED, [CLIENT], (SPOOFED, "PAST_PROXIES", [CLIENT], False)),
        (LIST_1, OUTER, [CLIENT], (OUTER, "PAST_PROXIES", [CLIENT], True)),
        (LIST_1, INNER, [], (INNER, "PAST_PROXIES", [], False)),
        (LIST_1, "", [CLIENT], (None, "UNKNOWN", [], False)),
        (LIST_2, INNER, [CLIENT, OUTER], (CLIENT, "LISTED", [], False)),
        (LIST_2, INNER, [CLIENT], (INNER, "PAST_PROXIES", [CLIENT], True)),
    ],
)
def test_a_request_is_seen_as_the_app_sees_it(settings, values, peer, hops, expected):
    """IP-01: The ground says which setting led to the address, and what it ignored."""
    settings.ROTATING_SESSIONS = values
    request = HttpRequest()
    request.META = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": ", ".join(hops)}

    seen = see_request(request)

    address, ground, ignored, doubtful = expected
    assert seen.client.ip_address == address
    assert seen.ground is Ground[ground]
    assert seen.ignored == tuple(ignored)
    assert seen.is_doubtful is doubtful


def people(count: int, *addresses: str | None) -> list[tuple[str, str | None]]:
    """Return the sessions of as many users, who sit at the addresses in turn."""
    return [(str(n), addresses[n % len(addresses)]) for n in range(count)]


def everywhere(count: int, first: int = 1000) -> list[tuple[str, str | None]]:
    """Return the sessions of as many other users, each at an address of their own."""
    return [(str(n), f"9.{n // 200}.{n % 200}.7") for n in range(first, first + count)]


def shared(address: str, users: int, all_users: int) -> Suspicion:
    return Suspicion(
        problem=Problem.SHARED, users=users, all_users=all_users, address=address
    )


@pytest.mark.parametrize(
    "sessions",
    [
        pytest.param([], id="nobody"),
        pytest.param(everywhere(1), id="one user"),
        pytest.param(everywhere(300), id="the Internet"),
        pytest.param(people(9, "8.8.8.8"), id="a small office"),
        pytest.param(people(9, "8.8.8.8") + everywhere(3), id="an office at home"),
        pytest.param(people(40, "8.8.8.8") + everywhere(40), id="a company beside"),
        pytest.param(people(2, INNER), id="two at a router"),
        pytest.param([("1", INNER)] * 50, id="one user, often"),
        pytest.param(
            [(str(n), f"10.1.{n}.5") for n in range(200)], id="an intranet, one each"
        ),
        pytest.param(
            people(30, *[f"9.9.9.{n}" for n in range(7)]), id="four to an address"
        ),
        pytest.param(
            people(45, *[f"9.9.9.{n}" for n in range(9)]), id="small, many doors"
        ),
        pytest.param(
            people(12, "8.8.8.8") + [(f"{n}", f"9.9.9.{n % 9}") for n in range(20, 52)],
            id="a company among offices",
        ),
        pytest.param(people(1, "127.0.0.1") + everywhere(1), id="a developer beside"),
        pytest.param(people(50, None) + everywhere(50), id="half of them known"),
    ],
)
def test_what_can_be_right_is_not_suspected(sessions):
    """An office behind one address, an intranet and few users raise no alarm."""
    assert judge_addresses(sessions) is None


@pytest.mark.parametrize(
    ("sessions", "suspicion"),
    [
        (people(1, "127.0.0.1"), shared("127.0.0.1", 1, 1)),
        (people(1, "::1"), shared("::1", 1, 1)),
        (people(3, INNER), shared(INNER, 3, 3)),
        (people(3, "fd00::7"), shared("fd00::7", 3, 3)),
        (people(3, "100.64.0.9") + everywhere(2), shared("100.64.0.9", 3, 5)),
        (people(10, "8.8.8.8"), shared("8.8.8.8", 10, 10)),
        (people(41, "8.8.8.8") + everywhere(40), shared("8.8.8.8", 41, 81)),
        (
            people(100, *[f"9.9.9.{n}" for n in range(10)]),
            shared("9.9.9.0", 10, 100),
        ),
        (people(15, INNER, OUTER, "10.0.0.3"), shared(INNER, 5, 15)),
    ],
)
def test_a_crowd_at_one_address_is_suspected(sessions, suspicion):
    """Most users at one address, or five and more to each, are behind proxies."""
    assert judge_addresses(sessions) == suspicion


@pytest.mark.parametrize("known", [0, 1, 49])
def test_users_without_an_address_are_suspected(known):
    """Where most users have no address, none of them is bound to a network."""
    lost = people(50, None)

    suspicion = judge_addresses(lost + everywhere(known))

    assert suspicion == Suspicion(
        problem=Problem.UNKNOWN, users=50, all_users=50 + known
    )


def test_a_user_is_counted_once():
    """Many sessions of a few users at one address are no crowd."""
    sessions = [(str(n % 9), "8.8.8.8") for n in range(900)]

    assert judge_addresses(sessions) is None
