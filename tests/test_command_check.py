"""rotating_sessions_check: which address the app believes a request to have."""

from __future__ import annotations

import io
import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from tests.acting import client_at, present
from tests.browsing import Api, database_down
from tests.factories import SessionFamilyFactory, UserFactory

pytestmark = pytest.mark.django_db(transaction=True)

OPERATING = Path(__file__).parent.parent / "docs" / "operating.md"
FORWARDED = "--header=X-Forwarded-For: 198.51.100.66, 203.0.113.7"
INNER = "10.0.0.1"


def run(*args: str) -> tuple[int, str, str]:
    """Run the command: return its exit code, what it printed, and the error."""
    out = io.StringIO()
    try:
        call_command("rotating_sessions_check", *args, stdout=out, no_color=True)
    except CommandError as error:
        return error.returncode, out.getvalue(), str(error)
    return 0, out.getvalue(), ""


def log_in_behind(peer: str, count: int, **headers: str) -> None:
    """Let as many users log in over HTTP, by way of a peer."""
    for _ in range(count):
        Api(REMOTE_ADDR=peer, **headers).log_in(UserFactory.create())


def test_documentation_shows_what_is_printed(settings):
    """The example in docs/operating.md is what the command prints."""
    settings.ROTATING_SESSIONS = {"TRUSTED_PROXY_COUNT": 1}
    text = OPERATING.read_text(encoding="utf-8")
    [block] = re.findall(r"\$ .+ rotating_sessions_check -([^`]+)```", text)
    output = block[block.index("\nAddress") + 1 :]

    code, printed, _error = run(f"--remote-addr={INNER}", FORWARDED)

    assert f"-remote-addr {INNER} " in block
    assert FORWARDED.replace("--header=", '--header "') + '"' in block
    assert (code, printed) == (0, output)


@pytest.mark.parametrize(
    ("values", "bound"),
    [
        ({}, "203.0.113.7/32"),
        ({"IPV4_PREFIX": 24}, "203.0.113.0/24"),
        ({"BIND_NETWORK": False}, "nothing: BIND_NETWORK is off"),
    ],
)
def test_a_request_is_shown_with_what_it_binds_to(settings, values, bound):
    """A request without a header of proxies has its peer's address."""
    settings.ROTATING_SESSIONS = values

    code, printed, _error = run("--remote-addr=203.0.113.7")

    assert code == 0
    assert printed.splitlines() == [
        "Address:  203.0.113.7",
        f"Bound to: {bound}",
        "Because:  no proxy is trusted: whoever is connected is the client.",
    ]


@pytest.mark.parametrize(
    ("values", "args", "ground", "advice"),
    [
        (
            {},
            [f"--remote-addr={INNER}", FORWARDED],
            "no proxy is trusted",
            f"{INNER} looks like a proxy of yours, and not like a client. Set TRUSTED_",
        ),
        (
            {"TRUSTED_PROXY_COUNT": 1},
            [f"--remote-addr={INNER}", FORWARDED + ", 10.0.0.2"],
            "TRUSTED_PROXY_COUNT is 1: 1 from the right",
            "1 proxies append to X-Forwarded-For, raise TRUSTED_PROXY_COUNT.",
        ),
        (
            {"TRUSTED_PROXIES": ["10.0.0.9"]},
            [f"--remote-addr={INNER}", FORWARDED],
            "it did not come through all of TRUSTED_PROXIES, each in its place: who",
            "TRUSTED_PROXIES has to name every proxy in front of Django",
        ),
        (
            {"TRUSTED_PROXY_COUNT": 3},
            [f"--remote-addr={INNER}", FORWARDED],
            "there is no hop as far away as settings say, or it is no address",
            "If fewer than 3 proxies append to X-Forwarded-For, lower",
        ),
        (
            {},
            [FORWARDED],
            "there is no hop as far away as settings say, or it is no address",
            "Set TRUSTED_PROXY_COUNT",
        ),
    ],
)
def test_a_request_that_looks_wrong_exits_with_1(
    settings, values, args, ground, advice
):
    """The ground is shown, and the error names the setting to change."""
    settings.ROTATING_SESSIONS = values

    code, printed, error = run(*args)

    assert code == 1
    assert f"Because:  {ground}" in printed
    assert advice in error


