"""The front token: what the front end may read of its session."""

from __future__ import annotations

import json
from base64 import b64encode

from rotating_sessions.fdi.conf import get_fdi_conf
from rotating_sessions.tokens.access import AccessClaims

__all__ = ["encode_front_token"]


def encode_front_token(claims: AccessClaims) -> str:
    """
    Return the public view of an access token, as base64 of JSON.

    Clients compare the payload as text: its keys come in one order. What the site
    claims of the user is in it, under its own names.
    """
    issued = int(claims.issued_at.timestamp())
    expires = int(claims.expires_at.timestamp())
    payload = {
        **{name: _show(claims, name) for name in sorted(claims.claims)},
        "sub": claims.user_pk,
        "sessionHandle": str(claims.family_id),
        "iat": issued,
        "exp": expires,
    }
    view = {"uid": claims.user_pk, "ate": expires * 1000, "up": payload}
    return b64encode(json.dumps(view, separators=(",", ":")).encode()).decode()


def _show(claims: AccessClaims, name: str) -> object:
    """Return a claim as the front end reads it: some with the moment they are of."""
    value = claims.claims[name]
    if name not in get_fdi_conf().wrapped_claims:
        return value
    return {"v": value, "t": int(claims.issued_at.timestamp()) * 1000}
