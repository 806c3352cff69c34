"""
Refresh tokens: opaque, of fixed length, proven by a MAC of their own.

    rsrt_ base64url( version | kid | family | generation | issued_at | nonce
                     | filter | tag )

`filter` lets garbage go with no query. `tag` needs the server's key, the family's
secret and the user: neither the database nor the key alone can mint a token.
"""

from __future__ import annotations

import hmac
import os
import re
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

from django.views.decorators.debug import sensitive_variables

from rotating_sessions.exceptions import InvalidToken
from rotating_sessions.tokens.keys import KID_LENGTH, SigningKey, get_key_ring

__all__ = [
    "REFRESH_TOKEN_LENGTH",
    "DecodedRefresh",
    "decode_refresh",
    "digest_refresh",
    "encode_refresh",
    "verify_refresh",
]

# Secret scanners find a token in a log or a repository by it.
_PREFIX = "rsrt_"
_VERSION = 1
_HEADER = struct.Struct(f">B{KID_LENGTH}s16sQI16s")
_FILTER_LENGTH = 8
_TAG_LENGTH = sha256().digest_size
_BODY_LENGTH = (_HEADER.size + _FILTER_LENGTH + _TAG_LENGTH) // 3 * 4
_SHAPE = re.compile(rf"{_PREFIX}[A-Za-z0-9_-]{{{_BODY_LENGTH}}}", re.ASCII)

REFRESH_TOKEN_LENGTH = len(_PREFIX) + _BODY_LENGTH


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedRefresh:
    """
    A refresh token that passed the filter: probably ours, not yet proven.

    `digest` (SHA-256 of the token) is what the database stores.
    """

    family_id: UUID
    generation: int
    issued_at: datetime
    digest: bytes = field(repr=False)
    key: SigningKey
    header: bytes = field(repr=False)
    tag: bytes = field(repr=False)


@sensitive_variables()
def encode_refresh(
    *,
    family_id: UUID,
    generation: int,
    user_pk: str,
    secret: bytes,
    issued_at: datetime,
) -> str:
    """Return a new refresh token, unlike any other by its 16 random bytes."""
    key = get_key_ring().first
    header = _HEADER.pack(
        _VERSION,
        key.kid,
        family_id.bytes,
        generation,
        int(issued_at.timestamp()),
        os.urandom(16),
    )
    tag = _tag(key, header, user_pk, secret)
    return _PREFIX + urlsafe_b64encode(header + _filter(key, header) + tag).decode()


@sensitive_variables()
def decode_refresh(value: str) -> DecodedRefresh:
    """
    Return what the token says, without any I/O; `verify_refresh` proves it.

    Raises:
        InvalidToken: Wrong length, alphabet, version, key id or filter: not ours, or
            of a key that was removed.
    """
    if len(value) != REFRESH_TOKEN_LENGTH or not _SHAPE.fullmatch(value):
        raise InvalidToken
    raw = urlsafe_b64decode(value.removeprefix(_PREFIX))
    header, rest = raw[: _HEADER.size], raw[_HEADER.size :]
    version, kid, family_id, generation, issued_at, _nonce = _HEADER.unpack(header)
    key = get_key_ring().find(kid)
    if version != _VERSION or key is None:
        raise InvalidToken
    if not hmac.compare_digest(rest[:_FILTER_LENGTH], _filter(key, header)):
        raise InvalidToken
    return DecodedRefresh(
        family_id=UUID(bytes=family_id),
        generation=generation,
        issued_at=datetime.fromtimestamp(issued_at, tz=UTC),
        digest=digest_refresh(value),
        key=key,
        header=header,
        tag=rest[_FILTER_LENGTH:],
    )


def verify_refresh(token: DecodedRefresh, *, user_pk: str, secret: bytes) -> None:
    """
    Prove that the token was issued for this user and this family.

    Raises:
        InvalidToken: The tag does not fit: the token was made without the key, without
            the family's secret, or for another user.
    """
    expected = _tag(token.key, token.header, user_pk, secret)
    if not hmac.compare_digest(expected, token.tag):
        raise InvalidToken


@sensitive_variables()
def digest_refresh(value: str) -> bytes:
    """Return the SHA-256 of a refresh token, which is all that the database holds."""
    return sha256(value.encode()).digest()


def _filter(key: SigningKey, header: bytes) -> bytes:
    return hmac.digest(key.filter, header, sha256)[:_FILTER_LENGTH]


def _tag(key: SigningKey, header: bytes, user_pk: str, secret: bytes) -> bytes:
    # The one field of no fixed width goes with its length, so that none can flow over
    # into the next.
    user = user_pk.encode()
    message = struct.pack(">H", len(user)) + user + secret + header
    return hmac.digest(key.refresh, message, sha256)
