"""Requests that somebody else may have sent, or sent again, in the client's name."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from rest_framework.authentication import CSRFCheck

from rotating_sessions.exceptions import CrossSiteRequest, TooEarly

__all__ = ["enforce_csrf", "refuse_early_data"]


def refuse_early_data(request: HttpRequest) -> None:
    """
    Refuse a request that came in TLS early data.

    Raises:
        TooEarly: It did, and an attacker could send it again.
    """
    if request.headers.get("Early-Data") == "1":
        raise TooEarly


def enforce_csrf(request: HttpRequest) -> None:
    """
    Make sure that an unsafe request by cookie comes from the site itself.

    Raises:
        CrossSiteRequest: Django's CSRF check fails, or the browser names another site.
    """
    if request.method in {"GET", "HEAD", "OPTIONS", "TRACE"}:
        return
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        raise CrossSiteRequest
    check = CSRFCheck(lambda _request: HttpResponse())
    check.process_request(request)
    if check.process_view(request, HttpResponse, (), {}) is not None:
        raise CrossSiteRequest
