"""The endpoints that the session part of the SDKs calls."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.debug import sensitive_variables
from rest_framework.request import Request
from rest_framework.response import Response

from rotating_sessions.authentication import django_request, read_visit
from rotating_sessions.clients import read_client
from rotating_sessions.exceptions import (
    CrossSiteRequest,
    InvalidToken,
    NotAuthenticated,
    SessionEnded,
)
from rotating_sessions.fdi.anti_csrf import is_from_another_site, is_from_front_end
from rotating_sessions.fdi.incoming import PresentedRefresh, claims_of, read_refresh
from rotating_sessions.fdi.outgoing import clear_session, write_session
from rotating_sessions.models import RevokedReason
from rotating_sessions.services import refresh_session, revoke_session
from rotating_sessions.throttles import RefreshThrottle, throttled_family
from rotating_sessions.tokens.refresh import decode_refresh
from rotating_sessions.transports import COOKIE
from rotating_sessions.views.endpoint import Endpoint

__all__ = ["RefreshView", "SignOutView"]


class RefreshView(Endpoint):
    """Exchange a refresh token, of the header or else of the cookie."""

    throttle_classes = (RefreshThrottle,)
    # In no schema of the site's: SDKs call it, by a contract of their own.
    schema = None

    def throttle_ident(self, request: Request) -> str | None:
        """Count by session; what is no token of ours costs nothing to refuse."""
        presented = read_refresh(django_request(request))
        return throttled_family(None if presented is None else presented.token)

    @sensitive_variables()
    def post(self, request: Request) -> HttpResponseBase:
        """Refresh in the mode of the token; whatever is refused has ended."""
        asked = django_request(request)
        if is_from_another_site(asked):
            # Nothing is cleared, or any site could sign a visitor out.
            raise CrossSiteRequest
        presented = read_refresh(asked)
        if presented is None or not _may_refresh(asked, presented):
            raise SessionEnded
        try:
            pair = refresh_session(
                presented.token, client=read_client(asked), transport=presented.mode
            )
        except InvalidToken as error:
            # Nothing that the client holds will ever do.
            raise SessionEnded from error
        if claims_of(pair.access).is_anonymous:
            # To these front ends a session is a login.
            raise SessionEnded
        response = Response({})
        write_session(asked, response, pair)
        return response


class SignOutView(Endpoint):
    """End the session whose access token, however old, is on the request."""

    # As above.
    schema = None

    def post(self, request: Request) -> HttpResponseBase:
        """Sign out."""
        visit = read_visit(django_request(request))
        if visit.claims is None:
            raise visit.refusal or NotAuthenticated()
        revoke_session(visit.claims.family_id, reason=RevokedReason.LOGOUT)
        response = Response({"status": "OK"})
        clear_session(django_request(request), response)
        return response


@sensitive_variables()
def _may_refresh(request: HttpRequest, presented: PresentedRefresh) -> bool:
    def find_family() -> UUID | None:
        try:
            return decode_refresh(presented.token).family_id
        except InvalidToken:
            return None

    return presented.mode != COOKIE or is_from_front_end(request, find_family)
