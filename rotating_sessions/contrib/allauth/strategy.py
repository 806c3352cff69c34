"""The app client of allauth's headless API, by sessions of ours."""

from __future__ import annotations

from typing import Any, cast

from allauth.core import context
from allauth.headless.tokens.strategies.sessions import SessionTokenStrategy
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from rotating_sessions.authentication import Visit, read_visit
from rotating_sessions.clients import read_client
from rotating_sessions.contrib.allauth.state import FamilyKey, find_state, settle
from rotating_sessions.exceptions import SessionError, Unavailable
from rotating_sessions.services import refresh_session, replace_session, start_session
from rotating_sessions.tokens.refresh import decode_refresh
from rotating_sessions.transports import COOKIE, HEADER

__all__ = ["RotatingSessionStrategy"]


class RotatingSessionStrategy(SessionTokenStrategy):  # type: ignore[misc]
    """
    HEADLESS_TOKEN_STRATEGY: a login ends with our tokens, and they take over.

    Until then allauth's session token (`X-Session-Token`) carries the login from one
    step to the next; it never logs anybody in.
    """

    def get_session_token(self, request: HttpRequest) -> str | None:
        """Return what the state of this request is found by: its access token wins."""
        visit = read_visit(request)
        if visit.transport == COOKIE:
            # No view of the app client checks for CSRF, so none acts by a cookie.
            _ignore_cookies(request)
        elif visit.family is not None and not visit.family.is_anonymous:
            return FamilyKey.of(visit.family.family_id)
        return cast("str | None", super().get_session_token(request))

    def create_session_token(self, request: HttpRequest) -> str:
        """Return the token of a login in progress, or "": then allauth shows none."""
        if not request.user.is_authenticated:
            return cast(str, super().create_session_token(request))
        family = read_visit(request).family
        if family is not None:
            settle(request, family.family_id)
        return ""

    @sensitive_variables()
    def create_access_token_payload(self, request: HttpRequest) -> dict[str, Any]:
        """Start a session for whoever has just logged in; once, however often asked."""
        if not hasattr(request, "allauth_tokens"):
            request.allauth_tokens = _start(request)  # type: ignore[attr-defined]
        return cast("dict[str, Any]", request.allauth_tokens)  # type: ignore[attr-defined]

    def lookup_session(self, session_token: str) -> SessionBase | None:
        """Return the state that a token finds, or None where there is none."""
        return find_state(session_token)

    @sensitive_variables()
    def refresh_token(self, refresh_token: str) -> tuple[str, str] | None:
        """
        Return an access token, and the refresh token to keep from now on.

        None where the session is over, or ended by this very token.

        Raises:
            Unavailable: The database failed: the same token still serves.
        """
        client = read_client(context.request)
        try:
            pair = refresh_session(refresh_token, client=client, transport=HEADER)
        except Unavailable:
            raise
        except SessionError:
            return None
        return pair.access, pair.refresh or refresh_token


def _ignore_cookies(request: HttpRequest) -> None:
    request.session_visit = Visit()  # type: ignore[attr-defined]
    request.session_family = None  # type: ignore[attr-defined]
    replace_session(request, None)


@sensitive_variables()
def _start(request: HttpRequest) -> dict[str, Any]:
    pair = start_session(request, request.user, transport=HEADER)  # type: ignore[arg-type]
    settle(request, decode_refresh(cast(str, pair.refresh)).family_id)
    return {
        "access_token": pair.access,
        "refresh_token": pair.refresh,
        "expires_in": int(pair.access_lifetime.total_seconds()),
    }