def test_a_request_without_an_address_is_bound_to_nothing():
    """An unknown address is shown as such, and serves any network."""
    _code, printed, _error = run("--remote-addr=unix:")

    assert printed.splitlines()[:2] == [
        "Address:  unknown",
        "Bound to: nothing: it serves any network",
    ]


def test_a_header_can_be_given_twice(settings):
    """Two headers of one name are one list, as servers hand them on."""
    settings.ROTATING_SESSIONS = {"TRUSTED_PROXIES": ["10.0.0.2", INNER]}

    code, printed, _error = run(
        f"--remote-addr={INNER}",
        "--header=x-forwarded-for:203.0.113.7",
        "--header=User-Agent: Acme/1.0",
        "--header=X-Forwarded-For: 10.0.0.2",
    )

    assert code == 0
    assert "Address:  203.0.113.7\n" in printed
    assert "it is who the outermost of TRUSTED_PROXIES saw" in printed


@pytest.mark.parametrize("header", ["", "X-Forwarded-For", ": 203.0.113.7"])
def test_a_header_has_a_name_and_a_value(header):
    """What is no header is refused."""
    code, _printed, error = run(f"--header={header}")

    assert code == 1
    assert "--header" in error


def test_everybody_with_the_address_of_the_proxy_is_found():
    """The mistake is found where users logged in through a proxy nobody named."""
    log_in_behind(INNER, 3, HTTP_X_FORWARDED_FOR="203.0.113.7")

    code, printed, error = run()

    assert (code, printed) == (1, "")
    assert error.startswith("3 of the 3 user(s) last seen are at 10.0.0.1. Unless that")
    assert "Set TRUSTED_PROXY_COUNT" in error


def test_the_mistake_is_gone_once_the_proxy_is_named(settings):
    """With the setting that the message names the same users raise no alarm."""
    settings.ROTATING_SESSIONS = {"TRUSTED_PROXY_COUNT": 1}
    for n in range(3):
        log_in_behind(INNER, 1, HTTP_X_FORWARDED_FOR=f"203.0.113.{n + 1}")

    code, printed, _error = run()

    assert code == 0
    assert printed == (
        "Nothing looks wrong: the 3 session(s) last seen are of 3 user(s), at 3 "
        "address(es).\n"
    )


def test_too_many_proxies_are_found(settings):
    """Where the count is too high nobody has an address, and the command says so."""
    settings.ROTATING_SESSIONS = {"TRUSTED_PROXY_COUNT": 2}
    log_in_behind(INNER, 2, HTTP_X_FORWARDED_FOR="203.0.113.7")

    code, _printed, error = run()

    assert code == 1
    assert error.startswith("2 of the 2 user(s) last seen have no address: nobody of")
    assert "lower TRUSTED_PROXY_COUNT" in error


def test_a_refresh_clears_an_old_suspicion(first):
    """What counts is the address of the last refresh, not that of the login."""
    present(first, client_at("127.0.0.1"))
    before = run()
    SessionFamilyFactory.create(ip_address="203.0.113.8")

    assert before[0] == 1
    assert run()[0] == 0


@pytest.mark.parametrize("column", ["revoked_at", "expires_at", "idle_at"])
def test_only_live_sessions_are_looked_at(column):
    """Without a live session nothing can be told: exit code 2."""
    ended_at = timezone.now() - timedelta(hours=1)
    SessionFamilyFactory.create(ip_address="127.0.0.1", **{column: ended_at})

    code, _printed, error = run()

    assert code == 2
    assert "no live session to judge by" in error


def test_a_database_can_be_named():
    """--database names the database whose sessions are judged."""
    SessionFamilyFactory.create()

    assert run("--database=default")[0] == 0
    assert "nowhere" in run("--database=nowhere")[2]


def test_a_database_that_fails_exits_with_2():
    """A database that is down tells nothing of addresses."""
    with database_down():
        code, _printed, error = run()

    assert (code, error) == (2, "The database failed.")
