"""Tokens and refusals into responses."""

from __future__ import annotations

from datetime import timedelta

from django.http import HttpResponseBase, JsonResponse
from django.utils.translation import gettext

from rotating_sessions.conf import get_conf
from rotating_sessions.exceptions import SessionError
from rotating_sessions.transports.names import COOKIE, TokenPair, cookie_names

__all__ = [
    "clear_cookies",
    "explain",
    "forbid_caching",
    "refuse",
    "write_tokens",
]


def write_tokens(response: HttpResponseBase, pair: TokenPair) -> None:
    """
    Set the cookies of a pair in cookie transport; in header transport do nothing.

    The access cookie lives as long as the refresh cookie: if it went first, an expired
    access token would look like none, and nothing would tell the client to refresh.
    """
    forbid_caching(response)
    if pair.transport != COOKIE:
        return
    for name, token in zip(cookie_names(), (pair.access, pair.refresh), strict=True):
        if token is not None:
            _set_cookie(response, name, token, pair.refresh_lifetime)


def clear_cookies(response: HttpResponseBase) -> None:
    """Make the browser forget both session cookies."""
    forbid_caching(response)
    for name in cookie_names():
        _set_cookie(response, name, "", timedelta())


def forbid_caching(response: HttpResponseBase) -> None:
    """Keep the response out of every cache, whatever was said before."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["Pragma"] = "no-cache"


def explain(error: SessionError) -> dict[str, str]:
    """Return what a client is told of an error, in the language of the request."""
    return {"detail": gettext(error.detail), "code": error.code, **error.facts}


def refuse(error: SessionError) -> JsonResponse:
    """
    Return the answer to an error: `{"detail", "code"}`, its status and headers.

    Middleware finds the error on it, as `session_refusal`.
    """
    body = explain(error)
    response = JsonResponse(body, status=error.status, headers=dict(error.headers))
    response.session_refusal = error  # type: ignore[attr-defined]
    forbid_caching(response)
    return response


def _set_cookie(
    response: HttpResponseBase, name: str, value: str, lifetime: timedelta
) -> None:
    response.set_cookie(
        name,
        value,
        max_age=int(lifetime.total_seconds()),
        path="/",
        secure=not get_conf().insecure_cookies,
        httponly=True,
        samesite="Lax",
    )
