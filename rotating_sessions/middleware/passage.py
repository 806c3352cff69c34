"""How a request goes in and its response out, once it is known who asks."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import Resolver404, resolve
from django.utils.cache import patch_vary_headers
from django.utils.functional import SimpleLazyObject, empty

from rotating_sessions.authentication import Visit
from rotating_sessions.conf import get_conf
from rotating_sessions.exceptions import RefreshRequired, SessionEnded
from rotating_sessions.navigation import asks_for_page, redirect_through
from rotating_sessions.services import SessionReading, attach_reading
from rotating_sessions.transports import (
    COOKIE,
    access_cookie_name,
    clear_cookies,
    forbid_caching,
    refuse,
)

__all__ = ["enter", "is_exempt", "leave"]

# Name and value, as of one that is there.
_NO_HEADER = ("Vary", "")


def enter(request: HttpRequest, visit: Visit) -> HttpResponseBase | None:
    """Tell the request who asks; return the answer if it may not go on."""
    request.session_visit = visit  # type: ignore[attr-defined]
    family = visit.family
    request.session_family = family  # type: ignore[attr-defined]
    if family is not None or not hasattr(request, "user"):
        reading = attach_reading(request, family)
        request.user = _LazyUser(reading.read_user)  # type: ignore[assignment]
        request.auser = reading.aread_user  # type: ignore[assignment]
    if visit.refusal is None or _goes_on(request, visit):
        return None
    if isinstance(visit.refusal, RefreshRequired) and _is_navigation(request, visit):
        page = redirect_through(request, "rotating_sessions:refresh-page")
        if page is not None:
            return page
    return refuse(visit.refusal)


def leave(
    request: HttpRequest, response: HttpResponseBase, *, exempt: bool
) -> HttpResponseBase:
    """Clear the cookies of an ended session, and keep caches from mixing people up."""
    # Of the request, because the view may have found out that the session has ended.
    visit: Visit = request.session_visit  # type: ignore[attr-defined]
    reading: SessionReading | None = getattr(request, "session_reading", None)
    if response.status_code == 500 and reading is not None and reading.failure:
        # Another middleware read the user, and Django has no 503 for what it raised.
        response = refuse(reading.failure)
    if isinstance(visit.refusal, SessionEnded):
        forbid_caching(response)
        if visit.transport == COOKIE and _may_clear(response):
            clear_cookies(response)
    if not exempt:
        _vary(response)
    return response


def _vary(response: HttpResponseBase) -> None:
    """Name the headers that decide who asks."""
    # Most responses have none yet, and nothing tells so sooner than taking it away.
    _, said = response.headers.pop("Vary", _NO_HEADER)
    response.headers["Vary"] = _join_vary(said)


# A site says few things by it, and says them at each response.
@lru_cache(maxsize=64)
def _join_vary(said: str) -> str:
    response = HttpResponse(headers={"Vary": said} if said else {})
    patch_vary_headers(response, ("Authorization", "Cookie"))
    return response.headers["Vary"]


def _may_clear(response: HttpResponseBase) -> bool:
    """Tell whether the response is final, and brings no new session."""
    failed = response.status_code >= 500 or response.status_code == 429
    return not failed and access_cookie_name() not in response.cookies


_set = object.__setattr__


class _LazyUser(SimpleLazyObject):  # type: ignore[type-arg]
    """A user that is read when it is looked at."""

    def __init__(self, read: Callable[[], AbstractBaseUser | AnonymousUser]) -> None:
        # What the base class does, without its detours through Python: nothing else
        # takes a warm request as long.
        _set(self, "_setupfunc", read)
        _set(self, "_wrapped", empty)


def _goes_on(request: HttpRequest, visit: Visit) -> bool:
    """Tell whether a refused request goes on all the same, as anonymous."""
    if request.method == "OPTIONS":
        return True
    if isinstance(visit.refusal, SessionEnded) and _is_navigation(request, visit):
        return True
    try:
        match = resolve(request.path_info, getattr(request, "urlconf", None))
    except Resolver404:
        return False
    return getattr(match.func, "session_exempt", False)


def is_exempt(request: HttpRequest) -> bool:
    """Tell whether the path is one that the middleware leaves alone altogether."""
    return request.path_info.startswith(get_conf().exempt_paths)


def _is_navigation(request: HttpRequest, visit: Visit) -> bool:
    """Tell whether a browser asks for a page by its cookie."""
    return visit.transport == COOKIE and asks_for_page(request)
