"""The public keys of access tokens, for services that verify them by themselves."""

from __future__ import annotations

from hashlib import sha256

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import etag, require_safe

from rotating_sessions.tokens.access_keys import encode_jwks
from rotating_sessions.tokens.keys import get_key_ring

__all__ = ["MAX_AGE", "show_public_keys"]

# Seconds for which caches may serve the set. For as long a service may not know of a
# new key, and may go on with one that was removed.
MAX_AGE = 300


def _etag(_request: HttpRequest) -> str:
    return f'"{sha256(_public_keys().encode()).hexdigest()[:16]}"'


@require_safe
@cache_control(public=True, max_age=MAX_AGE)
@etag(_etag)
def show_public_keys(_request: HttpRequest) -> HttpResponse:
    """Answer with the JWK Set (RFC 7517) of the asymmetric keys, empty without any."""
    response = HttpResponse(_public_keys(), content_type="application/jwk-set+json")
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _public_keys() -> str:
    return encode_jwks(get_key_ring().access_keys.values())
