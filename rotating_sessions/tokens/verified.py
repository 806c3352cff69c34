"""
The access tokens that this process has verified, so that none is verified twice.

What is remembered is what a token says, which its text alone decides. Whether it may
be used is decided at each request: by the clock, the network and the revocations.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256

from rotating_sessions.conf import Conf, get_conf
from rotating_sessions.tokens.claims import AccessClaims
from rotating_sessions.tokens.keys import KeyRing, get_key_ring

__all__ = ["VerifiedTokens", "get_verified_tokens"]

# Tokens, each less than a kilobyte in memory. Beyond it the oldest is forgotten, which
# costs its next request a verification.
_REMEMBERED = 10_000


class VerifiedTokens:
    """
    The claims of genuine tokens, as one key ring and one Conf verified them.

    It is shared by threads without a lock: each step is one operation of a dict, and
    whoever is overtaken verifies once more. So no fork can leave a lock held.
    """

    def __init__(self, conf: Conf, ring: KeyRing) -> None:
        self.conf = conf
        self.ring = ring
        # By digest, so that no token outlives its request.
        self._claims: OrderedDict[bytes, AccessClaims] = OrderedDict()

    def __len__(self) -> int:
        return len(self._claims)

    def find(self, token: str) -> AccessClaims | None:
        """Return what the token says, or None where it was not verified yet."""
        return self._claims.get(_digest(token))

    def add(self, token: str, claims: AccessClaims) -> None:
        """Remember what a token says that was just found genuine and in its time."""
        self._claims[_digest(token)] = claims
        if len(self._claims) > _REMEMBERED:
            self._claims.popitem(last=False)


_verified: VerifiedTokens | None = None


def get_verified_tokens() -> VerifiedTokens:
    """
    Return the tokens verified under the keys and settings in force.

    Where either changed there are none yet, and a thread that is still verifying under
    what went before adds to what nobody asks any more.
    """
    global _verified  # noqa: PLW0603 - one memory per process is what this module is
    conf, ring = get_conf(), get_key_ring()
    verified = _verified
    if verified is None or verified.conf is not conf or verified.ring is not ring:
        verified = _verified = VerifiedTokens(conf, ring)
    return verified


def _digest(token: str) -> bytes:
    # A header may carry what is no text.
    return sha256(token.encode(errors="surrogatepass")).digest()
