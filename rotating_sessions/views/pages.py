"""The refresh page: server-rendered sites go through it when a token has expired."""

from __future__ import annotations

import math
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_variables

from rotating_sessions.authentication import enforce_csrf, refuse_early_data
from rotating_sessions.clients import read_client
from rotating_sessions.exceptions import (
    CrossSiteRequest,
    InvalidRequest,
    InvalidToken,
    SessionError,
    TooEarly,
    Unavailable,
)
from rotating_sessions.navigation import checked_next, redirect_back
from rotating_sessions.services import refresh_session
from rotating_sessions.throttles import RefreshThrottle, throttled_family
from rotating_sessions.transports import (
    COOKIE,
    clear_cookies,
    forbid_caching,
    read_refresh_cookie,
    refuse,
    write_tokens,
)
from rotating_sessions.views.html import refuse_charset
from rotating_sessions.views.reports import hide_variables
from rotating_sessions.views.visitors import may_forget

__all__ = ["RefreshPage"]


@method_decorator(csrf_protect, name="dispatch")
class RefreshPage(View):
    """
    Refresh by a form, and return to where the browser was sent from.

    A static script submits the form; without scripts there is its button.
    """

    http_method_names = ("get", "head", "post")

    def dispatch(
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        """Answer, unless it is in a charset that no form of ours is sent in."""
        try:
            refuse_charset(request)
        except InvalidRequest as error:
            return refuse(error)
        return super().dispatch(request, *args, **kwargs)

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the form."""
        return _show(request, checked_next(request, request.GET.get("next")))

    def throttle_ident(self, request: HttpRequest) -> str | None:
        """Count by session, together with the refresh endpoint."""
        return throttled_family(read_refresh_cookie(request))

    def http_method_not_allowed(
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Refuse another method; a cache may keep a 405 that does not forbid it."""
        response = super().http_method_not_allowed(request, *args, **kwargs)
        forbid_caching(response)
        return response

    @sensitive_variables()
    def post(self, request: HttpRequest) -> HttpResponse:
        """Refresh and go on; where the session has ended, go on as anonymous."""
        hide_variables(request)
        target = checked_next(request, request.POST.get("next"))
        try:
            refuse_early_data(request)
            enforce_csrf(request)
        except (TooEarly, CrossSiteRequest) as error:
            return refuse(error)
        throttle = RefreshThrottle()
        if not throttle.allow_request(request, self):
            return _show(request, target, status=429, wait=throttle.wait())
        response = redirect_back(target)
        value = read_refresh_cookie(request)
        try:
            if value is None:
                raise InvalidToken
            client = read_client(request)
            pair = refresh_session(value, client=client, transport=COOKIE)
        except Unavailable as error:
            return _show(request, target, status=error.status)
        except SessionError as error:
            if may_forget(error):
                clear_cookies(response)
        else:
            write_tokens(response, pair)
        return response


def _show(
    request: HttpRequest, target: str, *, status: int = 200, wait: float | None = None
) -> HttpResponse:
    context = {"next": target, "failed": status != 200}
    page = "rotating_sessions/refresh.html"
    response = render(request, page, context, status=status)
    if status != 200:
        response.headers["Retry-After"] = str(math.ceil(wait or 1))
    forbid_caching(response)
    return response
