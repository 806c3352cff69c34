"""The middleware before ours: the contract's tokens in, and its words out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from rotating_sessions.authentication import Visit
from rotating_sessions.exceptions import SessionEnded
from rotating_sessions.fdi.answers import (
    InvalidClaims,
    find_claim,
    refuse_claims,
    word_claim,
    word_refusal,
)
from rotating_sessions.fdi.carried import carries_access_token, hide_cookies
from rotating_sessions.fdi.incoming import read_access
from rotating_sessions.fdi.outgoing import clear_session, writes_session

__all__ = ["FdiMiddleware"]

_Response = HttpResponseBase
_GetResponse = Callable[[HttpRequest], "_Response | Awaitable[_Response]"]


class FdiMiddleware:
    """
    Let `RotatingSessionMiddleware` read the tokens of SuperTokens front ends.

    It stands before that one in MIDDLEWARE. Requests that carry none of their tokens
    pass untouched, and what the package answers then has their words beside its own.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: _GetResponse) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> _Response | Awaitable[_Response]:
        """Pass the request on, and word the answer."""
        if self._is_async:
            return self._acall(request)
        _enter(request)
        return _leave(request, cast(_Response, self.get_response(request)))

    async def _acall(self, request: HttpRequest) -> _Response:
        _enter(request)
        response = await cast(Awaitable[_Response], self.get_response(request))
        return _leave(request, response)

    def process_exception(
        self, request: HttpRequest, exception: Exception
    ) -> _Response | None:
        """Answer claims that do not hold, where a view of Django's raised them."""
        if isinstance(exception, InvalidClaims):
            return refuse_claims(exception)
        return None


def _enter(request: HttpRequest) -> None:
    # Before anything that could fail and be reported.
    hide_cookies(request)
    if carries_access_token(request):
        request.session_reader = read_access  # type: ignore[attr-defined]


def _leave(request: HttpRequest, response: _Response) -> _Response:
    error = getattr(response, "session_refusal", None)
    if error is not None:
        word_refusal(request, response, error)
    claim = find_claim(response)
    if claim is not None:
        word_claim(cast(HttpResponse, response), claim)
    if _has_ended(request, response):
        clear_session(request, response)
    return response


def _has_ended(request: HttpRequest, response: _Response) -> bool:
    """Tell whether a view found the session ended, and the client has to hear of it."""
    visit = getattr(request, "session_visit", None)
    return (
        isinstance(visit, Visit)
        and isinstance(visit.refusal, SessionEnded)
        and hasattr(request, "session_reader")
        # No final answer, or one that brings a new session.
        and response.status_code < 500
        and response.status_code != 429
        and not writes_session(response)
    )
