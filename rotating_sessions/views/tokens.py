"""Log in, refresh, log out: the endpoints that hand out tokens and take them back."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TypeVar, cast

from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.signals import user_login_failed
from django.db import IntegrityError
from django.http import HttpResponseBase, JsonResponse
from django.middleware.csrf import get_token, rotate_token
from django.views.decorators.debug import sensitive_variables
from rest_framework.request import Request
from rest_framework.response import Response

from rotating_sessions.authentication import django_request, enforce_csrf, read_visit
from rotating_sessions.clients import read_client
from rotating_sessions.conf import get_conf
from rotating_sessions.exceptions import (
    InvalidCredentials,
    InvalidToken,
    SessionError,
    Unavailable,
)
from rotating_sessions.models import RevokedReason
from rotating_sessions.serializers import LoginSerializer, RefreshSerializer
from rotating_sessions.services import (
    announce_login,
    end_proven_session,
    refresh_session,
    revoke_session,
    start_session,
)
from rotating_sessions.throttles import (
    LoginThrottle,
    RefreshThrottle,
    throttled_family,
    throttled_login,
)
from rotating_sessions.transports import (
    COOKIE,
    HEADER,
    TokenPair,
    carries_session_cookie,
    clear_cookies,
    read_refresh_cookie,
    refuse,
    write_tokens,
)
from rotating_sessions.views.endpoint import Endpoint
from rotating_sessions.views.visitors import may_forget, require_good_token

__all__ = ["LoginView", "LogoutView", "RefreshView", "answer_with"]

_AnyResponse = TypeVar("_AnyResponse", bound=HttpResponseBase)


class LoginView(Endpoint):
    """Log in with the credentials that any authentication backend of the site takes."""

    throttle_classes = (LoginThrottle,)

    @sensitive_variables()
    def throttle_ident(self, request: Request) -> str | None:
        """Count by network and user name; asking for the CSRF cookie is free."""
        if request.method != "POST":
            return None
        body = cast(Mapping[str, object], request.data)
        name = str(body.get(get_user_model().USERNAME_FIELD))
        return throttled_login(read_client(django_request(request)).network, name)

    def get(self, request: Request) -> Response:
        """Set the CSRF cookie that a login in cookie transport needs."""
        get_token(django_request(request))
        return Response(status=204)

    @sensitive_variables()
    def post(self, request: Request) -> HttpResponseBase:
        """Start a session and answer with its tokens."""
        require_good_token(django_request(request))
        credentials = self.parse(LoginSerializer, request)
        transport = credentials.pop("transport")
        lifetime = None if credentials.pop("remember") else get_conf().short_timeout
        if transport == COOKIE:
            enforce_csrf(django_request(request))
        user = authenticate(django_request(request), **credentials)
        # Django's AllowAllUsersModelBackend lets inactive users through.
        if user is None:
            raise InvalidCredentials
        if not user.is_active:
            name = get_user_model().USERNAME_FIELD
            user_login_failed.send(
                __name__,
                credentials={name: credentials[name]},
                request=django_request(request),
            )
            raise InvalidCredentials
        # Before there is a session: one that is begun has to be handed out.
        announce_login(django_request(request), user)
        try:
            pair = start_session(
                django_request(request), user, transport=transport, lifetime=lifetime
            )
        except IntegrityError as error:
            # The user was deleted while the password was checked.
            raise InvalidCredentials from error
        if transport == COOKIE:
            rotate_token(django_request(request))
        return answer_with(pair)


class _PresentedEndpoint(Endpoint):
    """An endpoint that a refresh token is presented to."""

    # One for all requests: it keeps nothing of what it validates.
    shape = RefreshSerializer()

    @cached_property
    def presented(self) -> tuple[str | None, str]:
        """Return the refresh token and how it came: the body wins over the cookie."""
        value = self.shape.run_validation(self.request.data).get("refresh")
        if value is not None:
            return value, HEADER
        return read_refresh_cookie(django_request(self.request)), COOKIE


class RefreshView(_PresentedEndpoint):
    """Exchange a refresh token, of the body or else of the cookie."""

    throttle_classes = (RefreshThrottle,)

    @sensitive_variables()
    def throttle_ident(self, request: Request) -> str | None:
        """Count by session; what is no token of ours costs nothing to refuse."""
        value, _transport = self.presented
        return throttled_family(value)

    @sensitive_variables()
    def post(self, request: Request) -> HttpResponseBase:
        """Refresh, and answer with new tokens: without `refresh`, keep the old one."""
        value, transport = self.presented
        if transport == COOKIE and carries_session_cookie(django_request(request)):
            enforce_csrf(django_request(request))
        try:
            if value is None:
                raise InvalidToken
            client = read_client(django_request(request))
            pair = refresh_session(value, client=client, transport=transport)
        except Unavailable:
            raise
        except SessionError as refusal:
            answer = refuse(refusal)
            forgets = transport == COOKIE and may_forget(refusal)
            return _forget(request, answer) if forgets else answer
        return answer_with(pair)


class LogoutView(_PresentedEndpoint):
    """End the session that any token of the request proves."""

    @sensitive_variables()
    def post(self, request: Request) -> Response:
        """Log out; once more is no error, and nobody learns what a token was worth."""
        visit = read_visit(django_request(request))
        value, transport = self.presented
        by_cookie = transport == COOKIE and visit.transport != HEADER
        if visit.transport == COOKIE or (
            by_cookie and carries_session_cookie(django_request(request))
        ):
            enforce_csrf(django_request(request))
        if visit.claims is not None:
            revoke_session(visit.claims.family_id, reason=RevokedReason.LOGOUT)
        if value is not None:
            _end_session_of(value)
        return _forget(request, Response(status=204))


def _end_session_of(value: str) -> None:
    try:
        end_proven_session(value, reason=RevokedReason.LOGOUT)
    except InvalidToken:
        # It proves nothing, so there is nothing to end.
        return


def answer_with(pair: TokenPair) -> JsonResponse:
    """Return the answer that hands out these tokens."""
    # What DRF would render it to, without its detours.
    response = JsonResponse(pair.body())
    write_tokens(response, pair)
    return response


def _forget(request: Request, response: _AnyResponse) -> _AnyResponse:
    """Clear the cookies that came: a form on another site sends, and clears, none."""
    if carries_session_cookie(django_request(request)):
        clear_cookies(response)
    return response
