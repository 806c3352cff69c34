"""Where the load comes from and how fast time runs there: spans and addresses."""

from __future__ import annotations

from ipaddress import IPv4Address

__all__ = [
    "ACCESS_LIFETIME",
    "AFTER_GRACE",
    "AFTER_POLL",
    "GRACE_PERIOD",
    "HOST",
    "MAX_LOST",
    "NETWORKS",
    "PASSWORD",
    "PATIENCE",
    "POLL_INTERVAL",
    "TIMEOUT",
    "home_of",
    "lair_of",
]

# In seconds. Short, so that minutes see many rotations.
ACCESS_LIFETIME = 10
GRACE_PERIOD = 5
POLL_INTERVAL = 1
AFTER_GRACE = GRACE_PERIOD + 0.2
# By then every process knows of a revocation: the interval, and the query's second.
AFTER_POLL = POLL_INTERVAL + 1.2

# A client gives up on an answer before half the grace period is over.
TIMEOUT = 2.4
# Where one more lost answer could be one too many, it waits: nothing else is in flight.
PATIENCE = 20
# Full answers that may be lost in a row: invariant 7 of the protocol.
MAX_LOST = 3

HOST = "127.0.0.1"
PASSWORD = "correct horse battery staple"

# The networks that a session wanders between: one more than the server remembers.
NETWORKS = 5
# Reserved for benchmarks (RFC 2544), half of it for thieves: nobody has them.
_HOMES = IPv4Address("198.18.0.0")
_LAIRS = IPv4Address("198.19.0.0")
_HALF = 2**16


def home_of(session: int, network: int) -> str:
    """Return the address that a session has in one of its networks."""
    return str(_HOMES + (session * NETWORKS + network) % _HALF)


def lair_of(theft: int) -> str:
    """Return the address of the thief of a theft."""
    return str(_LAIRS + theft % _HALF)
