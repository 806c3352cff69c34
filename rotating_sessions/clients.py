"""Who is calling: the client's address, its network, and the device in words."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from django.http import HttpRequest
from django.utils.translation import gettext
from python_ipware import IpWare
from ua_parser import parse_os, parse_user_agent

from rotating_sessions.conf import get_conf

__all__ = [
    "Client",
    "describe_device",
    "describe_network",
    "read_address",
    "read_bound_network",
    "read_client",
    "read_origin",
    "read_peer",
    "translate_device",
]

MAX_USER_AGENT_LENGTH = 256
UNKNOWN_DEVICE = "Unknown device"

# What ua-parser adds to a browser's name for where it runs: the system says that.
_EDITIONS = {"Mobile", "iOS", "WebView", "UI/WKWebView"}
_SYSTEMS = {"Mac OS X": "macOS"}
_APPLE = re.compile("iPhone|iPad|iPod")

# A server on a Unix socket has no address for its peer, which is then a local proxy.
_LOCAL_PEER = "127.0.0.1"
_FORWARDED = "HTTP_X_FORWARDED_FOR"

# Characters: ten proxies with long addresses. What is longer is nobody's chain, and
# would fill the cache.
_MAX_CHAIN = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """
    The client of one request.

    `network` is the canonical text of the address's network, /32 or /64 unless settings
    say otherwise. Both are None where the address is unknown.
    """

    ip_address: str | None
    network: str | None
    user_agent: str

    @property
    def bound_network(self) -> str | None:
        """Return the network to bind to, or None: then nothing is compared."""
        return self.network if get_conf().bind_network else None


def read_bound_network(request: HttpRequest) -> str | None:
    """Return the `bound_network` of the request's client, and read no more of it."""
    return _network(read_address(request.META)) if get_conf().bind_network else None


def read_origin(meta: Mapping[str, object]) -> tuple[object, object]:
    """Return all that `read_address` looks at: the same origin has the same address."""
    return meta.get("REMOTE_ADDR"), meta.get(_FORWARDED)


def read_client(request: HttpRequest) -> Client:
    """Return the client of the request, as far as its proxies can be trusted."""
    address = read_address(request.META)
    return Client(
        ip_address=address,
        network=_network(address),
        user_agent=_read_user_agent(request.META),
    )


def read_address(meta: Mapping[str, object]) -> str | None:
    """
    Return the client's address in canonical form, or None where it is unknown.

    Without trusted proxies that is the peer. With them it is the address that the
    outermost trusted proxy saw: what stands left of it the client could have written.
    """
    conf = get_conf()
    proxies = len(conf.trusted_proxies) or conf.trusted_proxy_count
    if not proxies:
        return read_peer(meta)
    peer = str(meta.get("REMOTE_ADDR") or "")
    # Only as many hops as are trusted, and the peer as the last of them: the rest of
    # the header is the client's own invention.
    hops = [hop for hop in str(meta.get(_FORWARDED) or "").split(",") if hop.strip()]
    chain = ",".join([*hops[-proxies:], peer or _LOCAL_PEER])
    if len(chain) > _MAX_CHAIN:
        return None
    found = _find_behind(chain, proxies, conf.trusted_proxies)
    # Whoever came past the proxies is a client by its own address.
    return found or (read_peer(meta) if conf.trusted_proxies else None)


def read_peer(meta: Mapping[str, object]) -> str | None:
    """Return the address of whoever is connected, or None where there is none."""
    return _find_peer(str(meta.get("REMOTE_ADDR") or ""))


def describe_device(user_agent: str) -> str:
    """Return browser and system in words, such as "Safari on iPhone"."""
    browser, system = parse_user_agent(user_agent), parse_os(user_agent)
    if browser is None and system is None:
        return user_agent.split("/", maxsplit=1)[0][:60].strip() or UNKNOWN_DEVICE
    names = []
    if browser is not None:
        words = [word for word in browser.family.split() if word not in _EDITIONS]
        names.append(" ".join(words) or browser.family)
    if system is not None:
        thing = _APPLE.search(user_agent) if system.family == "iOS" else None
        names.append(thing[0] if thing else _SYSTEMS.get(system.family, system.family))
    return " on ".join(names)[:100]


def translate_device(device: str) -> str:
    """Return what `describe_device` said, in the reader's language."""
    if device == UNKNOWN_DEVICE:
        return gettext("Unknown device")
    browser, separator, system = device.partition(" on ")
    if not separator:
        return device
    return gettext("%(browser)s on %(system)s") % {"browser": browser, "system": system}


def describe_network(address: str | None) -> str | None:
    """Return the network of an address as people read it: one address has no prefix."""
    network = _network(address)
    return network and network.removesuffix("/32").removesuffix("/128")


@lru_cache(maxsize=4096)
def _find_peer(peer: str) -> str | None:
    return _ask_ipware({"REMOTE_ADDR": peer})


@lru_cache(maxsize=4096)
def _find_behind(chain: str, count: int, trusted: tuple[str, ...]) -> str | None:
    if trusted:
        return _ask_ipware({_FORWARDED: chain}, proxy_list=list(trusted))
    return _ask_ipware({_FORWARDED: chain}, proxy_count=count)


def _ask_ipware(
    meta: Mapping[str, str],
    proxy_count: int | None = None,
    proxy_list: list[str] | None = None,
) -> str | None:
    ipware = IpWare(
        precedence=tuple(meta), proxy_count=proxy_count, proxy_list=proxy_list
    )
    address, _trusted = ipware.get_client_ip(meta, strict=True)
    # The zone of a link-local address names our interface, not the client.
    return str(address).partition("%")[0] if address else None


def _network(address: str | None) -> str | None:
    if address is None:
        return None
    conf = get_conf()
    return _find_network(address, conf.ipv4_prefix, conf.ipv6_prefix)


@lru_cache(maxsize=4096)
def _find_network(address: str, ipv4_prefix: int, ipv6_prefix: int) -> str:
    version = ipaddress.ip_address(address).version
    prefix = ipv4_prefix if version == 4 else ipv6_prefix
    return str(ipaddress.ip_network((address, prefix), strict=False))


def _read_user_agent(meta: Mapping[str, object]) -> str:
    """Return the User-Agent without control characters, cut to a length for people."""
    raw = str(meta.get("HTTP_USER_AGENT") or "")[:MAX_USER_AGENT_LENGTH]
    return "".join(char for char in raw if char.isprintable())
