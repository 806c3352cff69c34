"""Tokens out of requests: which of those that one carries counts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import cast
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from rotating_sessions import revocations
from rotating_sessions.authentication import is_on_known_network
from rotating_sessions.conf import get_conf
from rotating_sessions.exceptions import (
    AccessTokenExpired,
    InvalidToken,
    RefreshRequired,
)
from rotating_sessions.fdi.anti_csrf import is_from_front_end, is_safe
from rotating_sessions.fdi.carried import bearer_of, carries_legacy, cookies_of
from rotating_sessions.fdi.names import ACCESS_COOKIE, REFRESH_COOKIE
from rotating_sessions.navigation import asks_for_page
from rotating_sessions.tokens.access import AccessClaims, decode_access
from rotating_sessions.tokens.refresh import decode_refresh
from rotating_sessions.transports import COOKIE, HEADER, Bearer

__all__ = ["PresentedRefresh", "claims_of", "read_access", "read_refresh"]

# A JWT: anything else that calls itself a Bearer token is somebody else's.
_SHAPE = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentedRefresh:
    """The refresh token that counts, and the mode in which it came and is answered."""

    token: str = field(repr=False)
    mode: str


@sensitive_variables()
def read_access(request: HttpRequest) -> Bearer | None:
    """
    Return the access token of the request, or None where it carries none that counts.

    The header wins over the cookie. To the rest of the package either is a header:
    what cookies need against other sites is done here.

    Raises:
        RefreshRequired: Cookies that only a refresh can mend, or no sign that the
            front end has sent an unsafe request.
    """
    allowed = get_conf().transports
    bearer = bearer_of(request)
    if HEADER in allowed and _SHAPE.fullmatch(bearer):
        return Bearer(token=bearer, transport=HEADER)
    cookies = cookies_of(request, ACCESS_COOKIE) if COOKIE in allowed else []
    if not cookies:
        return None
    if _is_by_the_browser(request):
        return _read_quietly(cookies, request)
    if len(cookies) > 1 or carries_legacy(request):
        raise RefreshRequired
    if not _SHAPE.fullmatch(cookies[0]):
        return None
    if not is_safe(request) and not is_from_front_end(
        request, lambda: _family_of(cookies[0])
    ):
        raise RefreshRequired
    return Bearer(token=cookies[0], transport=HEADER)


@sensitive_variables()
def read_refresh(request: HttpRequest) -> PresentedRefresh | None:
    """
    Return the refresh token of the request, or None where it carries none.

    The header wins over the cookie. Of several cookies the one counts that is ours
    and was issued last: a domain that changed leaves another one behind.
    """
    allowed = get_conf().transports
    bearer = bearer_of(request)
    if HEADER in allowed and bearer:
        return PresentedRefresh(token=bearer, mode=HEADER)
    cookies = cookies_of(request, REFRESH_COOKIE) if COOKIE in allowed else []
    if not cookies:
        return None
    newest = max(cookies, key=_issued_at)
    return PresentedRefresh(token=newest, mode=COOKIE)


@sensitive_variables()
def claims_of(token: str) -> AccessClaims:
    """
    Return what a genuine access token says, however old it is.

    Raises:
        InvalidToken: It is not genuine.
    """
    try:
        return decode_access(token, timezone.now())
    except AccessTokenExpired as error:
        return cast(AccessClaims, error.claims)


def _is_by_the_browser(request: HttpRequest) -> bool:
    """Tell whether no script has asked: for a page, an image, another script."""
    made_for = request.headers.get("Sec-Fetch-Dest", "empty")
    return request.method == "GET" and (made_for != "empty" or asks_for_page(request))


@sensitive_variables()
def _read_quietly(cookies: list[str], request: HttpRequest) -> Bearer | None:
    """
    Return the access token if it serves as it is.

    The front end's own pages have to load before anything in them can refresh.
    """
    try:
        claims = decode_access(cookies[0], timezone.now())
    except (AccessTokenExpired, InvalidToken):
        return None
    if revocations.is_revoked(claims.family_id):
        return None
    if len(cookies) > 1 or not is_on_known_network(claims, request):
        return None
    return Bearer(token=cookies[0], transport=HEADER)


@sensitive_variables()
def _family_of(token: str) -> UUID | None:
    try:
        return claims_of(token).family_id
    except InvalidToken:
        return None


@sensitive_variables()
def _issued_at(token: str) -> float:
    try:
        return decode_refresh(token).issued_at.timestamp()
    except InvalidToken:
        # Before any that is ours.
        return 0
