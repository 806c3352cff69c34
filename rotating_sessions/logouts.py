"""Django's own logout, whoever calls it: the session of the request ends as well."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.http import HttpRequest
from rest_framework.request import Request

from rotating_sessions.authentication import Visit, django_request
from rotating_sessions.exceptions import SessionEnded
from rotating_sessions.models import RevokedReason
from rotating_sessions.services import failing_clearly, revoke_session

__all__ = ["end_session_of_request"]


def end_session_of_request(
    *, request: HttpRequest | Request | None, **kwargs: Any
) -> None:
    """
    Revoke the session of a request that logs out (receives `user_logged_out`).

    Raises:
        Unavailable: The database failed: the user is still logged in.
    """
    if isinstance(request, Request):
        # From a view of DRF: what the middleware reads is Django's own request.
        request = django_request(request)
    visit = getattr(request, "session_visit", None)
    if request is None or not isinstance(visit, Visit) or visit.claims is None:
        # Not by a token of ours, or by what is none: Django ends its own session.
        return
    with failing_clearly():
        revoke_session(visit.claims.family_id, reason=RevokedReason.LOGOUT)
    # For the middleware, which forgets the cookies on the way out.
    request.session_visit = replace(visit, refusal=SessionEnded())  # type: ignore[attr-defined]
    request.session_family = None  # type: ignore[attr-defined]
