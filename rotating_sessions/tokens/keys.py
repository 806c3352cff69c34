"""
The key ring: every key the package uses, derived from the site's root keys.

One root key yields one `SigningKey`, with a key of its own for each purpose (extracted,
then expanded by a label, as in RFC 5869), so that a tag made for one purpose never
verifies for another. The first key mints, all verify: removing a root key ends
everything signed by it, and raising EPOCH ends everything, with no database write.

Access tokens are signed by these keys, or by those that ACCESS_KEYS lists.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.encoding import force_bytes
from django.views.decorators.debug import sensitive_variables

from rotating_sessions.conf import SETTING, get_conf
from rotating_sessions.tokens.access_keys import (
    DERIVED,
    AccessKey,
    assemble_keys,
    read_entries,
)

__all__ = [
    "DECIDING_SETTINGS",
    "KID_LENGTH",
    "KeyRing",
    "SigningKey",
    "get_key_ring",
]

# What decides on the keys in force.
DECIDING_SETTINGS = frozenset({SETTING, "SECRET_KEY", "SECRET_KEY_FALLBACKS"})

# Five bytes: with it a refresh token is a multiple of three bytes long, so that its
# base64 has no spare bits and each token exactly one spelling.
KID_LENGTH = 5

# Nine bytes are twelve characters of base64 without padding. An attacker who holds the
# database cannot test guesses without the key, so 72 bits only have to tell apart.
_HASH_LENGTH = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """The keys that stem from one root key, one for each purpose."""

    kid: bytes
    access: bytes = field(repr=False)
    refresh: bytes = field(repr=False)
    filter: bytes = field(repr=False)
    network: bytes = field(repr=False)
    password: bytes = field(repr=False)

    @property
    def kid_text(self) -> str:
        """Return the key id as the `kid` of a JWT."""
        return self.kid.hex()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KeyRing:
    """
    The keys in force: the first mints, all verify.

    There is one object for each set of keys, so that caches tell rings apart by it.
    `access_keys` are those of access tokens, by their ids.
    """

    keys: tuple[SigningKey, ...]
    access_keys: Mapping[str, AccessKey]

    @property
    def first(self) -> SigningKey:
        """Return the key that mints."""
        return self.keys[0]

    def find(self, kid: bytes) -> SigningKey | None:
        """Return the key with this id, or None where no key has it."""
        return next((key for key in self.keys if key.kid == kid), None)

    @property
    def minting_key(self) -> AccessKey:
        """Return the key that signs access tokens."""
        return next(iter(self.access_keys.values()))

    def find_access_key(self, kid: str) -> AccessKey | None:
        """Return the key with this `kid` of a JWT, or None where no key has it."""
        return self.access_keys.get(kid)

    def hash_network(self, network: str) -> tuple[str, ...]:
        """Return the keyed hashes of a network, that of the first key first."""
        return _hash_network(self, network)

    def hash_password_state(self, session_auth_hash: str) -> str:
        """Return the keyed hash of a user's session auth hash, to be stored."""
        return _keyed_hash(self.first.password, session_auth_hash)

    def knows_password_state(self, stored: str, candidates: Iterable[str]) -> bool:
        """Tell whether any key made `stored` of any of these session auth hashes."""
        return any(
            hmac.compare_digest(_keyed_hash(key.password, candidate), stored)
            for candidate in candidates
            for key in self.keys
        )


@lru_cache(maxsize=1)
@sensitive_variables()
def get_key_ring() -> KeyRing:
    """
    Return the keys in force, of SIGNING_KEYS or else of Django's SECRET_KEY.

    Files that ACCESS_KEYS names are read once in a process.

    Raises:
        UnusableKey: The site's fault: an entry of ACCESS_KEYS is no key.
    """
    conf = get_conf()
    roots: tuple[str | bytes, ...] = conf.signing_keys
    if not roots:
        roots = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    texts = read_entries(conf.access_keys)
    return _derive_ring(tuple(map(force_bytes, roots)), texts, conf.epoch)


@lru_cache(maxsize=4)
@sensitive_variables()
def _derive_ring(
    roots: tuple[bytes, ...], texts: tuple[str, ...], epoch: int
) -> KeyRing:
    keys = tuple(_derive(root, epoch) for root in roots)
    derived = [
        AccessKey(
            kid=key.kid_text, algorithm=DERIVED, private=key.access, public=key.access
        )
        for key in keys
    ]
    return KeyRing(keys=keys, access_keys=assemble_keys(texts, derived, epoch))


def _derive(root: bytes, epoch: int) -> SigningKey:
    # Else it would be one of our keys that a site gives away, when it signs a text of
    # the client's choice under the same root.
    extracted = hmac.digest(b"rotating_sessions", root, sha256)

    def purpose(label: str) -> bytes:
        info = f"rotating_sessions:1:{label}:{epoch}".encode()
        return hmac.digest(extracted, info, sha256)

    return SigningKey(
        kid=purpose("kid")[:KID_LENGTH],
        access=purpose("access"),
        refresh=purpose("refresh"),
        filter=purpose("filter"),
        network=purpose("network"),
        password=purpose("password"),
    )


# Of the clients of one process, most come back from where they were.
@lru_cache(maxsize=4096)
def _hash_network(ring: KeyRing, network: str) -> tuple[str, ...]:
    return tuple(_keyed_hash(key.network, network) for key in ring.keys)


def _keyed_hash(key: bytes, text: str) -> str:
    tag = hmac.digest(key, text.encode(), sha256)
    return urlsafe_b64encode(tag[:_HASH_LENGTH]).decode()


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting in DECIDING_SETTINGS:
        get_key_ring.cache_clear()


setting_changed.connect(_forget)
