"""What the access token of a request says, without any I/O."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import cast

from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from rotating_sessions.authentication.remembered import get_remembered_visits
from rotating_sessions.authentication.visits import NOBODY, Memory, Visit
from rotating_sessions.clients import read_bound_network, read_origin
from rotating_sessions.exceptions import (
    AccessTokenExpired,
    InvalidToken,
    NetworkChanged,
    RefreshRequired,
    SessionError,
)
from rotating_sessions.tokens.access import AccessClaims, decode_access
from rotating_sessions.tokens.keys import get_key_ring
from rotating_sessions.transports import COOKIE, HEADER, Bearer, read_access

__all__ = ["identify", "is_on_known_network"]


def identify(request: HttpRequest, now: datetime) -> Visit:
    """Return what the request's access token says, without any I/O."""
    if request.META.get("HTTP_AUTHORIZATION"):
        # As it came: a header that was understood before is not read again. No variable
        # holds it, because an error report about the keys would print that.
        known = get_remembered_visits().find(request.META["HTTP_AUTHORIZATION"], now)
        if known is not None:
            return _come_again(known, request)
    elif not request.META.get("HTTP_COOKIE"):
        return NOBODY
    return _read(request, now)


@sensitive_variables()
def _read(request: HttpRequest, now: datetime) -> Visit:
    try:
        bearer = read_access(request)
    except SessionError as error:
        return Visit(transport=HEADER, refusal=error)
    if bearer is None:
        return NOBODY
    visits, text = get_remembered_visits(), _spell(bearer, request)
    known = visits.find(text, now)
    if known is not None:
        return _come_again(known, request)
    try:
        claims = decode_access(bearer.token, now)
    except AccessTokenExpired as error:
        claims = cast(AccessClaims, error.claims)
        return Visit(claims=claims, transport=bearer.transport, refusal=error)
    except InvalidToken as error:
        return Visit(transport=bearer.transport, refusal=_refusal(bearer, error))
    visit = Visit(claims=claims, transport=bearer.transport, memory=Memory(claims))
    visits.add(text, visit)
    return _come_again(visit, request)


def _spell(bearer: Bearer, request: HttpRequest) -> str:
    """Return what the token is remembered by: it is known only as it came."""
    if hasattr(request, "session_reader"):
        # As no header and no cookie can spell it: it came by another protocol.
        return f"\n{bearer.token}"
    if bearer.transport == HEADER:
        return str(request.META["HTTP_AUTHORIZATION"])
    # As no header can: `Bearer …` in a cookie is no header, and no token.
    return f"\r{bearer.token}"


def _come_again(visit: Visit, request: HttpRequest) -> Visit:
    """Return the visit, refused where it comes from a network that is not its own."""
    memory, origin = cast(Memory, visit.memory), read_origin(request.META)
    if memory.origin != origin:
        if not is_on_known_network(cast(AccessClaims, visit.claims), request):
            return replace(visit, refusal=NetworkChanged())
        memory.origin = origin
    return visit


def _refusal(bearer: Bearer, error: InvalidToken) -> SessionError:
    # A browser cannot mend a cookie. The refresh token beside it can, or else the
    # refused refresh makes the browser forget both.
    return RefreshRequired() if bearer.transport == COOKIE else error


def is_on_known_network(claims: AccessClaims, request: HttpRequest) -> bool:
    """Tell whether the token was minted for the network that the request comes from."""
    network = read_bound_network(request)
    if network is None:
        return True
    return not set(get_key_ring().hash_network(network)).isdisjoint(claims.networks)
