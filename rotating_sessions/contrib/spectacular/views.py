"""The endpoints: what each takes, and every status and body that it answers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

from drf_spectacular.extensions import OpenApiViewExtension
from drf_spectacular.utils import OpenApiParameter, extend_schema_view
from rest_framework.views import APIView

from rotating_sessions.contrib.spectacular import failures, schemes, shapes
from rotating_sessions.contrib.spectacular.answers import Description, describe, done
from rotating_sessions.views.reauthentication import ReauthenticateView
from rotating_sessions.views.sessions import (
    LogoutEverywhereView,
    SessionListView,
    SessionView,
)
from rotating_sessions.views.tokens import LoginView, LogoutView, RefreshView

_CURSOR = OpenApiParameter("cursor", description="As `next` and `previous` hold it.")
_ID = OpenApiParameter(
    "family_id",
    location=OpenApiParameter.PATH,
    description="The `id` of a listed session.",
)
# What every method that changes something may be refused with.
_UNSAFE = (*failures.UNREADABLE, failures.TOO_EARLY, failures.UNAVAILABLE)
_WITH_PASSWORD = (
    *_UNSAFE,
    failures.UNAUTHORIZED,
    failures.PASSWORD_REFUSED,
    failures.THROTTLED,
)


class _Endpoint(OpenApiViewExtension):
    """An endpoint of this package, as the URLconf has it."""

    def view_replacement(self) -> type[APIView]:
        """Return the view with each of its methods described."""
        view: type[APIView] = type(self.target.__name__, (self.target,), {})
        described: type[APIView] = extend_schema_view(**self.describe())(view)
        return described

    @abstractmethod
    def describe(self) -> Mapping[str, Description]:
        """Return a description of each method that the endpoint takes."""


class _Login(_Endpoint):
    target_class = LoginView

    def describe(self) -> Mapping[str, Description]:
        """Return those of GET and POST."""
        return {
            "get": describe(
                "prepareLogin",
                "Get the CSRF cookie that a login in cookie transport needs.",
                done("The cookie is set."),
                failures.UNREADABLE,
                auth=[{}],
            ),
            "post": describe(
                "login",
                "Start a session.",
                done("The session's tokens.", shapes.RotatingSessionTokens),
                (
                    *_UNSAFE,
                    failures.CREDENTIALS_REFUSED,
                    failures.CSRF_FAILED,
                    failures.THROTTLED,
                ),
                request=shapes.describe_login(),
                auth=[{}],
            ),
        }


class _Refresh(_Endpoint):
    target_class = RefreshView

    def describe(self) -> Mapping[str, Description]:
        """Return that of POST."""
        return {
            "post": describe(
                "refresh",
                "Exchange a refresh token, of the body or else of the cookie.",
                done("New tokens.", shapes.RotatingSessionTokens),
                (
                    *_UNSAFE,
                    failures.REFRESH_REFUSED,
                    failures.CSRF_FAILED,
                    failures.THROTTLED,
                ),
                request=shapes.RotatingSessionRefresh,
                auth=schemes.by_refresh_token(),
            )
        }


class _Logout(_Endpoint):
    target_class = LogoutView

    def describe(self) -> Mapping[str, Description]:
        """Return that of POST."""
        return {
            "post": describe(
                "logout",
                "End the session that any token of the request proves.",
                done("Done."),
                (*_UNSAFE, failures.CSRF_FAILED),
                request=shapes.RotatingSessionRefresh,
                auth=schemes.by_any_token(),
            )
        }


class _LogoutEverywhere(_Endpoint):
    target_class = LogoutEverywhereView

    def describe(self) -> Mapping[str, Description]:
        """Return that of POST."""
        return {
            "post": describe(
                "logoutEverywhere",
                "End all sessions of the user.",
                done("How many were ended.", shapes.RotatingSessionsRevoked),
                _WITH_PASSWORD,
                request=shapes.RotatingSessionLogoutEverywhere,
            )
        }


class _Reauthenticate(_Endpoint):
    target_class = ReauthenticateView

    def describe(self) -> Mapping[str, Description]:
        """Return that of POST."""
        return {
            "post": describe(
                "reauthenticate",
                "Confirm the password: the session's login is as of now.",
                done("A new access token.", shapes.RotatingSessionAccess),
                _WITH_PASSWORD,
                request=shapes.RotatingSessionReauthenticate,
            )
        }


class _Sessions(_Endpoint):
    target_class = SessionListView

    def describe(self) -> Mapping[str, Description]:
        """Return that of GET."""
        return {
            "get": describe(
                "listSessions",
                "List the live sessions of the user, the newest first.",
                done("A page of sessions.", shapes.RotatingSessionPage),
                (
                    *failures.UNREADABLE,
                    failures.UNAUTHORIZED,
                    failures.NOT_FOUND,
                    failures.UNAVAILABLE,
                ),
                parameters=(_CURSOR,),
            )
        }


class _Session(_Endpoint):
    target_class = SessionView

    def describe(self) -> Mapping[str, Description]:
        """Return that of DELETE."""
        return {
            "delete": describe(
                "endSession",
                "End one session of the user.",
                done("Done."),
                (
                    *_UNSAFE,
                    failures.UNAUTHORIZED,
                    failures.CSRF_FAILED,
                    failures.NOT_FOUND,
                ),
                parameters=(_ID,),
            )
        }
