"""
Verify the access token of every request, and send clients to refresh when it is time.

A warm request costs no query: what needs the database is the poll for revocations, once
per process and POLL_INTERVAL, and the first sight of each session's generation.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from rotating_sessions import revocations
from rotating_sessions.authentication import NOBODY, Memory, Visit, end_visit, identify
from rotating_sessions.clients import read_client
from rotating_sessions.exceptions import SessionEnded, SessionError, Unavailable
from rotating_sessions.middleware.passage import enter, is_exempt, leave
from rotating_sessions.middleware.uncaught import answer_uncaught
from rotating_sessions.password_changes import (
    keep_session_of_request,
    may_have_changed_password,
)
from rotating_sessions.services import check_not_revoked, confirm
from rotating_sessions.tokens.access import AccessClaims
from rotating_sessions.transports import hide_cookies

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
        self._confirmed: OrderedDict[tuple[int, int], None] = OrderedDict()
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> _Response | Awaitable[_Response]:
        """Answer the request, or let it pass with what its token proves."""
        if self._is_async:
            return self._acall(request)
        now = timezone.now()
        # Before anything that could fail and be reported.
        hide_cookies(request)
        exempt = is_exempt(request)
        visit = NOBODY if exempt else identify(request, now)
        if visit.claims is not None and not _is_settled(visit, now):
            visit = self._recall(visit, now) or self._consult(request, visit)
        response = enter(request, visit) or cast(_Response, self.get_response(request))
        if may_have_changed_password(request):
            keep_session_of_request(request)
        return leave(request, response, exempt=exempt)

    async def _acall(self, request: HttpRequest) -> _Response:
        now = timezone.now()
        # Before anything that could fail and be reported.
        hide_cookies(request)
        exempt = is_exempt(request)
        visit = NOBODY if exempt else identify(request, now)
        if visit.claims is not None and not _is_settled(visit, now):
            consult = sync_to_async(self._consult)
            visit = self._recall(visit, now) or await consult(request, visit)
        response = enter(request, visit)
        if response is None:
            response = await cast(Awaitable[_Response], self.get_response(request))
        if may_have_changed_password(request):
            await sync_to_async(keep_session_of_request)(request)
        return leave(request, response, exempt=exempt)

    def process_exception(
        self, request: HttpRequest, exception: Exception
    ) -> _Response | None:
        """Answer an error of ours that a view let through, as one of ours."""
        if isinstance(exception, SessionError):
            return answer_uncaught(request, exception)
        return None

    def _recall(self, visit: Visit, now: datetime) -> Visit | None:
        """Return the visit as this process knows it, or None: the database has to."""
        claims = cast(AccessClaims, visit.claims)
        # First, so that what is revoked meanwhile ends it.
        lull = revocations.current_lull()
        if revocations.is_revoked(claims.family_id):
            return end_visit(visit, SessionEnded())
        if visit.refusal is not None:
            return visit
        if (claims.family_id.int, claims.generation) not in self._confirmed:
            return None
        if not revocations.suffice(claims.family_id, claims.issued_at, now):
            return None
        cast(Memory, visit.memory).lull = lull
        return visit

    def _consult(self, request: HttpRequest, visit: Visit) -> Visit:
        """Return the visit as the database sees it: polled for, and confirmed."""
        family = cast(AccessClaims, visit.family)
        try:
            revocations.poll(timezone.now())
            if revocations.is_revoked(family.family_id):
                raise SessionEnded
            self._confirm_once(family, request)
            # Where it was confirmed just now, that has told.
            if revocations.is_in_doubt(family.family_id, family.issued_at):
                check_not_revoked(family)
        except SessionError as refusal:
            return end_visit(visit, refusal)
        return visit

    def _confirm_once(self, family: AccessClaims, request: HttpRequest) -> None:
        # The number, because a UUID computes its hash in Python.
        key = family.family_id.int, family.generation
        if key in self._confirmed:
            return
        try:
            confirm(family, client=read_client(request))
        except Unavailable:
            # Verification needs no database: the next request tries again.
            return
        self._confirmed[key] = None
        if len(self._confirmed) > _REMEMBERED:
            self._confirmed.popitem(last=False)


def _is_settled(visit: Visit, now: datetime) -> bool:
    """Tell whether nothing can have changed since the token was last good."""
    return visit.memory is not None and revocations.lasts(visit.memory.lull, now)
