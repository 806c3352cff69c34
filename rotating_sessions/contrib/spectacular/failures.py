"""Every failure that an endpoint answers with: status, codes, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass

from drf_spectacular.utils import OpenApiResponse

from rotating_sessions import exceptions

__all__ = [
    "CREDENTIALS_REFUSED",
    "CSRF_FAILED",
    "NOT_FOUND",
    "PASSWORD_REFUSED",
    "REFRESH_REFUSED",
    "THROTTLED",
    "TOO_EARLY",
    "UNAUTHORIZED",
    "UNAVAILABLE",
    "UNREADABLE",
    "Failure",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An answer of `{"detail", "code"}`."""

    status: int
    codes: tuple[str, ...]
    description: str

    def response(self) -> OpenApiResponse:
        """Return it as drf-spectacular documents it."""
        schema = {
            "type": "object",
            "required": ["detail", "code"],
            "additionalProperties": False,
            "properties": {
                "detail": {"type": "string", "description": "For people."},
                "code": {"type": "string", "enum": list(self.codes)},
            },
        }
        return OpenApiResponse(response=schema, description=self.description)


def _failure(description: str, *errors: type[exceptions.SessionError]) -> Failure:
    return Failure(
        status=errors[0].status,
        codes=tuple(error.code for error in errors),
        description=description,
    )


# What any request may be refused for, before anything else is looked at.
UNREADABLE = (
    _failure(
        "The request has not the documented shape.",
        exceptions.InvalidRequest,
    ),
    _failure("The body is larger than 8 KB.", exceptions.PayloadTooLarge),
    Failure(
        status=415,
        codes=(exceptions.InvalidRequest.code,),
        description="The body is no JSON by its type.",
    ),
)
CREDENTIALS_REFUSED = _failure(
    "No active account has these credentials; or the request carries an old access "
    "token of an anonymous session, whose data the login would lose.",
    exceptions.InvalidCredentials,
    exceptions.RefreshRequired,
)
REFRESH_REFUSED = _failure(
    "The refresh token is none, or its session is over: log in again.",
    exceptions.InvalidToken,
    exceptions.SessionEnded,
)
UNAUTHORIZED = _failure(
    "The access token is none, old, of an ended session, or missing.",
    exceptions.InvalidToken,
    exceptions.RefreshRequired,
    exceptions.SessionEnded,
    exceptions.NotAuthenticated,
)
CSRF_FAILED = _failure(
    "A request by cookie without the CSRF token.", exceptions.CrossSiteRequest
)
PASSWORD_REFUSED = _failure(
    "The password is wrong, or the CSRF token is missing.",
    exceptions.PasswordRefused,
    exceptions.CrossSiteRequest,
)
NOT_FOUND = Failure(
    status=404, codes=("not_found",), description="There is no such thing."
)
TOO_EARLY = _failure(
    "Send it again, not as TLS early data.",
    exceptions.TooEarly,
)
THROTTLED = Failure(
    status=429, codes=("throttled",), description="Too many tries: wait."
)
UNAVAILABLE = _failure(
    "The database does not answer: keep the tokens and try again.",
    exceptions.Unavailable,
)
