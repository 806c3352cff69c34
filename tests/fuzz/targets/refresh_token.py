"""The refresh token codec: it takes what was minted, letter by letter, and no more."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

from rotating_sessions.exceptions import InvalidToken
from rotating_sessions.tokens.keys import get_key_ring
from rotating_sessions.tokens.refresh import (
    REFRESH_TOKEN_LENGTH,
    DecodedRefresh,
    decode_refresh,
    encode_refresh,
    verify_refresh,
)
from tests.fuzz.source import Source

__all__ = ["fuzz"]

PREFIX = "rsrt_"
HEADER = 1 + 5 + 16 + 8 + 4 + 16


def fuzz(data: bytes) -> None:
    """Present garbage, a genuine token after edits, or one put together from parts."""
    source = Source(data)
    source.pick([_garbage, _edited, _forged])(source)


def _garbage(source: Source) -> None:
    """No text is a token unless somebody had the key."""
    text = source.rest().decode("utf-8", "surrogateescape")
    for value in (
        text,
        PREFIX + text,
        (PREFIX + text).ljust(REFRESH_TOKEN_LENGTH, "A"),
    ):
        assert _decoded(value) is None, "accepted what was never minted"


def _edited(source: Source) -> None:
    """A genuine token says what went in; with one letter changed it is none."""
    secret, user_pk = source.bytes(32), str(source.number(2**64 - 1))
    fields = {
        "family_id": UUID(bytes=source.bytes(16)),
        "generation": source.number(2**64 - 1),
        "issued_at": datetime.fromtimestamp(source.number(2**32 - 1), tz=UTC),
    }
    genuine = encode_refresh(**fields, user_pk=user_pk, secret=secret)

    value = source.edited(genuine)

    token = _decoded(value)
    if value != genuine:
        # What the filter lets in is proven by the tag, or not.
        accepted = token and _proven(token, user_pk=user_pk, secret=secret)
        assert not accepted, "accepted an edited token"
        return
    assert token is not None, "refused a genuine token"
    assert {name: getattr(token, name) for name in fields} == fields
    verify_refresh(token, user_pk=user_pk, secret=secret)
    assert not _proven(token, user_pk=user_pk + "0", secret=secret)
    assert not _proven(token, user_pk=user_pk, secret=secret[::-1] + b"\x00")


def _forged(source: Source) -> None:
    """The parts in their places: only our filter lets them in, and then no tag fits."""
    key = get_key_ring().first
    header = source.pick([b"\x01", b"\x00", b"\x02"])
    header += source.pick([key.kid, bytes(5), key.kid[::-1]])
    header += source.bytes(HEADER - len(header))
    filters = {
        "ours": hmac.digest(key.filter, header, sha256)[:8],
        "of another purpose": hmac.digest(key.refresh, header, sha256)[:8],
        "drawn": source.bytes(8),
    }
    choice = source.pick(list(filters))
    tag = source.bytes(32)
    body = urlsafe_b64encode(header + filters[choice] + tag).decode()

    token = _decoded(PREFIX + body)

    welcome = choice == "ours" and header.startswith(b"\x01" + key.kid)
    assert (token is not None) is welcome, f"filter {choice}: {token}"
    assert token is None or not _proven(token, user_pk="1", secret=bytes(32))


def _decoded(value: str) -> DecodedRefresh | None:
    """Return the token; what is decoded has exactly one spelling."""
    with suppress(InvalidToken):
        token = decode_refresh(value)
        tail = hmac.digest(token.key.filter, token.header, sha256)[:8] + token.tag
        spelled = PREFIX + urlsafe_b64encode(token.header + tail).decode()
        assert spelled == value, "a second spelling of one token"
        return token
    return None


def _proven(token: DecodedRefresh, *, user_pk: str, secret: bytes) -> bool:
    try:
        verify_refresh(token, user_pk=user_pk, secret=secret)
    except InvalidToken:
        return False
    return True
