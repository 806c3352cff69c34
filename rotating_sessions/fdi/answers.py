"""Refusals in the words of the contract, beside those of this package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from rest_framework.exceptions import APIException

from rotating_sessions.exceptions import (
    InvalidToken,
    NotAuthenticated,
    RefreshRequired,
    RefreshTokenReused,
    SessionEnded,
    SessionError,
)
from rotating_sessions.fdi.conf import get_fdi_conf
from rotating_sessions.fdi.outgoing import clear_session
from rotating_sessions.transports import explain, forbid_caching

__all__ = ["ClaimFailure", "InvalidClaims", "refuse_claims", "word_refusal"]

# The first that fits. What is not here is none of the contract's business.
_MESSAGES: Sequence[tuple[type[SessionError], str]] = (
    (RefreshTokenReused, "token theft detected"),
    (SessionEnded, "unauthorised"),
    (NotAuthenticated, "unauthorised"),
    (RefreshRequired, "try refresh token"),
    (InvalidToken, "try refresh token"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimFailure:
    """A claim that does not hold: which, and what the front end may know of why."""

    id: str
    reason: Any = None


class InvalidClaims(APIException):
    """
    The session is good, but what it claims does not let it do this.

    Raise it in a view of Django's or of DRF: the answer has the shape that front ends
    act on.
    """

    status_code = 403

    def __init__(self, failures: Sequence[ClaimFailure]) -> None:
        super().__init__()
        self.status_code = get_fdi_conf().invalid_claim_status
        # As it is: DRF would turn every value into text.
        self.detail = _explain_claims(failures)


def refuse_claims(error: InvalidClaims) -> JsonResponse:
    """Return the answer to claims that do not hold."""
    response = JsonResponse(error.detail, status=error.status_code)
    forbid_caching(response)
    return response


def word_refusal(
    request: HttpRequest, response: HttpResponseBase, error: SessionError
) -> None:
    """Say a refusal of this package in the words of the contract, too."""
    message = next((text for kind, text in _MESSAGES if isinstance(error, kind)), None)
    if message is None or not isinstance(response, HttpResponse):
        return
    body = JsonResponse({"message": message, **explain(error)})
    response.content = body.content
    response.headers["Content-Length"] = str(len(body.content))
    response.status_code = get_fdi_conf().session_expired_status
    if isinstance(error, SessionEnded):
        clear_session(request, response)


def _explain_claims(failures: Sequence[ClaimFailure]) -> Any:
    errors = [{"id": each.id, "reason": each.reason} for each in failures]
    return {"message": "invalid claim", "claimValidationErrors": errors}
