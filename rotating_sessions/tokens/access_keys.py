"""
The keys of access tokens, as ACCESS_KEYS lists them: the first signs, all verify.

An entry is HS256, which stands for the keys derived from the site's root keys; the PEM
text of an asymmetric key; or the path of a file with one.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from django.views.decorators.debug import sensitive_variables

from rotating_sessions.tokens.pem import PrivateKey, PublicKey, UnusableKey, read_pem

__all__ = [
    "DERIVED",
    "AccessKey",
    "assemble_keys",
    "encode_jwks",
    "is_open_to_all",
    "read_entries",
    "read_entry",
    "read_key",
]

DERIVED = "HS256"

_PEM = "-----BEGIN "
# 96 bits of the thumbprint: they only have to tell a site's own keys apart.
_KID_LENGTH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKey:
    """
    A key of access tokens.

    `algorithm` is pinned here and never read from a token (RFC 8725, section 3.1).
    `private` is None where a retired key is kept to verify only, and `jwk` where there
    is no public key that could be published.
    """

    kid: str
    algorithm: str
    private: PrivateKey | bytes | None = field(repr=False)
    public: PublicKey | bytes = field(repr=False)
    jwk: Mapping[str, str] | None = field(default=None, repr=False)


@sensitive_variables()
def read_entry(entry: str) -> str:
    """
    Return the PEM text that an entry is, or that is in the file it names.

    Raises:
        UnusableKey: The file cannot be read.
    """
    if _is_no_path(entry):
        # As one line of a file of environment variables spells it.
        return entry.replace("\\n", "\n")
    try:
        return Path(entry).read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        # Not the path, nor the error that names it: it may be a key without its frame.
        reason = getattr(error, "strerror", None) or "it is no text"
        raise UnusableKey(f"its file cannot be read: {reason}") from None


@sensitive_variables()
def read_entries(entries: Iterable[str]) -> tuple[str, ...]:
    """
    Return what `read_entry` does of each.

    Raises:
        UnusableKey: The file of one, which is told, cannot be read.
    """
    texts = []
    for position, entry in enumerate(entries, 1):
        with _telling(position):
            texts.append(read_entry(entry))
    return tuple(texts)


@sensitive_variables()
def read_key(text: str, epoch: int) -> AccessKey:
    """
    Return the key of a PEM text, under an id that the epoch changes.

    So a raised EPOCH ends what the key has signed, here and wherever its id is looked
    up in the set of public keys.

    Raises:
        UnusableKey: See `read_pem`.
    """
    key = read_pem(text)
    kid = key.thumbprint[:_KID_LENGTH] + (f".{epoch}" if epoch else "")
    return AccessKey(
        kid=kid,
        algorithm=key.algorithm,
        private=key.private,
        public=key.public,
        jwk={**key.members, "kid": kid, "alg": key.algorithm, "use": "sig"},
    )


@sensitive_variables()
def assemble_keys(
    texts: Sequence[str], derived: Sequence[AccessKey], epoch: int
) -> Mapping[str, AccessKey]:
    """
    Return all keys by their id, the one that signs first.

    Args:
        texts: As `read_entries` returns them.
        derived: What DERIVED stands for.
        epoch: EPOCH.

    Raises:
        UnusableKey: One cannot be used, or the first cannot sign.
    """
    keys: dict[str, AccessKey] = {}
    for position, text in enumerate(texts, 1):
        with _telling(position):
            found = derived if text == DERIVED else [read_key(text, epoch)]
        for key in found:
            keys.setdefault(key.kid, key)
    if next((key.private for key in keys.values()), None) is None:
        raise UnusableKey("The first of ACCESS_KEYS has to be able to sign.")
    return keys


def is_open_to_all(entry: str) -> bool:
    """Tell whether an entry is a file that everybody on this machine may read."""
    if _is_no_path(entry):
        return False
    return bool(Path(entry).stat().st_mode & stat.S_IROTH)


def encode_jwks(keys: Iterable[AccessKey]) -> str:
    """Return the public keys as a JWK Set: an empty one, where all are derived."""
    return json.dumps({"keys": [dict(key.jwk) for key in keys if key.jwk]})


@contextmanager
def _telling(position: int) -> Iterator[None]:
    try:
        yield
    except UnusableKey as error:
        raise UnusableKey(f"ACCESS_KEYS, entry {position}: {error}.") from None


def _is_no_path(entry: str) -> bool:
    return entry == DERIVED or _PEM in entry
