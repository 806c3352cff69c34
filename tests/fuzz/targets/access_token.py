"""
The access token codec: whatever is in a token, exactly the documented answer.

The oracle says by itself what a header and a payload are worth; tokens are put together
here, without PyJWT, so that they may hold what no library would sign.
"""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from rotating_sessions.exceptions import AccessTokenExpired, InvalidToken
from rotating_sessions.tokens.access import AccessClaims, decode_access, encode_access
from rotating_sessions.tokens.keys import get_key_ring
from tests.fuzz.source import Source

__all__ = ["fuzz"]

NOW = 1_930_000_000
LIFETIME = 1800
SKEW = 5
LAST = 253_402_300_799
HEADER_NAMES = ["alg", "kid", "typ", "crit", "jku", "jwk", "x5u", "b64", "zip", "cty"]
HEADER_VALUES = [
    *("HS256", "HS384", "HS512", "none", "None", "RS256", "ES256", "hs256", ""),
    *("at+jwt", "JWT", "AT+JWT", "application/at+jwt", "../../etc/passwd"),
    *("https://example.com/jwks", ["b64"], ["exp"], True, None, 0, {"kty": "oct"}),
]
TIMES = [NOW, NOW - 1, NOW + 1, NOW + SKEW, NOW + SKEW + 1, NOW + LIFETIME, LAST, -1]
TIMES += [NOW + LIFETIME + 1, NOW + LIFETIME + 2, LAST + 1, 0, 10**400, 2**63]
PIECES = [b"{}", b"[]", b'"a"', b"null", b"1", b"", b"{", b"[" * 1500, b"9" * 5000]


def fuzz(data: bytes) -> None:
    """Present garbage, a genuine token after edits, or anything at all well signed."""
    source = Source(data)
    source.pick([_garbage, _edited, _signed, _mis_signed])(source)


def _garbage(source: Source) -> None:
    """No text is a token unless somebody had the key."""
    assert _outcome(source.rest().decode("utf-8", "surrogateescape")) == "invalid"


def _edited(source: Source) -> None:
    """What the signature covers counts letter by letter."""
    genuine = encode_access(_claims(source))

    value = source.edited(genuine)

    outcome = _outcome(value)
    covered, _, tag = value.rpartition(".")
    if value == genuine:
        assert isinstance(outcome, AccessClaims), "refused a genuine token"
    elif covered != genuine.rpartition(".")[0] or not _same_tag(tag, genuine):
        assert outcome == "invalid", "accepted an edited token"


def _signed(source: Source) -> None:
    """With the right key, the answer is the one that the oracle expects."""
    header, payload = _header(source), _payload(source)
    value = _put_together(header, payload, get_key_ring().first.access)

    outcome = _outcome(value)

    expected = "invalid" if len(value) > 4096 else _expected(header, payload)
    found = "good" if isinstance(outcome, AccessClaims) else outcome
    assert found == expected, f"{found}, not {expected}: {header!r} {payload!r}"


def _mis_signed(source: Source) -> None:
    """With any other key, or another algorithm's, every token is invalid."""
    key = get_key_ring().first
    header, payload = _header(source), _payload(source)
    keys = [key.refresh, key.filter, key.network, b"", b"\x00" * 32, source.some()]
    wrong = source.pick(keys)
    if hmac.compare_digest(wrong, key.access):
        return
    assert _outcome(_put_together(header, payload, wrong)) == "invalid"


def _outcome(value: str) -> AccessClaims | str:
    try:
        return decode_access(value, datetime.fromtimestamp(NOW, tz=UTC))
    except AccessTokenExpired as error:
        return "expired" if isinstance(error.claims, AccessClaims) else "no claims"
    except InvalidToken:
        return "invalid"


def _claims(source: Source) -> AccessClaims:
    return AccessClaims(
        family_id=UUID(bytes=source.bytes(16)),
        generation=source.number(2**32),
        user_pk=str(source.number(2**32)),
        issued_at=datetime.fromtimestamp(NOW - 60, tz=UTC),
        expires_at=datetime.fromtimestamp(NOW + 60, tz=UTC),
        auth_time=datetime.fromtimestamp(source.number(NOW), tz=UTC),
        networks=("0123456789ab",) * source.number(4),
    )


