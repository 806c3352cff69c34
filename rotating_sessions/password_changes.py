"""
Django's own change of a password, whoever makes it: the session of the request goes on.

`update_session_auth_hash`, which Django's views and those of others call, notes the new
password's hash in Django's session. Where that session logs nobody in, the note is all
that comes of it: it is for ours.
"""

from __future__ import annotations

import logging

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from rotating_sessions.exceptions import Unavailable
from rotating_sessions.models import SessionFamily
from rotating_sessions.services import failing_clearly, keep_session_as_django
from rotating_sessions.signals import report

__all__ = ["keep_session_of_request", "may_have_changed_password"]


def may_have_changed_password(request: HttpRequest) -> bool:
    """Tell, without I/O, whether the view may have changed the password of its user."""
    reading = getattr(request, "session_reading", None)
    # To note a hash Django looks at the user, and so at the row.
    if reading is None or not isinstance(reading.row, SessionFamily):
        return False
    # No session, where a site has none of Django's.
    return getattr(getattr(request, "session", None), "modified", False)


def keep_session_of_request(request: HttpRequest) -> None:
    """
    Keep the session of a request whose view made Django keep its own.

    A failure of the database is logged, and fails nothing: the password is changed, and
    the next request has to log in with it.
    """
    try:
        with failing_clearly():
            _keep(request, request.session)
    except Unavailable:
        report("database_failure", level=logging.ERROR)


def _keep(request: HttpRequest, session: SessionBase) -> None:
    auth_hash = session.get(HASH_SESSION_KEY)
    if auth_hash is None:
        return
    if SESSION_KEY not in session:
        # Nobody is logged in by it, so that it has no use for the hash.
        del session[HASH_SESSION_KEY]
    elif not isinstance(request.user, SimpleLazyObject):
        # The hash is that of a login by it, which puts its user in the place of ours.
        return
    keep_session_as_django(request, auth_hash)
    if not session.keys():
        # It was made for the hash alone: leave neither a row nor a cookie.
        session.flush()
