"""The bodies of requests: small, JSON in UTF-8, and an object where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.negotiation import (
    BaseContentNegotiation,
    DefaultContentNegotiation,
)
from rest_framework.parsers import JSONParser
from rest_framework.request import Request

from rotating_sessions.exceptions import InvalidRequest, PayloadTooLarge

__all__ = ["OnlyJson", "Utf8JSONParser", "check_body"]

# A login or a refresh is below one kilobyte; nobody has a reason to send more.
_MAX_BODY = 8192
# Python refuses to read a number of thousands of digits.
_MAX_DIGITS = 20


class OnlyJson(BaseContentNegotiation):
    """JSON, whatever was asked for: an answer in it beats a 406 about it."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """Return the parser of the request's type, or None: then it is a 415."""
        if request.content_type == JSONParser.media_type:
            # As nearly all spell it, so that nothing has to be taken apart.
            return parsers[0]
        return DefaultContentNegotiation().select_parser(request, parsers)

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> Any:
        """Return the only renderer."""
        return renderers[0], renderers[0].media_type


class Utf8JSONParser(JSONParser):
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


def check_body(request: Request) -> None:
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
    if len(length) > _MAX_DIGITS or int(length or 0) > _MAX_BODY:
        raise PayloadTooLarge
    try:
        body = request.data
    except (ParseError, RecursionError) as error:
        raise InvalidRequest from error
    if not isinstance(body, Mapping):
        raise InvalidRequest