def _header(source: Source) -> bytes:
    """Return a header as we write it, changed in up to two fields, or no JSON."""
    fields: dict[str, Any] = {
        "alg": "HS256",
        "kid": get_key_ring().first.kid_text,
        "typ": "at+jwt",
    }
    return _json(source, fields, HEADER_NAMES, HEADER_VALUES)


def _payload(source: Source) -> bytes:
    """Return claims as we mint them, changed in up to two, or no JSON object."""
    fields: dict[str, Any] = {
        "iss": "rotating_sessions",
        "aud": "rotating_sessions",
        "sub": "17",
        "sid": str(UUID(int=source.number(2**64))),
        "gen": source.number(2**32),
        "iat": NOW - 60,
        "exp": NOW + 60,
        "auth_time": NOW - 3600,
        "jti": "abc",
        "net": [],
    }
    # Only what PyJWT compares with a clock of its own is left out: `nbf`.
    names = [*fields, "admin", "crit"]
    values = [*TIMES, *map(str, TIMES), True, NOW + 0.5, "", ["rotating_sessions"]]
    return _json(source, fields, names, values)


def _json(
    source: Source, fields: dict[str, Any], names: list[str], values: list[Any]
) -> bytes:
    twice = ""
    for _ in range(source.number(2)):
        name, way = source.pick(names), source.number(3)
        value = source.value() if source.flag() else source.pick(values)
        if way == 0:
            fields.pop(name, None)
        elif way == 1:
            twice = json.dumps({name: value})[1:-1]
        else:
            fields[name] = value
    text = json.dumps(fields)
    if twice and fields:
        parts = [text[1:-1], twice]
        text = "{" + ", ".join(parts if source.flag() else reversed(parts)) + "}"
    if source.number(15) == 15:
        return source.pick(PIECES)
    codec = "utf-16" if source.number(31) == 31 else "utf-8"
    return text.encode(codec)


def _put_together(header: bytes, payload: bytes, key: bytes) -> str:
    covered = f"{_base64(header)}.{_base64(payload)}"
    return f"{covered}.{_base64(hmac.digest(key, covered.encode(), sha256))}"


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _same_tag(tag: str, genuine: str) -> bool:
    """Tell whether it is the genuine signature, in whichever spelling of base64."""
    own = genuine.rpartition(".")[2]
    try:
        return _bytes(tag) == _bytes(own)
    except ValueError:
        return False


def _bytes(text: str) -> bytes:
    # Not strict, as PyJWT is not: what is no letter of base64 is overlooked.
    return urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))


def _expected(header: bytes, payload: bytes) -> str:
    """Return what a well signed token with this inside is worth."""
    head, claims = _read(header), _read(payload)
    genuine = {"alg": "HS256", "kid": get_key_ring().first.kid_text, "typ": "at+jwt"}
    if head != genuine or not isinstance(claims, dict) or not _ours(claims):
        return "invalid"
    lasts = claims["exp"] - claims["iat"]
    if claims["iat"] > NOW + SKEW or lasts > LIFETIME + 1 or claims["exp"] <= NOW:
        return "expired"
    return "good"


def _ours(claims: Mapping[str, Any]) -> bool:
    """Tell whether the claims are all there, each of its type and within its range."""
    numbers = [claims.get(name) for name in ("gen", "iat", "exp", "auth_time")]
    texts = [claims.get(name) for name in ("sub", "sid", "jti")]
    return (
        all(type(number) is int and 0 <= number <= LAST for number in numbers)
        and all(type(text) is str for text in texts)
        and type(claims.get("net")) is list
        and all(type(network) is str for network in claims["net"])
        and claims.get("iss") == "rotating_sessions"
        and claims.get("aud") in ("rotating_sessions", ["rotating_sessions"])
        and _is_uuid(claims["sid"])
    )


def _read(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
