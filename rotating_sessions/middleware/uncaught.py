"""What a view raises of ours and does not catch: answered, where that is an answer."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponseBase

from rotating_sessions.authentication import end_visit, read_visit
from rotating_sessions.exceptions import (
    AccessTokenExpired,
    InvalidToken,
    NetworkChanged,
    NotAuthenticated,
    SessionEnded,
    SessionError,
    Unavailable,
)
from rotating_sessions.permissions.guarding import answer_refused
from rotating_sessions.services import attach_reading
from rotating_sessions.transports import refuse

__all__ = ["answer_uncaught"]

# Neither comes of a request: the middleware answers for the token that it carries.
_OF_OTHER_TOKENS = AccessTokenExpired, NetworkChanged


def answer_uncaught(
    request: HttpRequest, error: SessionError
) -> HttpResponseBase | None:
    """
    Return the answer to an error that a view let through; None where it is no answer.

    Whoever reads that a token is not valid, or that a session has ended, gives up their
    own. So neither is said to a client whose access token is good and whose session is
    alive: the view meant another token or session, and its error is one like any other.
    """
    visit = read_visit(request)
    if isinstance(error, _OF_OTHER_TOKENS):
        return None
    if visit.family is None:
        if isinstance(error, NotAuthenticated):
            # What the token lacked, which a refresh may mend.
            error = visit.refusal or error
        return answer_refused(request, error)
    if isinstance(error, InvalidToken | NotAuthenticated):
        # A visitor's session is good, and yet none to a view that asks for a login.
        is_due = isinstance(error, NotAuthenticated) and visit.family.is_anonymous
        return answer_refused(request, error) if is_due else None
    if isinstance(error, SessionEnded):
        try:
            # By the row as it is now: what the view has read may be older.
            if attach_reading(request, visit.family).read() is not None:
                return None
        except Unavailable as failure:
            return refuse(failure)
        _end(request, error)
    return answer_refused(request, error)


def _end(request: HttpRequest, error: SessionEnded) -> None:
    """Let the rest of the request have no session, and its cookies be forgotten."""
    visit = end_visit(read_visit(request), error)
    request.session_visit = visit  # type: ignore[attr-defined]
    request.session_family = None  # type: ignore[attr-defined]
    request.user = AnonymousUser()
    request.auser = attach_reading(request, None).aread_user  # type: ignore[assignment]
