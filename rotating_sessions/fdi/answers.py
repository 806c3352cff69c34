"""Refusals in the words of the contract, beside those of this package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from rest_framework.exceptions import APIException

from rotating_sessions.exceptions import (
    InvalidClaim,
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

__all__ = [
    "ClaimFailure",
    "InvalidClaims",
    "find_claim",
    "refuse_claims",
    "word_claim",
    "word_refusal",
]

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
    if not isinstance(response, HttpResponse):
        return
    if isinstance(error, InvalidClaim):
        word_claim(response, explain(error))
    message = next((text for kind, text in _MESSAGES if isinstance(error, kind)), None)
    if message is not None:
        _reword(response, {"message": message, **explain(error)})
        response.status_code = get_fdi_conf().session_expired_status
    if isinstance(error, SessionEnded):
        clear_session(request, response)


def find_claim(response: HttpResponseBase) -> Mapping[str, Any] | None:
    """Return what DRF answers of a claim that does not hold, or None for all else."""
    told = getattr(response, "data", None)
    is_json = response.headers.get("Content-Type", "").startswith("application/json")
    if not is_json or not isinstance(told, Mapping):
        return None
    return told if told.get("code") == InvalidClaim.code else None


def word_claim(response: HttpResponse, told: Mapping[str, Any]) -> None:
    """Say that a claim does not hold in the words of the contract, too."""
    failure = ClaimFailure(id=told["claim"], reason={"message": told["detail"]})
    _reword(response, {**_explain_claims([failure]), **told})
    response.status_code = get_fdi_conf().invalid_claim_status


def _reword(response: HttpResponse, body: Mapping[str, Any]) -> None:
    response.content = JsonResponse(body).content
    response.headers["Content-Length"] = str(len(response.content))


def _explain_claims(failures: Sequence[ClaimFailure]) -> dict[str, Any]:
    errors = [{"id": each.id, "reason": each.reason} for each in failures]
    return {"message": "invalid claim", "claimValidationErrors": errors}
