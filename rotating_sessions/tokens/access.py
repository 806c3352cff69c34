"""
Access tokens: JWTs that are verified without any I/O.

Source: RFC 9068 (the `at+jwt` profile) and RFC 8725 (JWT practice).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

import jwt
from django.views.decorators.debug import sensitive_variables

from rotating_sessions.conf import get_conf
from rotating_sessions.exceptions import AccessTokenExpired, InvalidToken
from rotating_sessions.rotation import CLOCK_SKEW
from rotating_sessions.tokens.access_keys import AccessKey
from rotating_sessions.tokens.claims import AccessClaims, read_site_claims
from rotating_sessions.tokens.keys import KeyRing, get_key_ring

__all__ = ["MAX_ACCESS_TOKEN_LENGTH", "AccessClaims", "decode_access", "encode_access"]

# PyJWT parses for seconds on a string of megabytes, so a longer one is never parsed.
MAX_ACCESS_TOKEN_LENGTH = 4096

_TYPE = "at+jwt"
_HEADER_FIELDS = {"alg", "kid", "typ"}
_TEXT_CLAIMS = ("sub", "sid", "jti")
_NUMBER_CLAIMS = ("gen", "iat", "exp", "auth_time")
# The last second of the year 9999, beyond which nothing is a datetime. No generation is
# as high either: that would take a refresh a second for eight thousand years.
_MAX_NUMBER = 253_402_300_799
_CUT = timedelta(seconds=1)

# Of PyJWT the signature alone: it would hold each claim against its own options and its
# own clock, and here they are held against what we mint and the caller's clock.
_jws = jwt.PyJWS()


@sensitive_variables()
def encode_access(claims: AccessClaims) -> str:
    """Return the claims as a JWT, signed with the first key."""
    conf = get_conf()
    key = get_key_ring().minting_key
    payload = {
        **claims.claims,
        "iss": conf.issuer,
        "aud": conf.audience,
        "sub": claims.user_pk,
        "sid": str(claims.family_id),
        "gen": claims.generation,
        "iat": int(claims.issued_at.timestamp()),
        "exp": int(claims.expires_at.timestamp()),
        "jti": secrets.token_urlsafe(9),
        "auth_time": int(claims.auth_time.timestamp()),
        "net": list(claims.networks),
    }
    return _jws.encode(
        json.dumps(payload, separators=(",", ":")).encode(),
        key.private,  # type: ignore[arg-type] # the first is no public key alone
        algorithm=key.algorithm,
        headers={"typ": _TYPE, "kid": key.kid},
    )


@sensitive_variables()
def decode_access(value: str, now: datetime) -> AccessClaims:
    """
    Return the claims of a genuine access token that still has its time.

    Raises:
        InvalidToken: Too long, malformed, of another type, or signed by no key of ours.
        AccessTokenExpired: Genuine, but its time is over, has not begun, or is longer
            than the lifetime in force.
    """
    if len(value) > MAX_ACCESS_TOKEN_LENGTH:
        raise InvalidToken
    claims = _verify(value)
    # From a host whose clock is ahead of ours by more than hosts may differ.
    too_new = claims.issued_at > now + CLOCK_SKEW
    lifetime = claims.expires_at - claims.issued_at
    # A second for both moments having been cut to whole seconds.
    too_long = lifetime > get_conf().access_lifetime + _CUT
    if too_new or too_long or now >= claims.expires_at:
        raise AccessTokenExpired(claims)
    return claims


def _verify(value: str) -> AccessClaims:
    """Return the claims of a genuine token, whatever its time."""
    try:
        return _read_claims(_verified_payload(value))
    # RecursionError: JSON nested a thousand deep fits well into the length allowed.
    except (jwt.PyJWTError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise InvalidToken from error


def _verified_payload(value: str) -> Mapping[str, Any]:
    """Return what a key of ours has signed. What it says is for `_read_claims`."""
    key = _find_key(get_key_ring(), value.partition(".")[0])
    signed = _jws.decode(value, key.public, algorithms=[key.algorithm])
    return cast(Mapping[str, Any], json.loads(signed))


# All tokens of a key begin with the same header, so that it is read once. What is
# refused is not remembered, and who spells a good one in many ways gains nothing.
@lru_cache(maxsize=16)
def _find_key(ring: KeyRing, head: str) -> AccessKey:
    """Return the key that the header of a token names, encoded as it is."""
    header = jwt.get_unverified_header(f"{head}..")
    # Exactly these fields: no `crit`, and no `jku`, `jwk` or `x5u` to point elsewhere.
    if header.keys() != _HEADER_FIELDS or header["typ"] != _TYPE:
        raise InvalidToken
    key = ring.find_access_key(header["kid"])
    if key is None:
        raise InvalidToken
    return key


def _read_claims(payload: Mapping[str, Any]) -> AccessClaims:
    """Return the claims, each of the type that we mint and of no other."""
    conf = get_conf()
    texts = [payload[name] for name in _TEXT_CLAIMS]
    numbers = [payload[name] for name in _NUMBER_CLAIMS]
    networks = payload["net"]
    if (
        (payload["iss"], payload["aud"]) != (conf.issuer, conf.audience)
        # We mint none, and whoever sets it means a time that is not looked at here.
        or "nbf" in payload
        or not all(type(text) is str for text in texts)
        or not all(type(number) is int for number in numbers)
        or not all(0 <= number <= _MAX_NUMBER for number in numbers)
        or type(networks) is not list
        or not all(type(network) is str for network in networks)
    ):
        raise InvalidToken
    try:
        family_id = UUID(payload["sid"])
        site_claims = read_site_claims(payload)
    except ValueError as error:
        raise InvalidToken from error
    return AccessClaims(
        family_id=family_id,
        generation=payload["gen"],
        user_pk=payload["sub"],
        issued_at=_moment(payload["iat"]),
        expires_at=_moment(payload["exp"]),
        auth_time=_moment(payload["auth_time"]),
        networks=tuple(networks),
        claims=site_claims,
    )


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)
