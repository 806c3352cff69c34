"""Error reports about the endpoints: without tokens, in development too."""

from __future__ import annotations

from copy import copy

from django.conf import settings
from django.http import HttpRequest
from django.views.debug import get_exception_reporter_filter

__all__ = ["hide_variables"]


def hide_variables(request: HttpRequest) -> None:
    """
    Hide tokens in the variables that the error page shows under DEBUG.

    By the site's own filter, which by itself hides them without DEBUG only.
    """
    if settings.DEBUG:
        hiding = copy(get_exception_reporter_filter(request))
        hiding.is_active = _always  # type: ignore[method-assign]
        request.exception_reporter_filter = hiding


def _always(request: HttpRequest | None) -> bool:  # noqa: ARG001 - Django passes it
    return True
