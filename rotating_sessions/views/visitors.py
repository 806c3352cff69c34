"""Visitors who become users: what an anonymous session holds is not lost on the way."""

from __future__ import annotations

from typing import cast

from django.http import HttpRequest

from rotating_sessions.authentication import read_visit
from rotating_sessions.exceptions import (
    RefreshRequired,
    SessionError,
    SessionHandedOn,
)
from rotating_sessions.transports import HEADER

__all__ = ["may_forget", "require_good_token"]


def require_good_token(request: HttpRequest) -> None:
    """
    Refuse a login with an old access token, by header, of an anonymous session.

    Nothing would be handed on for it, and its visitor would not even know. In cookie
    transport there is a refresh token beside it.

    Raises:
        RefreshRequired: After a refresh the same login goes on from the session.
    """
    visit = read_visit(request)
    is_anonymous = visit.claims is not None and visit.claims.is_anonymous
    is_old = isinstance(visit.refusal, RefreshRequired)
    if is_anonymous and is_old and visit.transport == HEADER:
        raise cast(RefreshRequired, visit.refusal)


def may_forget(refusal: SessionError) -> bool:
    """
    Tell whether the browser may be made to forget the cookies that this refused.

    Not where its visitor has just logged in: of two requests at once, the login may be
    answered first, and its cookies are to stay.
    """
    return not isinstance(refusal, SessionHandedOn)
