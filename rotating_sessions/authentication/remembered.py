"""
The access tokens that this process has verified, so that none is verified twice.

What is remembered is what a token says, which its text alone decides. Whether it may
be used is decided at each request: by the clock, the network and the revocations.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import cast

from django.core.signals import setting_changed

from rotating_sessions.authentication.visits import Memory, Visit
from rotating_sessions.tokens.access import MAX_ACCESS_TOKEN_LENGTH
from rotating_sessions.tokens.keys import DECIDING_SETTINGS

__all__ = ["RememberedVisits", "get_remembered_visits"]

# Tokens, each less than a kilobyte in memory. Beyond it the oldest is forgotten, which
# costs its next request a verification.
_REMEMBERED = 10_000

# What is longer is no token of ours, with its scheme, and not worth a digest.
_MAX_LENGTH = len("Bearer ") + MAX_ACCESS_TOKEN_LENGTH


class RememberedVisits:
    """
    What genuine tokens say, as one key ring and one Conf verified them.

    It is shared by threads without a lock: each step is one operation of a dict, and
    whoever is overtaken verifies once more. So no fork can leave a lock held.
    """

    def __init__(self) -> None:
        # By digest, so that no token outlives its request.
        self._visits: OrderedDict[bytes, Visit] = OrderedDict()

    def __len__(self) -> int:
        return len(self._visits)

    def find(self, credential: str, now: datetime) -> Visit | None:
        """Return what a header or cookie says, if it is known and in its time."""
        if len(credential) > _MAX_LENGTH:
            return None
        visit = self._visits.get(_digest(credential))
        if visit is None:
            return None
        memory = cast(Memory, visit.memory)
        return visit if memory.begins_at <= now < memory.ends_at else None

    def add(self, credential: str, visit: Visit) -> None:
        """Remember what a header or cookie says that was just found good."""
        self._visits[_digest(credential)] = visit
        if len(self._visits) > _REMEMBERED:
            self._visits.popitem(last=False)


@lru_cache(maxsize=1)
def get_remembered_visits() -> RememberedVisits:
    """
    Return what was verified under the keys and settings in force.

    Where either changed that is nothing yet, and a thread that is still verifying under
    what went before adds to what nobody asks any more.
    """
    return RememberedVisits()


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting in DECIDING_SETTINGS:
        get_remembered_visits.cache_clear()


setting_changed.connect(_forget)


def _digest(credential: str) -> bytes:
    # A header may carry what is no text.
    return sha256(credential.encode(errors="surrogatepass")).digest()
