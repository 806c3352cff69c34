"""What an access token says: what we put into it, and what the site adds."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import TypeAlias
from uuid import UUID

__all__ = [
    "MAX_SITE_CLAIMS",
    "RESERVED_CLAIMS",
    "AccessClaims",
    "Claim",
    "SiteClaims",
    "read_site_claims",
    "take_site_claims",
]

_Scalar: TypeAlias = str | int | float | bool | None
Claim: TypeAlias = _Scalar | tuple[_Scalar, ...]
SiteClaims: TypeAlias = Mapping[str, Claim]

# Ours, and those that RFC 7519 gives a meaning which would decide on the token.
RESERVED_CLAIMS = frozenset(
    {
        *("iss", "aud", "sub", "sid", "gen", "iat", "exp", "nbf", "jti"),
        *("auth_time", "net"),
    }
)

# Bytes of JSON. A cookie has 4 KB for the token, of which a third goes into base64.
MAX_SITE_CLAIMS = 1024

_NOTHING: SiteClaims = MappingProxyType({})


def _nothing() -> SiteClaims:
    return _NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessClaims:
    """
    What a verified access token says.

    `user_pk` is empty where it is of an anonymous session, which proves no login.
    `networks` are keyed hashes of the networks it may be used from, and `claims` what
    the site's own function said of the user at `issued_at`.
    """

    family_id: UUID
    generation: int
    user_pk: str
    issued_at: datetime
    expires_at: datetime
    auth_time: datetime
    networks: tuple[str, ...]
    claims: SiteClaims = field(default_factory=_nothing, hash=False)

    @property
    def is_anonymous(self) -> bool:
        """Tell whether nobody has logged in."""
        return not self.user_pk


def take_site_claims(found: object) -> SiteClaims:
    """
    Return what the site's function has said, if it can be put into a token.

    Raises:
        TypeError: The site's fault: it said nothing, or what is no dict.
        ValueError: The site's fault, too: a value that is no text, number, boolean,
            None or list of these; a reserved name; or more than a token can carry.
    """
    if not isinstance(found, Mapping):
        raise TypeError("CLAIMS has to return a dict.")
    claims = {name: _freeze(name, value) for name, value in found.items()}
    for name in claims:
        if not isinstance(name, str) or name in RESERVED_CLAIMS:
            raise ValueError(f"CLAIMS may not set {name!r}.")
    if len(json.dumps(claims, separators=(",", ":"))) > MAX_SITE_CLAIMS:
        raise ValueError(f"CLAIMS has at most {MAX_SITE_CLAIMS} bytes, as JSON.")
    return MappingProxyType(claims)


def read_site_claims(payload: Mapping[str, object]) -> SiteClaims:
    """
    Return what the site has added to a token's payload, so that nobody can change it.

    The token is remembered, and one request must not write into what others read.

    Raises:
        ValueError: A claim is of a type that no site's function could have returned.
    """
    names = payload.keys() - RESERVED_CLAIMS
    if not names:
        return _NOTHING
    return MappingProxyType({name: _freeze(name, payload[name]) for name in names})


def _freeze(name: object, value: object) -> Claim:
    if isinstance(value, list | tuple):
        return tuple(_check_scalar(name, item) for item in value)
    return _check_scalar(name, value)


def _check_scalar(name: object, value: object) -> _Scalar:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"CLAIMS: JSON has no number for {name!r}.")
    if value is None or isinstance(value, str | int | float):
        return value
    raise ValueError(f"CLAIMS: {name!r} is no text, number, boolean, None or list.")
