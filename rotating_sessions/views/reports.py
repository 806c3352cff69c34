"""Error reports about the endpoints: without tokens, in development too."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter

__all__ = ["hide_variables"]


class _AlwaysHiding(SafeExceptionReporterFilter):
    """Django's filter, which by itself shows everything under DEBUG."""

    def is_active(self, request: HttpRequest | None) -> bool:
        """Hide what is marked by `sensitive_variables`, whatever DEBUG says."""
        return True


def hide_variables(request: HttpRequest) -> None:
    """
    Hide tokens in the variables that the error page shows under DEBUG.

    Without DEBUG they are hidden by the site's own filter, which is left in its place.
    """
    if settings.DEBUG:
        request.exception_reporter_filter = _AlwaysHiding()
