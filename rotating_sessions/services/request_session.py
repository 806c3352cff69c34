"""The session of a request, with its user: read when it is asked for, and once."""

from __future__ import annotations

from typing import cast

from asgiref.sync import sync_to_async
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest

from rotating_sessions.exceptions import Unavailable
from rotating_sessions.models import SessionFamily
from rotating_sessions.services.reading import find_session
from rotating_sessions.tokens.access import AccessClaims

__all__ = ["SessionReading", "attach_reading", "read_session", "replace_session"]


class SessionReading:
    """
    The session of a request, whose row is read when somebody first asks for it.

    Apart from the request, so that what reads the user later holds no reference to it:
    a request in a cycle is memory that only the garbage collector gives back.
    """

    __slots__ = ("_claims", "failure", "row")

    # What `row` is before it was read.
    _UNREAD = object()

    def __init__(self, claims: AccessClaims | None) -> None:
        self._claims = claims
        self.row: object = self._UNREAD
        self.failure: Unavailable | None = None

    def read(self) -> SessionFamily | None:
        """
        Return the row with its user, or None where there is no session that serves.

        Raises:
            Unavailable: The database failed; `failure` then holds that, until it is
                asked again.
        """
        if self.row is self._UNREAD:
            self.failure = None
            try:
                self.row = None if self._claims is None else find_session(self._claims)
            except Unavailable as error:
                self.failure = error
                raise
        return cast("SessionFamily | None", self.row)

    def read_user(self) -> AbstractBaseUser | AnonymousUser:
        """
        Return the user of the session, who is anonymous where there is none.

        Of an anonymous session no row is read.

        Raises:
            Unavailable: As `read`.
        """
        if self._claims is not None and self._claims.is_anonymous:
            return AnonymousUser()
        row = self.read()
        return AnonymousUser() if row is None else cast(AbstractBaseUser, row.user)

    async def aread_user(self) -> AbstractBaseUser | AnonymousUser:
        """
        Return the same user, read where queries are allowed.

        Raises:
            Unavailable: As `read`.
        """
        return await sync_to_async(self.read_user)()


def attach_reading(request: HttpRequest, claims: AccessClaims | None) -> SessionReading:
    """Give the request a session to be read by these claims, and return it."""
    reading = SessionReading(claims)
    request.session_reading = reading  # type: ignore[attr-defined]
    return reading


def read_session(request: HttpRequest) -> SessionFamily | None:
    """
    Return the session of a request as its row is, with its user: one query a request.

    None where the request carries no good token, or its session no longer serves.

    Raises:
        Unavailable: The database failed, which says nothing about the session.
    """
    return _reading_of(request).read()


def replace_session(request: HttpRequest, row: SessionFamily | None) -> None:
    """Let the rest of the request read this row, or that it has no session."""
    _reading_of(request).row = row


def _reading_of(request: HttpRequest) -> SessionReading:
    reading: SessionReading | None = getattr(request, "session_reading", None)
    if reading is None:
        reading = attach_reading(request, getattr(request, "session_family", None))
    return reading
