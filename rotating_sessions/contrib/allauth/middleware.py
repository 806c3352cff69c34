"""The browser client, and allauth's own pages: a login becomes a session of ours."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest, HttpResponseBase

from rotating_sessions.contrib.allauth.state import log_out_of_django
from rotating_sessions.exceptions import Unavailable
from rotating_sessions.middleware.passage import is_exempt
from rotating_sessions.services import start_session
from rotating_sessions.transports import COOKIE, refuse, write_tokens

__all__ = ["LoginMiddleware"]

# Whose state Django's session keeps, once it logs nobody in.
_OWNER = "rotating_sessions_owner"


class LoginMiddleware:
    """
    Start a session, in cookie transport, wherever a view logs in by Django's.

    Django's session goes on as one that logs nobody in: it ends with the browser's
    use for it, and nothing has to be told when ours ends.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request; where that was a login, with the cookies of a session."""
        response = self.get_response(request)
        if is_exempt(request) or not _has_logged_in(request):
            return response
        return _start(request, response)


def _has_logged_in(request: HttpRequest) -> bool:
    """Tell whether Django's login was called: it gives its session another key."""
    session = request.session
    if not session.modified or SESSION_KEY not in session:
        return False
    return session.session_key != request.COOKIES.get(settings.SESSION_COOKIE_NAME)


def _start(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    session, owner = request.session, request.session[SESSION_KEY]
    if session.get(_OWNER, owner) != owner:
        # Django does the same where it finds the last user logged in.
        session.flush()
    log_out_of_django(session)
    session[_OWNER] = owner
    try:
        pair = start_session(request, request.user, transport=COOKIE)  # type: ignore[arg-type]
    except Unavailable as error:
        return refuse(error)
    write_tokens(response, pair)
    return response
