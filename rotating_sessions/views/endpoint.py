"""What all endpoints share: small JSON bodies in, `{"detail", "code"}` on failure."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import connections, transaction
from django.http import HttpResponseBase
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import (
    APIException,
    ParseError,
    Throttled,
    ValidationError,
)
from rest_framework.negotiation import (
    BaseContentNegotiation,
    DefaultContentNegotiation,
)
from rest_framework.parsers import JSONParser
from rest_framework.permissions import BasePermission
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from rotating_sessions.authentication import django_request, refuse_early_data
from rotating_sessions.exceptions import (
    InvalidRequest,
    PayloadTooLarge,
    SessionError,
    Unavailable,
)
from rotating_sessions.services import is_database_failure
from rotating_sessions.signals import report
from rotating_sessions.transports import forbid_caching, refuse
from rotating_sessions.views.reports import hide_variables

__all__ = ["Endpoint", "never_atomic"]

# A login or a refresh is below one kilobyte; nobody has a reason to send more.
MAX_BODY = 8192
# Python refuses to read a number of thousands of digits.
_MAX_DIGITS = 20

_CODES = {400: "invalid_request", 415: "invalid_request", 429: "throttled"}


class _OnlyJson(BaseContentNegotiation):
    """JSON, whatever was asked for: an answer in it beats a 406 about it."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """Return the parser of the request's type, or None: then it is a 415."""
        return DefaultContentNegotiation().select_parser(request, parsers)

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> Any:
        """Return the only renderer."""
        return renderers[0], renderers[0].media_type


class _Utf8JSONParser(JSONParser):
    """JSON is UTF-8 (RFC 8259): no charset of the request's decides how it is read."""

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the body, whatever charset it claims to be in."""
        context = {**(parser_context or {}), "encoding": "utf-8"}
        return super().parse(stream, media_type, context)


class Endpoint(APIView):
    """An endpoint that speaks JSON, is never cached and answers errors with a code."""

    authentication_classes: Sequence[type[BaseAuthentication]] = ()
    permission_classes: Sequence[type[BasePermission]] = ()
    throttle_classes: Sequence[type[BaseThrottle]] = ()
    parser_classes = (_Utf8JSONParser,)
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = _OnlyJson
    versioning_class = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse what is not worth a closer look, before anything is counted."""
        hide_variables(django_request(request))
        if request.method not in {"GET", "HEAD", "OPTIONS"}:
            refuse_early_data(django_request(request))
        _check_body(request)
        super().initial(request, *args, **kwargs)

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


def _check_body(request: Request) -> None:
    """
    Make sure that the body is small, and a JSON object or empty.

    Raises:
        PayloadTooLarge: More than 8 KB.
        InvalidRequest: JSON, but no object; or a length that is none.
    """
    length = request.META.get("CONTENT_LENGTH") or ""
    if length.strip("0123456789") or (
        # Without a length WSGI reads an empty body, and an empty body has a meaning.
        not length and "HTTP_TRANSFER_ENCODING" in request.META
    ):
        raise InvalidRequest
    if len(length) > _MAX_DIGITS or int(length or 0) > MAX_BODY:
        raise PayloadTooLarge
    try:
        body = request.data
    except (ParseError, RecursionError) as error:
        raise InvalidRequest from error
    if not isinstance(body, Mapping):
        raise InvalidRequest


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
