"""
The access tokens that this process has verified, so that none is verified twice.

What is remembered is what a token says, which its text alone decides. Whether it may
be used is decided at each request: by the clock, the network and the revocations.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from hashlib import sha256
from typing import cast

from rotating_sessions.authentication.visits import Visit
from rotating_sessions.conf import Conf, get_conf
from rotating_sessions.rotation import CLOCK_SKEW
from rotating_sessions.tokens.access import MAX_ACCESS_TOKEN_LENGTH, AccessClaims
from rotating_sessions.tokens.keys import KeyRing, get_key_ring

__all__ = ["RememberedVisit", "RememberedVisits", "get_remembered_visits"]

# Tokens, each less than a kilobyte in memory. Beyond it the oldest is forgotten, which
# costs its next request a verification.
_REMEMBERED = 10_000

# What is longer is no token of ours, with its scheme, and not worth a digest.
_MAX_LENGTH = len("Bearer ") + MAX_ACCESS_TOKEN_LENGTH


class RememberedVisit:
    """
    What a token says, and where it was last good.

    `origin` is what `read_origin` said when its network was last compared: None until
    then. It is all that changes here.
    """

    __slots__ = ("begins_at", "claims", "ends_at", "origin", "visit")

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.claims = claims = cast(AccessClaims, visit.claims)
        # From a host whose clock may be ahead of ours by as much.
        self.begins_at = claims.issued_at - CLOCK_SKEW
        self.ends_at = claims.expires_at
        self.origin: object = None


class RememberedVisits:
    """
    What genuine tokens say, as one key ring and one Conf verified them.

    It is shared by threads without a lock: each step is one operation of a dict, and
    whoever is overtaken verifies once more. So no fork can leave a lock held.
    """

    def __init__(self, conf: Conf, ring: KeyRing) -> None:
        self.conf = conf
        self.ring = ring
        # By digest, so that no token outlives its request.
        self._visits: OrderedDict[bytes, RememberedVisit] = OrderedDict()

    def __len__(self) -> int:
        return len(self._visits)

    def find(self, credential: str, now: datetime) -> RememberedVisit | None:
        """Return what a header or cookie says, if it is known and in its time."""
        if len(credential) > _MAX_LENGTH:
            return None
        known = self._visits.get(_digest(credential))
        if known is None or not known.begins_at <= now < known.ends_at:
            return None
        return known

    def add(self, credential: str, visit: Visit) -> RememberedVisit:
        """Remember what a header or cookie says that was just found good."""
        known = self._visits[_digest(credential)] = RememberedVisit(visit)
        if len(self._visits) > _REMEMBERED:
            self._visits.popitem(last=False)
        return known


_remembered: RememberedVisits | None = None


def get_remembered_visits() -> RememberedVisits:
    """
    Return what was verified under the keys and settings in force.

    Where either changed that is nothing yet, and a thread that is still verifying under
    what went before adds to what nobody asks any more.
    """
    global _remembered  # noqa: PLW0603 - one memory per process is what this module is
    conf, ring = get_conf(), get_key_ring()
    visits = _remembered
    if visits is None or visits.conf is not conf or visits.ring is not ring:
        visits = _remembered = RememberedVisits(conf, ring)
    return visits


def _digest(credential: str) -> bytes:
    # A header may carry what is no text.
    return sha256(credential.encode(errors="surrogatepass")).digest()
