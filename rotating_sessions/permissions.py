"""
Sensitive actions: only for a session that is alive now, and a recent login.

Both are read from the session's row, with the user: one query a request, whether
`request.user` is read before, after or not at all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from functools import wraps
from typing import Any, TypeVar, cast, overload

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from rest_framework import exceptions as drf
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from rotating_sessions.authentication import django_request, read_visit
from rotating_sessions.conf import get_conf
from rotating_sessions.exceptions import (
    NotAuthenticated,
    ReauthenticationRequired,
    SessionEnded,
    SessionError,
    Unavailable,
)
from rotating_sessions.navigation import asks_for_page, redirect_through
from rotating_sessions.rotation import CLOCK_SKEW
from rotating_sessions.services import read_session
from rotating_sessions.transports import HEADER, explain, forbid_caching, refuse

__all__ = ["RecentLogin", "check_recent_login", "recent_login_required"]

_View = TypeVar("_View", bound=Callable[..., Any])


def check_recent_login(request: HttpRequest, max_age: timedelta | None = None) -> None:
    """
    Make sure that the session is alive now, and its login not too long ago.

    Args:
        request: As the middleware passed it on.
        max_age: How long ago the login may be; RECENT_LOGIN where it is not given.

    Raises:
        NotAuthenticated: The request carries no session of ours. One of Django's own
            does not count: nobody knows when its login was.
        SessionEnded: The session is over, by its row.
        ReauthenticationRequired: The login is too long ago.
        Unavailable: The database failed, which says nothing about the session.
    """
    visit = read_visit(request)
    if visit.family is None:
        raise visit.refusal or NotAuthenticated()
    session = read_session(request)
    if session is None:
        ended = SessionEnded()
        # For the middleware, which forgets the cookies on the way out.
        request.session_visit = replace(visit, refusal=ended)  # type: ignore[attr-defined]
        raise ended
    age = timezone.now() - session.auth_time
    limit = get_conf().recent_login if max_age is None else max_age
    # The host that saw the login may be ahead of this one by the clocks' skew.
    if not -CLOCK_SKEW <= age < limit:
        raise ReauthenticationRequired


@overload
def recent_login_required(view: _View, /) -> _View: ...
@overload
def recent_login_required(
    *, max_age: timedelta | None = None
) -> Callable[[_View], _View]: ...
def recent_login_required(
    view: _View | None = None, /, *, max_age: timedelta | None = None
) -> Any:
    """
    Refuse a view to all but a live session with a recent login.

    For plain Django views, sync or async, bare or with a `max_age`, and by
    `method_decorator` for class-based ones. A browser that asks for a page is sent to
    confirm its password, or to log in; everybody else is told by a status and a code.
    """
    if view is None:
        return lambda view: _guard(view, max_age)
    return _guard(view, max_age)


class RecentLogin(BasePermission):
    """
    DRF: permit a live session with a recent login only.

    Behind `RotatingSessionAuthentication`; a subclass sets its own `max_age`.
    """

    max_age: timedelta | None = None

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Return True, or raise what DRF answers with 401 or 403."""
        try:
            visit = read_visit(django_request(request))
            # Else somebody authenticated by other means acts under this login.
            if visit.family and visit.family.user_pk != str(request.user.pk):
                raise NotAuthenticated
            check_recent_login(django_request(request), self.max_age)
        except Unavailable:
            raise
        except SessionError as error:
            refused = (
                drf.PermissionDenied if error.status == 403 else drf.NotAuthenticated
            )
            raise refused(explain(error), error.code) from error
        return True


def _guard(view: _View, max_age: timedelta | None) -> _View:
    async def apass(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        refused = await sync_to_async(_refuse)(request, max_age)
        if refused is not None:
            return refused
        response = view(request, *args, **kwargs)
        return await response if isinstance(response, Awaitable) else response

    def pass_on(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return _refuse(request, max_age) or view(request, *args, **kwargs)

    guarded = apass if _is_async(view) else pass_on
    return cast(_View, wraps(view)(guarded))


def _is_async(view: Callable[..., Any]) -> bool:
    """Tell whether what the view returns is to be awaited."""
    if iscoroutinefunction(view):
        return True
    # `dispatch`, as method_decorator binds it, is no coroutine function in any class.
    bound = getattr(view, "func", None)
    return getattr(getattr(bound, "__self__", None), "view_is_async", False)


def _refuse(request: HttpRequest, max_age: timedelta | None) -> HttpResponseBase | None:
    """Return the answer to a request that may not pass, or None for one that may."""
    try:
        check_recent_login(request, max_age)
    except SessionError as error:
        return _redirect(request, error) or refuse(error)
    return None


def _redirect(request: HttpRequest, error: SessionError) -> HttpResponseBase | None:
    """Return where a browser that asks for a page is sent to instead."""
    visit = read_visit(request)
    if not asks_for_page(request) or visit.transport == HEADER:
        return None
    if isinstance(error, ReauthenticationRequired):
        return redirect_through(request, "rotating_sessions_pages:reauthenticate")
    # Somebody logged in by Django's own session may be sent back from there.
    wants_login = isinstance(error, NotAuthenticated | SessionEnded)
    if wants_login and not request.user.is_authenticated:
        response = redirect_to_login(request.get_full_path())
        forbid_caching(response)
        return response
    return None
