"""
Verify the access token of every request, and send clients to refresh when it is time.

A warm request costs no query: what needs the database is the poll for revocations, once
per process and POLL_INTERVAL, and the first sight of each session's generation.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import cast
from uuid import UUID

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import NoReverseMatch, Resolver404, resolve, reverse
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.functional import SimpleLazyObject
from django.utils.http import urlencode

from rotating_sessions import revocations
from rotating_sessions.authentication import Visit, identify
from rotating_sessions.conf import get_conf
from rotating_sessions.exceptions import (
    RefreshRequired,
    SessionEnded,
    SessionError,
    Unavailable,
)
from rotating_sessions.services import confirm, find_user
from rotating_sessions.tokens.access import AccessClaims
from rotating_sessions.transports import (
    COOKIE,
    access_cookie_name,
    clear_cookies,
    forbid_caching,
    refuse,
)

__all__ = ["RotatingSessionMiddleware"]

# Sessions whose confirmation this process remembers. Beyond it the oldest is forgotten,
# which costs its next request one statement.
_REMEMBERED = 50_000

_Response = HttpResponseBase
_GetResponse = Callable[[HttpRequest], "_Response | Awaitable[_Response]"]


class RotatingSessionMiddleware:
    """
    Set `request.session_family` and a lazy `request.user`, or answer why not.

    `session_family` holds the claims of a good access token (`AccessClaims`: family id,
    generation, expiry, login time), else None. `request.user` is read when it is
    touched, with its session, in one query. Requests without a token pass untouched.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: _GetResponse) -> None:
        self.get_response = get_response
        self._confirmed: OrderedDict[tuple[UUID, int], None] = OrderedDict()
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> _Response | Awaitable[_Response]:
        """Answer the request, or let it pass with what its token proves."""
        if self._is_async:
            return self._acall(request)
        visit = self._identify(request)
        if self._needs_database(visit):
            visit = self._consult(visit)
        response = _enter(request, visit) or cast(_Response, self.get_response(request))
        return _leave(request, visit, response)

    async def _acall(self, request: HttpRequest) -> _Response:
        visit = self._identify(request)
        if self._needs_database(visit):
            visit = await sync_to_async(self._consult)(visit)
        response = _enter(request, visit)
        if response is None:
            response = await cast(Awaitable[_Response], self.get_response(request))
        return _leave(request, visit, response)

    def process_exception(
        self, request: HttpRequest, exception: Exception
    ) -> _Response | None:
        """Answer 503, where `request.user` could not be read for the database."""
        return refuse(exception) if isinstance(exception, Unavailable) else None

    def _identify(self, request: HttpRequest) -> Visit:
        if _is_exempt(request):
            return Visit()
        visit = identify(request, timezone.now())
        if visit.claims is not None and revocations.is_revoked(visit.claims.family_id):
            return replace(visit, refusal=SessionEnded())
        return visit

    def _needs_database(self, visit: Visit) -> bool:
        family = visit.family
        if family is None:
            return False
        seen = (family.family_id, family.generation) in self._confirmed
        return not seen or revocations.is_due(timezone.now())

    def _consult(self, visit: Visit) -> Visit:
        """Return the visit as the database sees it: polled for, and confirmed."""
        family = cast(AccessClaims, visit.family)
        try:
            revocations.poll(timezone.now())
            if revocations.is_revoked(family.family_id):
                raise SessionEnded
            self._confirm_once(family)
        except SessionError as refusal:
            return replace(visit, refusal=refusal)
        return visit

    def _confirm_once(self, family: AccessClaims) -> None:
        key = (family.family_id, family.generation)
        if key in self._confirmed:
            return
        try:
            confirm(family)
        except Unavailable:
            # Verification needs no database: the next request tries again.
            return
        self._confirmed[key] = None
        if len(self._confirmed) > _REMEMBERED:
            self._confirmed.popitem(last=False)


def _enter(request: HttpRequest, visit: Visit) -> _Response | None:
    """Tell the request who asks; return the answer if it may not go on."""
    request.session_visit = visit  # type: ignore[attr-defined]
    request.session_family = visit.family  # type: ignore[attr-defined]
    if visit.family is not None:
        _attach_user(request, visit.family)
    elif not hasattr(request, "user"):
        request.user = AnonymousUser()
    if visit.refusal is None or _goes_on(request, visit):
        return None
    if isinstance(visit.refusal, RefreshRequired) and _is_navigation(request, visit):
        page = _refresh_page(request)
        if page is not None:
            return page
    return refuse(visit.refusal)


def _leave(request: HttpRequest, visit: Visit, response: _Response) -> _Response:
    """Clear the cookies of an ended session, and keep caches from mixing people up."""
    ended = isinstance(visit.refusal, SessionEnded) and visit.transport == COOKIE
    if ended and access_cookie_name() not in response.cookies:
        clear_cookies(response)
    if not _is_exempt(request):
        patch_vary_headers(response, ("Authorization", "Cookie"))
    return response


def _attach_user(request: HttpRequest, family: AccessClaims) -> None:
    def read() -> AbstractBaseUser | AnonymousUser:
        return find_user(family) or AnonymousUser()

    user = SimpleLazyObject(read)

    async def auser() -> SimpleLazyObject[AbstractBaseUser | AnonymousUser]:
        # Evaluated where queries are allowed; the object then holds the user.
        await sync_to_async(bool)(user)
        return user

    request.user = user  # type: ignore[assignment]
    request.auser = auser  # type: ignore[assignment]


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


def _is_exempt(request: HttpRequest) -> bool:
    return request.path_info.startswith(get_conf().exempt_paths)


def _is_navigation(request: HttpRequest, visit: Visit) -> bool:
    """Tell whether a browser asks for a page, rather than a script for data."""
    return (
        request.method == "GET"
        and visit.transport == COOKIE
        and "text/html" in request.headers.get("Accept", "")
    )


def _refresh_page(request: HttpRequest) -> _Response | None:
    try:
        page = reverse("rotating_sessions:refresh-page")
    except NoReverseMatch:
        return None
    query = urlencode({"next": request.get_full_path()})
    response = HttpResponseRedirect(f"{page}?{query}")
    forbid_caching(response)
    return response
