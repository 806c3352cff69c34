"""Everything that can go wrong with a session, each with its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

__all__ = [
    "AccessTokenExpired",
    "CrossSiteRequest",
    "InvalidClaim",
    "InvalidCredentials",
    "InvalidRequest",
    "InvalidToken",
    "NetworkChanged",
    "NotAuthenticated",
    "PasswordRefused",
    "PayloadTooLarge",
    "ReauthenticationRequired",
    "RefreshRequired",
    "RefreshTokenReused",
    "SessionEnded",
    "SessionError",
    "SessionExpired",
    "SessionHandedOn",
    "TooEarly",
    "Unavailable",
]


def gettext_noop(text: str) -> str:
    """Mark a text for translation, as Django's function of this name does."""
    return text


class SessionError(Exception):
    """
    Base of this tree: what a client is told, and nothing more.

    `code` is for machines, `detail` for people, in English until it is answered;
    `status` is the HTTP status and `headers` are sent with it; `facts` are told beside
    code and detail. None of them ever holds a token.
    """

    code: ClassVar[str]
    detail: ClassVar[str]
    status: ClassVar[int] = 401
    headers: ClassVar[Mapping[str, str]] = {}
    facts: Mapping[str, str] = {}

    def __str__(self) -> str:
        return self.detail


class InvalidToken(SessionError):
    """The token is malformed, or nothing of ours signed it."""

    code = "invalid_token"
    detail = gettext_noop("The token is not valid.")
    headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}


class RefreshRequired(SessionError):
    """The access token will not do, but a refresh will: nobody has to log in."""

    code = "refresh_required"
    detail = gettext_noop("Refresh the session, then try again.")
    headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}


class AccessTokenExpired(RefreshRequired):
    """
    The access token is genuine, and has served its time.

    `claims` (an `AccessClaims`) is what it proved, which is enough to log out with.
    """

    def __init__(self, claims: object) -> None:
        super().__init__()
        self.claims = claims


class NetworkChanged(RefreshRequired):
    """The access token is genuine, and comes from a network it was not minted for."""


class NotAuthenticated(SessionError):
    """The request carries no token of ours."""

    code = "not_authenticated"
    detail = gettext_noop("Log in first.")
    headers = {"WWW-Authenticate": "Bearer"}


class SessionEnded(SessionError):
    """The session is over: the user has to log in."""

    code = "session_ended"
    detail = gettext_noop("The session has ended. Log in again.")
    headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}


class SessionExpired(SessionEnded):
    """The session sat idle too long, or grew too old."""


class SessionHandedOn(SessionEnded):
    """The anonymous session became a user's: the browser may have its cookies."""


class RefreshTokenReused(SessionEnded):
    """The token was replaced before; the session is now revoked."""


class InvalidCredentials(SessionError):
    """The user name or the password is wrong, or the account is closed."""

    code = "invalid_credentials"
    detail = gettext_noop("No active account has these credentials.")
    headers = {"WWW-Authenticate": "Bearer"}


class PasswordRefused(SessionError):
    """
    What was to confirm a step is wrong, or another user's; the session goes on.

    403, because a client takes 401 for the end of its token.
    """

    code = "invalid_credentials"
    detail = gettext_noop("The password is wrong.")
    status = 403


class ReauthenticationRequired(SessionError):
    """The session is good, but its login is too long ago: ask for the password."""

    code = "reauthentication_required"
    detail = gettext_noop("Confirm your password, then try again.")
    # Not 401, as above.
    status = 403


class InvalidClaim(SessionError):
    """
    The session is good, but a claim that this takes is missing or says otherwise.

    `facts` has its name. 403, because a client takes 401 for the end of its token;
    where the claim may have changed since the last refresh, another refresh tells.
    """

    code = "invalid_claim"
    detail = gettext_noop("Your session does not allow this.")
    status = 403

    def __init__(self, claim: str) -> None:
        super().__init__()
        self.facts = {"claim": claim}


class InvalidRequest(SessionError):
    """The request has not the shape that the endpoint documents."""

    code = "invalid_request"
    detail = gettext_noop("The request is malformed.")
    status = 400


class CrossSiteRequest(SessionError):
    """Another site made the browser send this, or the CSRF token is missing."""

    code = "csrf_failed"
    detail = gettext_noop("The CSRF check failed.")
    status = 403


class PayloadTooLarge(SessionError):
    """The body is larger than anything that these endpoints take."""

    code = "request_too_large"
    detail = gettext_noop("The request is too large.")
    status = 413


class TooEarly(SessionError):
    """The request came in TLS early data, which an attacker can replay (RFC 8470)."""

    code = "too_early"
    detail = gettext_noop("Send the request again, not as early data.")
    status = 425


class Unavailable(SessionError):
    """The database did not answer: keep the token and try again."""

    code = "unavailable"
    detail = gettext_noop("The session store is unavailable. Try again.")
    status = 503
    headers = {"Retry-After": "1"}
