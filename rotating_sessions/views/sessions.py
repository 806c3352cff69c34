"""A user's own sessions: see them, end one, end all."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeVar, cast
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import check_password
from django.http import HttpResponseBase
from django.views.decorators.debug import sensitive_variables
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from rotating_sessions.authentication import (
    RotatingSessionAuthentication,
    django_request,
    read_visit,
)
from rotating_sessions.exceptions import PasswordRefused
from rotating_sessions.models import RevokedReason
from rotating_sessions.serializers import (
    LogoutEverywhereSerializer,
    SessionSerializer,
)
from rotating_sessions.services import (
    revoke_all_sessions,
    revoke_session,
    select_sessions,
)
from rotating_sessions.throttles import LoginThrottle, throttled_user
from rotating_sessions.tokens.access import AccessClaims
from rotating_sessions.transports import COOKIE, clear_cookies
from rotating_sessions.views.endpoint import Endpoint

__all__ = [
    "LogoutEverywhereView",
    "OwnSessions",
    "SessionListView",
    "SessionView",
    "forget",
]

_AnyResponse = TypeVar("_AnyResponse", bound=HttpResponseBase)


class OwnSessions(Endpoint):
    """An endpoint for whoever holds a session, about the sessions of the same user."""

    authentication_classes = (RotatingSessionAuthentication,)
    permission_classes = (IsAuthenticated,)


class _NewestFirst(CursorPagination):
    """Pages that stay put while sessions come and go."""

    ordering = ("-created_at", "-id")
    page_size = 50

    def decode_cursor(self, request: Request) -> Cursor | None:
        """
        Return the cursor, whose position is a moment if it is one of ours.

        Raises:
            NotFound: It was made up: what is in it is not left to the database.
        """
        cursor: Cursor | None = super().decode_cursor(request)
        if cursor is not None and cursor.position is not None:
            try:
                moment = datetime.fromisoformat(str(cursor.position))
                moment.astimezone(UTC)
            except (ValueError, OverflowError) as error:
                raise NotFound from error
            if moment.tzinfo is None:
                raise NotFound
        return cursor


class SessionListView(OwnSessions):
    """The live sessions of the user."""

    def get(self, request: Request) -> Response:
        """Answer with a page of sessions, the newest first."""
        paginator = _NewestFirst()
        rows = select_sessions(user_pk=_claims(request).user_pk)
        page = paginator.paginate_queryset(rows, request, view=self)
        context = {"current": _claims(request).family_id}
        shown = SessionSerializer(page, many=True, context=context)
        return paginator.get_paginated_response(shown.data)


class SessionView(OwnSessions):
    """One of the user's sessions."""

    def delete(self, request: Request, family_id: str) -> Response:
        """End it; a session that is not the user's own, or over, is not found."""
        try:
            key = UUID(family_id)
        except ValueError as error:
            raise NotFound from error
        ended = revoke_session(
            key,
            reason=RevokedReason.ENDED_BY_USER,
            user_pk=_claims(request).user_pk,
        )
        if not ended:
            raise NotFound
        response = Response(status=204)
        own = key == _claims(request).family_id
        return forget(request, response) if own else response


class LogoutEverywhereView(OwnSessions):
    """All of the user's sessions."""

    throttle_classes = (LoginThrottle,)

    def throttle_ident(self, request: Request) -> str | None:
        """Count guesses of the password together with those at the login."""
        if "password" not in request.data:
            return None
        return throttled_user(django_request(request), request.user)

    @sensitive_variables()
    def post(self, request: Request) -> Response:
        """End them all, or all but the one that asks, and answer how many."""
        wish = self.parse(LogoutEverywhereSerializer, request)
        password = wish.get("password")
        # Not `user.check_password`: that may store a stronger hash, and a new hash is a
        # new password to every session of the user.
        stored = cast(AbstractBaseUser, request.user).password
        if password is not None and not check_password(password, stored):
            raise PasswordRefused
        kept = _claims(request).family_id if wish["keep_current"] else None
        revoked = revoke_all_sessions(
            _claims(request).user_pk, reason=RevokedReason.LOGOUT_EVERYWHERE, keep=kept
        )
        response = Response({"revoked": revoked})
        return response if kept else forget(request, response)


def _claims(request: Request) -> AccessClaims:
    return cast(AccessClaims, request.auth)


def forget(request: Request, response: _AnyResponse) -> _AnyResponse:
    """Clear the cookies, where it was by cookie that the session just ended came."""
    if read_visit(django_request(request)).transport == COOKIE:
        clear_cookies(response)
    return response
