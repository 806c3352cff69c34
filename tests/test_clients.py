"""Who is calling: addresses, proxies, networks and devices."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import translation

from rotating_sessions.clients import (
    MAX_USER_AGENT_LENGTH,
    Client,
    describe_device,
    read_address,
    read_client,
    translate_device,
)

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) {} Mobile/15E148 Safari/604.1"
)
MAC = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.5 Safari/605.1.15"
)
ANDROID = (
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/140.0.0.0 Mobile Safari/537.36{}"
)
SPOOFED = "198.51.100.66"
CLIENT = "203.0.113.9"
INNER = "10.0.0.1"
OUTER = "10.0.0.2"


def seen(peer: str | None, *hops: str) -> str | None:
    """Return the address that is read of a request with this peer and these hops."""
    return read_address({"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": ", ".join(hops)})


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        (" 203.0.113.9 ", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("127.0.0.1", "127.0.0.1"),
        ("10.1.2.3", "10.1.2.3"),
        ("2001:db8::9", "2001:db8::9"),
        ("2001:DB8:0:0:0::9", "2001:db8::9"),
        ("[2001:db8::9]", "2001:db8::9"),
        ("[2001:db8::9]:443", "2001:db8::9"),
        ("fe80::9%eth0", "fe80::9"),
        ("[fe80::9%25eth0]:443", "fe80::9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("::FFFF:CB00:7109", "203.0.113.9"),
        ("[::ffff:203.0.113.9]:443", "203.0.113.9"),
        ("64:ff9b::203.0.113.9", "203.0.113.9"),
        ("203.0.113.009", None),
        ("203.0.113.9:", None),
        ("203.0.113.9:99999", None),
        ("203.0.113", None),
        ("3405803785", None),
        ("0xcb007109", None),
        ("0.0.0.0", None),  # noqa: S104 - an address to refuse
        ("::", None),
        ("unix:", None),
        ("client.example", None),
        ("", None),
        (None, None),
    ],
)
def test_an_address_has_one_canonical_form(peer, address):
    """IP-03: All spellings of an address are one, and what is none is unknown."""
    assert read_address({"REMOTE_ADDR": peer}) == address


def test_a_request_without_a_peer_has_no_address():
    """IP-02: Where the server names no peer the address is unknown."""
    assert read_address({}) is None


@pytest.mark.parametrize("hops", [[CLIENT], [SPOOFED, CLIENT], ["garbage"]])
def test_forwarding_headers_are_not_believed_unless_settings_say_so(hops):
    """IP-01: Without trusted proxies the client is the peer, whatever it writes."""
    assert seen("203.0.113.77", *hops) == "203.0.113.77"


@pytest.mark.parametrize(
    ("count", "hops", "address"),
    [
        (1, [CLIENT], CLIENT),
        (1, [SPOOFED, CLIENT], CLIENT),
        (1, ["garbage", CLIENT], CLIENT),
        (1, [SPOOFED, INNER, CLIENT], CLIENT),
        (1, ["", CLIENT, ""], CLIENT),
        (1, [f"{CLIENT}:4711"], CLIENT),
        (1, ["[2001:db8::9]:4711"], "2001:db8::9"),
        (1, [f"::ffff:{CLIENT}"], CLIENT),
        (1, [CLIENT, "garbage"], None),
        (1, ["unknown"], None),
        (1, [], None),
        (1, ["", " "], None),
        (2, [CLIENT, OUTER], CLIENT),
        (2, [SPOOFED, CLIENT, OUTER], CLIENT),
        (2, ["garbage", CLIENT, OUTER], CLIENT),
        (2, [SPOOFED, SPOOFED, SPOOFED, CLIENT, OUTER], CLIENT),
        (2, [CLIENT, "garbage"], None),
        (2, [CLIENT, "garbage", OUTER], None),
        (2, [CLIENT], None),
        (2, [], None),
    ],
)
@pytest.mark.parametrize("peer", [INNER, "", None])
def test_the_client_is_as_many_hops_away_as_proxies_are_trusted(
    settings, peer, count, hops, address
):
    """IP-01: TRUSTED_PROXY_COUNT counts from the right, past anything invented."""
    settings.ROTATING_SESSIONS = {"TRUSTED_PROXY_COUNT": count}

    assert seen(peer, *hops) == address


def test_a_chain_longer_than_any_is_unknown(settings):
    """TH-05: Kilobytes in the last hop are no address, and are not kept in a cache."""
    settings.ROTATING_SESSIONS = {"TRUSTED_PROXY_COUNT": 1}

    assert seen(INNER, "7" * 600) is None


@pytest.mark.parametrize(
    ("trusted", "peer", "hops", "address"),
    [
        ([INNER], INNER, [CLIENT], CLIENT),
        ([INNER], INNER, [SPOOFED, CLIENT], CLIENT),
        ([INNER], INNER, ["garbage", CLIENT], CLIENT),
        ([OUTER, INNER], INNER, [CLIENT, OUTER], CLIENT),
        ([OUTER, INNER], INNER, [SPOOFED, CLIENT, OUTER], CLIENT),
        (["127.0.0.1"], "", [CLIENT], CLIENT),
        # Past the proxies, or past one of them: the peer is all that is known.
        ([INNER], "203.0.113.77", [CLIENT], "203.0.113.77"),
        ([INNER], "203.0.113.77", [], "203.0.113.77"),
        ([INNER], "10.0.0.11", [CLIENT], "10.0.0.11"),
        ([OUTER, INNER], "203.0.113.77", [CLIENT, OUTER], "203.0.113.77"),
        ([OUTER, INNER], INNER, [CLIENT], INNER),
        ([OUTER, INNER], INNER, ["garbage", OUTER], INNER),
        ([OUTER, INNER], INNER, [SPOOFED, CLIENT, INNER], INNER),
        ([INNER], INNER, [], INNER),
        ([INNER], "", [CLIENT], None),
    ],
)
def test_the_client_is_who_the_listed_proxies_saw(
    settings, trusted, peer, hops, address
):
    """IP-01: Who does not come through all TRUSTED_PROXIES is the peer."""
    settings.ROTATING_SESSIONS = {"TRUSTED_PROXIES": trusted}

    assert seen(peer, *hops) == address


@pytest.mark.parametrize(
    ("address", "values", "network"),
    [
        ("203.0.113.9", {}, "203.0.113.9/32"),
        ("203.0.113.9", {"IPV4_PREFIX": 24}, "203.0.113.0/24"),
        ("203.0.113.9", {"IPV4_PREFIX": 8}, "203.0.0.0/8"),
        ("::ffff:203.0.113.9", {"IPV6_PREFIX": 48}, "203.0.113.9/32"),
        ("2001:db8:1:2:3:4:5:6", {}, "2001:db8:1:2::/64"),
        ("2001:db8:1:2:3:4:5:6", {"IPV6_PREFIX": 48}, "2001:db8:1::/48"),
        ("2001:db8::6", {"IPV6_PREFIX": 128, "IPV4_PREFIX": 8}, "2001:db8::6/128"),
        ("", {}, None),
    ],
)
def test_a_client_has_a_network(rf, settings, address, values, network):
    """IP-04: The network is /32 or /64, or of the prefix that the settings name."""
    settings.ROTATING_SESSIONS = values

    client = read_client(rf.get("/", REMOTE_ADDR=address))

    assert client.network == network
    assert client.bound_network == network


def test_binding_to_networks_can_be_switched_off(rf, settings):
    """IP-07: With BIND_NETWORK off the network is known, and nothing is bound to it."""
    settings.ROTATING_SESSIONS = {"BIND_NETWORK": False}

    client = read_client(rf.get("/", REMOTE_ADDR=CLIENT))

    assert (client.network, client.bound_network) == (f"{CLIENT}/32", None)


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (FIREFOX, FIREFOX),
        ("", ""),
        ("app/1.0\r\nSet-Cookie: x=y", "app/1.0Set-Cookie: x=y"),
        ("app\x00\x07\x1b[31m\x7f\x85\u2028\u202e/2", "app[31m/2"),
        ("Käse/1.0", "Käse/1.0"),
        ("a" * 256, "a" * 256),
        ("a" * 256 + "b", "a" * 256),
        ("a" * 100_000, "a" * 256),
    ],
)
def test_a_user_agent_is_kept_as_people_can_read_it(rf, header, kept):
    """AD-08, LG-03: A user agent has at most 256 characters, none of control."""
    client = read_client(rf.get("/", HTTP_USER_AGENT=header))

    assert client.user_agent == kept
    assert MAX_USER_AGENT_LENGTH == 256


def test_a_request_may_have_no_user_agent(rf):
    """A client that says nothing of itself has an empty user agent."""
    client = read_client(rf.get("/", REMOTE_ADDR=CLIENT))

    assert client == Client(ip_address=CLIENT, network=f"{CLIENT}/32", user_agent="")


@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        (FIREFOX, "Firefox on Linux"),
        (IPHONE.format("Version/18.5"), "Safari on iPhone"),
        (IPHONE.format("CriOS/140.0"), "Chrome on iPhone"),
        (IPHONE.replace("iPhone", "iPad").format("FxiOS/140.0"), "Firefox on iPad"),
        (MAC, "Safari on macOS"),
        (ANDROID.format(""), "Chrome on Android"),
        (ANDROID.format(" EdgA/140.0.0.0"), "Edge on Android"),
        ("Acme/3 CFNetwork/1498 Darwin/23.5.0", "Acme on iOS"),
        ("curl/8.5.0", "curl"),
        ("Acme/1.0 (build 7)", "Acme"),
        ("Acme", "Acme"),
        ("  Acme /2", "Acme"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64)", "Windows"),
        ("a" * 61, "a" * 60),
        ("", "Unknown device"),
        ("/", "Unknown device"),
        (" ", "Unknown device"),
    ],
)
def test_a_device_is_described_in_words(user_agent, device):
    """A device is browser and system, or else the program's own name."""
    assert describe_device(user_agent) == device


@pytest.mark.parametrize(
    ("device", "translated"),
    [
        ("Firefox on Linux", "Firefox auf Linux"),
        ("Unknown device", "Unbekanntes Gerät"),
        ("curl", "curl"),
        ("100% on %(system)s on", "100% auf %(system)s on"),
    ],
)
def test_a_device_is_translated_for_its_reader(device, translated):
    """What a login wrote in English is read in the language of the page."""
    with translation.override("de"):
        assert translate_device(device) == translated


@pytest.mark.parametrize("name", ["ip_address", "network", "user_agent"])
def test_a_client_does_not_change(name):
    """What was read of a request stays as it was read."""
    client: Any = Client(ip_address=CLIENT, network=None, user_agent="")

    with pytest.raises(AttributeError):
        setattr(client, name, "other")
