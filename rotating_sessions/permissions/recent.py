"""
Sensitive actions: only for a session that is alive now, and a recent login.

Both are read from the session's row, with the user: one query a request, whether
`request.user` is read before, after or not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar, overload

from django.http import HttpRequest
from django.utils import timezone
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from rotating_sessions.authentication import read_visit
from rotating_sessions.conf import get_conf
from rotating_sessions.exceptions import (
    NotAuthenticated,
    ReauthenticationRequired,
    SessionEnded,
)
from rotating_sessions.permissions.guarding import guard, permit
from rotating_sessions.rotation import CLOCK_SKEW
from rotating_sessions.services import read_session

__all__ = ["RecentLogin", "check_recent_login", "recent_login_required"]

_View = TypeVar("_View", bound=Callable[..., Any])


def check_recent_login(request: HttpRequest, max_age: timedelta | None = None) -> None:
    """
    Make sure that the session is alive now, and its login not too long ago.

    Args:
        request: As the middleware passed it on.
        max_age: How long ago the login may be; RECENT_LOGIN where it is not given.

    Raises:
        NotAuthenticated: The request carries no session of ours, or an anonymous one.
            One of Django's own does not count: nobody knows when its login was.
        SessionEnded: The session is over, by its row.
        ReauthenticationRequired: The login is too long ago.
        Unavailable: The database failed, which says nothing about the session.
    """
    visit = read_visit(request)
    if visit.family is None or visit.family.is_anonymous:
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
    check = partial(check_recent_login, max_age=max_age)
    return partial(guard, check=check) if view is None else guard(view, check=check)


class RecentLogin(BasePermission):
    """
    DRF: permit a live session with a recent login only.

    Behind `RotatingSessionAuthentication`; a subclass sets its own `max_age`.
    """

    max_age: timedelta | None = None

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Return True, or raise what DRF answers with 401 or 403."""
        permit(request, partial(check_recent_login, max_age=self.max_age))
        return True
