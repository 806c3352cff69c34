"""
Django REST framework is told what the middleware found.

It reads no token by itself, because a confirmation written by an authenticator would be
rolled back with the view.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from django.contrib.auth.base_user import AbstractBaseUser
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from rotating_sessions.authentication.forgery import enforce_csrf
from rotating_sessions.authentication.visits import django_request, read_visit
from rotating_sessions.exceptions import CrossSiteRequest, SessionEnded
from rotating_sessions.tokens.access import AccessClaims
from rotating_sessions.transports import COOKIE, explain

__all__ = ["RotatingSessionAuthentication"]


class RotatingSessionAuthentication(BaseAuthentication):
    """
    Authenticate by the access token that the middleware has verified.

    `request.user` is the user, read in one query, and `request.auth` the claims. In
    cookie transport unsafe methods need a CSRF token, as in `SessionAuthentication`.
    An anonymous session authenticates nobody.
    """

    def authenticate(
        self, request: Request
    ) -> tuple[AbstractBaseUser, AccessClaims] | None:
        """Return user and claims, or None where the request proves no login."""
        visit = read_visit(django_request(request))
        if visit.family is None:
            return None
        if visit.transport == COOKIE:
            _enforce_csrf_for_drf(request)
        if visit.family.is_anonymous:
            return None
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
