"""Begin a session of a SuperTokens front end: the last step of a site's own login."""

from __future__ import annotations

from datetime import timedelta

from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.debug import sensitive_variables

from rotating_sessions.fdi.carried import choose_mode
from rotating_sessions.fdi.outgoing import write_session
from rotating_sessions.services import start_session
from rotating_sessions.services.session_data import Patch

__all__ = ["begin_session"]


@sensitive_variables()
def begin_session(
    request: HttpRequest,
    response: HttpResponseBase,
    user: AbstractBaseUser,
    *,
    lifetime: timedelta | None = None,
    data: Patch | None = None,
) -> None:
    """
    Start a session, in the mode that the client asks for, and hand it out.

    Args:
        request: The request that logs in.
        response: The answer, a success: the session is in its headers.
        user: Whose login is complete, every factor of it.
        lifetime: As of `start_session`.
        data: As of `start_session`.

    Raises:
        ValueError: The lifetime is none, or the data cannot be kept.
        Unavailable: The database failed; nobody is logged in.
    """
    mode = choose_mode(request)
    pair = start_session(request, user, transport=mode, lifetime=lifetime, data=data)
    write_session(request, response, pair)
