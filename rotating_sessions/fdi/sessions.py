"""Begin a session of a SuperTokens front end: the last step of a site's own login."""

from __future__ import annotations

from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.debug import sensitive_variables

from rotating_sessions.fdi.carried import choose_mode
from rotating_sessions.fdi.outgoing import write_session
from rotating_sessions.services import start_session

__all__ = ["begin_session"]


@sensitive_variables()
def begin_session(
    request: HttpRequest, response: HttpResponseBase, user: AbstractBaseUser
) -> None:
    """
    Start a session, in the mode that the client asks for, and hand it out.

    Args:
        request: The request that logs in.
        response: The answer, a success: the session is in its headers.
        user: Whose login is complete, every factor of it.

    Raises:
        Unavailable: The database failed; nobody is logged in.
    """
    pair = start_session(request, user, transport=choose_mode(request))
    write_session(request, response, pair)
