"""
Put a check before views: plain ones by a decorator, those of DRF by a permission.

A check takes the request, and raises what the client is answered.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from rest_framework import exceptions as drf
from rest_framework.request import Request

from rotating_sessions.authentication import django_request, read_visit
from rotating_sessions.exceptions import (
    InvalidClaim,
    NotAuthenticated,
    ReauthenticationRequired,
    RefreshRequired,
    SessionEnded,
    SessionError,
    Unavailable,
)
from rotating_sessions.navigation import asks_for_page, redirect_through
from rotating_sessions.transports import HEADER, explain, forbid_caching, refuse

__all__ = ["Check", "answer_refused", "guard", "permit"]

_View = TypeVar("_View", bound=Callable[..., Any])

Check = Callable[[HttpRequest], None]


def guard(view: _View, *, check: Check) -> _View:
    """Return the view, sync or async, for requests that pass the check."""

    async def apass(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        refused = await sync_to_async(_refuse)(request, check)
        if refused is not None:
            return refused
        response = view(request, *args, **kwargs)
        return await response if isinstance(response, Awaitable) else response

    def pass_on(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return _refuse(request, check) or view(request, *args, **kwargs)

    guarded = apass if _is_async(view) else pass_on
    return cast(_View, wraps(view)(guarded))


def permit(request: Request, check: Check) -> None:
    """
    Make sure that a request of DRF passes the check, as the user it has there.

    Raises:
        PermissionDenied, NotAuthenticated: DRF's own, with what a client is told.
        Unavailable: The database failed.
    """
    try:
        visit = read_visit(django_request(request))
        # Else somebody authenticated by other means acts under this login.
        if visit.family and visit.family.user_pk != str(request.user.pk):
            raise NotAuthenticated
        check(django_request(request))
    except Unavailable:
        raise
    except SessionError as error:
        refused = drf.PermissionDenied if error.status == 403 else drf.NotAuthenticated
        raise refused(explain(error), error.code) from error


def answer_refused(request: HttpRequest, error: SessionError) -> HttpResponseBase:
    """
    Return the answer to a request that may not pass.

    That is where to go next, for a browser that asks for a page by its cookie.

    Raises:
        PermissionDenied: Nowhere: people are shown the site's own page for a 403.
    """
    return _redirect(request, error) or refuse(error)


def _is_async(view: Callable[..., Any]) -> bool:
    """Tell whether what the view returns is to be awaited."""
    if iscoroutinefunction(view):
        return True
    # `dispatch`, as method_decorator binds it, is no coroutine function in any class.
    bound = getattr(view, "func", None)
    return getattr(getattr(bound, "__self__", None), "view_is_async", False)


def _refuse(request: HttpRequest, check: Check) -> HttpResponseBase | None:
    """Return the answer to a request that may not pass, or None for one that may."""
    try:
        check(request)
    except SessionError as error:
        return answer_refused(request, error)
    return None


def _redirect(request: HttpRequest, error: SessionError) -> HttpResponseBase | None:
    """Return where a browser that asks for a page is sent to, if anywhere."""
    visit = read_visit(request)
    if not asks_for_page(request) or visit.transport == HEADER:
        return None
    if isinstance(error, InvalidClaim):
        raise PermissionDenied from error
    if isinstance(error, RefreshRequired):
        return redirect_through(request, "rotating_sessions:refresh-page")
    if isinstance(error, ReauthenticationRequired):
        return redirect_through(request, "rotating_sessions_pages:reauthenticate")
    # Somebody logged in by Django's own session may be sent back from there.
    wants_login = isinstance(error, NotAuthenticated | SessionEnded)
    if wants_login and not request.user.is_authenticated:
        response = redirect_to_login(request.get_full_path())
        forbid_caching(response)
        return response
    return None
