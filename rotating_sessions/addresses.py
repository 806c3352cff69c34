"""
Why the app believes a request to have an address, and whether that can be right.

For operators: a site whose proxies are not named takes every client for the proxy. That
binds nobody to a network, and makes everybody share one rate of logins.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from ipaddress import ip_address, ip_network

from django.http import HttpRequest

from rotating_sessions.clients import Client, read_client, read_peer
from rotating_sessions.conf import get_conf

__all__ = ["Ground", "Problem", "Seen", "Suspicion", "judge_addresses", "see_request"]

# Where no address is anybody's on the Internet, but a proxy's may well be: RFC 1918,
# 6598, 4193, and the link's own. (`is_private` would add the networks of examples.)
_INSIDE = [
    ip_network(network)
    for network in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"),
        *("127.0.0.0/8", "169.254.0.0/16", "::1/128", "fc00::/7", "fe80::/10"),
    )
]

# So many users at one address mean something. Nobody browses on the server itself; of
# private addresses each client has its own; but a company may share a public one, and
# fewer than ten users are soon found behind the same door.
_MIN_LOOPBACK = 1
_MIN_INSIDE = 3
_MIN_PUBLIC = 10

# Users to an address, where the proxies are many: those of a content network.
_CROWD = 5


class Ground(Enum):
    """Why a request has the address that it has."""

    NO_PROXY = auto()
    """No proxy is trusted: whoever is connected is the client."""

    COUNTED = auto()
    """As many hops away as TRUSTED_PROXY_COUNT says."""

    LISTED = auto()
    """Seen by the outermost of TRUSTED_PROXIES."""

    PAST_PROXIES = auto()
    """Not come through all of TRUSTED_PROXIES: whoever is connected is the client."""

    UNKNOWN = auto()
    """There is no such hop, or it is no address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """
    A request as the app sees it.

    `ignored` is what X-Forwarded-For says beyond the hops that are trusted: anybody
    could have written it.
    """

    client: Client
    ground: Ground
    ignored: tuple[str, ...]

    @property
    def is_doubtful(self) -> bool:
        """Tell whether the address looks like a proxy's: inside, and forwarding."""
        address = self.client.ip_address
        return bool(self.ignored) and address is not None and _is_inside(address)


class Problem(Enum):
    """What is wrong with the addresses of many sessions."""

    SHARED = auto()
    """Many users have one address, or a few: those of proxies."""

    UNKNOWN = auto()
    """Most users have no address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """
    A problem with the addresses of sessions, and what shows it.

    `users`, of `all_users`, are those without an address, or at the shared `address`.
    """

    problem: Problem
    users: int
    all_users: int
    address: str | None = None


def see_request(request: HttpRequest) -> Seen:
    """Return what the app believes of a request, and on which ground."""
    conf = get_conf()
    client = read_client(request)
    trusted = len(conf.trusted_proxies) or conf.trusted_proxy_count
    if client.ip_address is None:
        ground = Ground.UNKNOWN
    elif not trusted:
        ground = Ground.NO_PROXY
    elif not conf.trusted_proxies:
        ground = Ground.COUNTED
    elif client.ip_address == read_peer(request.META):
        ground, trusted = Ground.PAST_PROXIES, 0
    else:
        ground = Ground.LISTED
    header = str(request.META.get("HTTP_X_FORWARDED_FOR") or "")
    hops = [hop.strip() for hop in header.split(",") if hop.strip()]
    ignored = tuple(hops[: max(0, len(hops) - trusted)])
    return Seen(client=client, ground=ground, ignored=ignored)


def judge_addresses(sessions: Iterable[tuple[str, str | None]]) -> Suspicion | None:
    """
    Return what looks wrong with the addresses of sessions, or None.

    Args:
        sessions: Of each the user's key, and the address that it was last seen at.
    """
    users_at: dict[str | None, set[str]] = defaultdict(set)
    for user, address in sessions:
        users_at[address].add(user)
    everybody = len(set().union(*users_at.values()))
    lost = len(users_at.pop(None, ()))
    if 2 * lost > everybody:
        return Suspicion(problem=Problem.UNKNOWN, users=lost, all_users=everybody)
    for address, users in users_at.items():
        most = 2 * len(users) > everybody or everybody >= _CROWD * len(users_at)
        if address is not None and most and len(users) >= _min_users(address):
            return Suspicion(
                problem=Problem.SHARED,
                users=len(users),
                all_users=everybody,
                address=address,
            )
    return None


def _min_users(address: str) -> int:
    """Return how many users at one address it takes to mean something."""
    if ip_address(address).is_loopback:
        return _MIN_LOOPBACK
    return _MIN_INSIDE if _is_inside(address) else _MIN_PUBLIC


def _is_inside(address: str) -> bool:
    parsed = ip_address(address)
    return any(parsed in network for network in _INSIDE)
