"""
Who is asking: the access token of a request, verified once and told to DRF.

The middleware does the verifying; the DRF class only reads what it found, because a
confirmation written by an authenticator would be rolled back with the view.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar, cast

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from rest_framework.authentication import BaseAuthentication, CSRFCheck
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from rotating_sessions.clients import read_bound_network
from rotating_sessions.exceptions import (
    AccessTokenExpired,
    CrossSiteRequest,
    InvalidToken,
    NetworkChanged,
    RefreshRequired,
    SessionEnded,
    SessionError,
    TooEarly,
)
from rotating_sessions.tokens.access import AccessClaims, decode_access
from rotating_sessions.tokens.keys import get_key_ring
from rotating_sessions.transports import COOKIE, HEADER, Bearer, explain, read_access

__all__ = [
    "RotatingSessionAuthentication",
    "Visit",
    "django_request",
    "enforce_csrf",
    "identify",
    "read_visit",
    "refuse_early_data",
    "session_exempt",
]

_View = TypeVar("_View", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """
    What the access token of one request says.

    `claims` are proven: set even where the token is refused for its age or network,
    which is enough to log out with. `refusal` is the answer, None where it is welcome.
    """

    claims: AccessClaims | None = None
    transport: str | None = None
    refusal: SessionError | None = None

    @property
    def family(self) -> AccessClaims | None:
        """Return the claims that the request may act under."""
        return self.claims if self.refusal is None else None


def django_request(request: Request) -> HttpRequest:
    """Return Django's own request, which all of the package but its views knows."""
    return request._request  # noqa: SLF001 - DRF has no public name for it


def read_visit(request: HttpRequest) -> Visit:
    """
    Return what the middleware found of this request.

    Raises:
        ImproperlyConfigured: The middleware is not installed.
    """
    visit = getattr(request, "session_visit", None)
    if not isinstance(visit, Visit):
        raise ImproperlyConfigured(
            "rotating_sessions verifies access tokens in RotatingSessionMiddleware: "
            "add it to MIDDLEWARE."
        )
    return visit


def session_exempt(view: _View) -> _View:
    """
    Mark a view that the middleware shall let through, whatever the token is worth.

    The view runs with `request.session_family` None, where other views are answered
    401 for it. For endpoints that a client must reach without a good access token.
    """
    view.session_exempt = True  # type: ignore[attr-defined]
    return view


def identify(request: HttpRequest, now: datetime) -> Visit:
    """Return what the request's access token says, without any I/O."""
    try:
        bearer = read_access(request)
    except InvalidToken as error:
        return Visit(transport=HEADER, refusal=error)
    if bearer is None:
        return Visit()
    try:
        claims = decode_access(bearer.token, now)
    except AccessTokenExpired as error:
        claims = cast(AccessClaims, error.claims)
        return Visit(claims=claims, transport=bearer.transport, refusal=error)
    except InvalidToken as error:
        return Visit(transport=bearer.transport, refusal=_refusal(bearer, error))
    refusal = None if _may_use(claims, request) else NetworkChanged()
    return Visit(claims=claims, transport=bearer.transport, refusal=refusal)


def refuse_early_data(request: HttpRequest) -> None:
    """
    Refuse a request that came in TLS early data.

    Raises:
        TooEarly: It did, and an attacker could send it again.
    """
    if request.headers.get("Early-Data") == "1":
        raise TooEarly


def enforce_csrf(request: HttpRequest) -> None:
    """
    Make sure that an unsafe request by cookie comes from the site itself.

    Raises:
        CrossSiteRequest: Django's CSRF check fails, or the browser names another site.
    """
    if request.method in {"GET", "HEAD", "OPTIONS", "TRACE"}:
        return
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        raise CrossSiteRequest
    check = CSRFCheck(lambda _request: HttpResponse())
    check.process_request(request)
    if check.process_view(request, HttpResponse, (), {}) is not None:
        raise CrossSiteRequest


class RotatingSessionAuthentication(BaseAuthentication):
    """
    Authenticate by the access token that the middleware has verified.

    `request.user` is the user, read in one query, and `request.auth` the claims. In
    cookie transport unsafe methods need a CSRF token, as in `SessionAuthentication`.
    """

    def authenticate(
        self, request: Request
    ) -> tuple[AbstractBaseUser, AccessClaims] | None:
        """Return user and claims, or None where the request carries no token."""
        visit = read_visit(django_request(request))
        if visit.family is None:
            return None
        if visit.transport == COOKIE:
            _enforce_csrf_for_drf(request)
        user = django_request(request).user
        if not user.is_authenticated:
            ended = SessionEnded()
            # For the middleware, which forgets the cookies on the way out.
            refused = replace(visit, refusal=ended)
            django_request(request).session_visit = refused  # type: ignore[attr-defined]
            raise AuthenticationFailed(explain(ended), ended.code)
        return cast(AbstractBaseUser, user), visit.family

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge that makes a refusal a 401, not a 403."""
        return "Bearer"


def _enforce_csrf_for_drf(request: Request) -> None:
    try:
        enforce_csrf(django_request(request))
    except CrossSiteRequest as error:
        raise PermissionDenied(explain(error), error.code) from error


def _refusal(bearer: Bearer, error: InvalidToken) -> SessionError:
    # A browser cannot mend a cookie. The refresh token beside it can, or else the
    # refused refresh makes the browser forget both.
    return RefreshRequired() if bearer.transport == COOKIE else error


def _may_use(claims: AccessClaims, request: HttpRequest) -> bool:
    """Tell whether the token was minted for the network that the request comes from."""
    network = read_bound_network(request)
    if network is None:
        return True
    return not set(get_key_ring().hash_network(network)).isdisjoint(claims.networks)
