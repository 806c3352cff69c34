"""What all endpoints share: small JSON bodies in, `{"detail", "code"}` on failure."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import connections, transaction
from django.http import HttpResponseBase
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, Throttled, ValidationError
from rest_framework.permissions import BasePermission
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from rotating_sessions.authentication import django_request, refuse_early_data
from rotating_sessions.exceptions import SessionError, Unavailable
from rotating_sessions.services import is_database_failure
from rotating_sessions.signals import report
from rotating_sessions.transports import forbid_caching, refuse
from rotating_sessions.views.bodies import OnlyJson, Utf8JSONParser, check_body
from rotating_sessions.views.reports import hide_variables

__all__ = ["Endpoint", "never_atomic"]

_CODES = {400: "invalid_request", 415: "invalid_request", 429: "throttled"}


class Endpoint(APIView):
    """An endpoint that speaks JSON, is never cached and answers errors with a code."""

    authentication_classes: Sequence[type[BaseAuthentication]] = ()
    permission_classes: Sequence[type[BasePermission]] = ()
    throttle_classes: Sequence[type[BaseThrottle]] = ()
    parser_classes = (Utf8JSONParser,)
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = OnlyJson
    versioning_class = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse what is not worth a closer look, before anything is counted."""
        hide_variables(django_request(request))
        if request.method not in {"GET", "HEAD", "OPTIONS"}:
            refuse_early_data(django_request(request))
        check_body(request)
        super().initial(request, *args, **kwargs)

    def perform_authentication(self, request: Request) -> None:
        """Ask who it is, where an endpoint wants to know."""
        if self.authentication_classes:
            super().perform_authentication(request)

    def parse(self, shape: type[Serializer[Any]], request: Request) -> dict[str, Any]:
        """
        Return the body in the given shape.

        Raises:
            ValidationError: It has another; answered with 400 `invalid_request`.
        """
        serializer = shape(data=request.data)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def get_authenticate_header(self, request: Request) -> str:
        """Return the challenge, so that a refusal stays 401 without authenticators."""
        return "Bearer"

    def get_exception_handler(self) -> Callable[..., HttpResponseBase | None]:
        """Return the handler of these endpoints, whatever the site's own is."""
        return _answer

    def finalize_response(
        self, request: Request, response: Any, *args: Any, **kwargs: Any
    ) -> Any:
        """Keep every answer out of caches."""
        response = super().finalize_response(request, response, *args, **kwargs)
        forbid_caching(response)
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def never_atomic(view: Callable[..., Any]) -> Callable[..., Any]:
    """
    Keep a view out of ATOMIC_REQUESTS, on every database.

    What a refresh writes has to be durable before it is answered, and a revocation has
    to outlive the refusal that it leads to.
    """
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


def _answer(error: Exception, _context: Mapping[str, Any]) -> HttpResponseBase | None:
    """Return the answer to an error, or None for a fault of ours."""
    if is_database_failure(error):
        report("database_failure", level=logging.ERROR)
        error = Unavailable()
    if isinstance(error, SessionError):
        return refuse(error)
    if not isinstance(error, APIException):
        return None
    headers = {}
    # DRF hangs the challenge onto the error before it calls this.
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if isinstance(error, Throttled):
        headers["Retry-After"] = str(math.ceil(getattr(error, "wait", None) or 1))
    body = {"detail": _describe(error), "code": _code(error)}
    return Response(body, status=error.status_code, headers=headers)


def _describe(error: APIException) -> str:
    """Return the error in one line: where it is about fields, with their names."""
    if not isinstance(error, ValidationError) or not isinstance(error.detail, dict):
        return str(_first(error.detail))
    return " ".join(f"{name}: {_first(why)}" for name, why in error.detail.items())


def _first(detail: Any) -> Any:
    while isinstance(detail, list | dict):
        items = detail.values() if isinstance(detail, dict) else detail
        detail = next(iter(items))
    return detail


def _code(error: APIException) -> str:
    return _CODES.get(error.status_code) or str(_first(error.get_codes()))
