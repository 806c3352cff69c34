"""What the pages for users share: who asks, no caching, and problems told in HTML."""

from __future__ import annotations

import codecs
import logging
from dataclasses import replace
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, reverse
from django.utils.decorators import method_decorator
from django.utils.http import urlencode
from django.views import View
from django.views.decorators.csrf import csrf_protect

from rotating_sessions.authentication import (
    enforce_csrf,
    read_visit,
    refuse_early_data,
)
from rotating_sessions.exceptions import (
    InvalidRequest,
    RefreshRequired,
    SessionEnded,
    SessionError,
    Unavailable,
)
from rotating_sessions.services import is_database_failure
from rotating_sessions.signals import report
from rotating_sessions.transports import COOKIE, forbid_caching, refuse
from rotating_sessions.views.notices import LIST, Notice, write_notice
from rotating_sessions.views.reports import hide_variables

__all__ = ["Page", "refuse_charset"]


@method_decorator(csrf_protect, name="dispatch")
class Page(View):
    """
    A page for whoever is logged in, by a session of ours or of Django's.

    Its routes are `session_exempt`: a form that is posted after its access token has
    expired is answered with a page, not with JSON.
    """

    http_method_names = ("get", "head", "post")
    # Whether a visitor need not be logged in.
    is_public = False

    def dispatch(
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        """Answer, or say what is wrong, in no cache and in no other page's frame."""
        hide_variables(request)
        try:
            response = self._refuse(request)
            if response is None:
                response = super().dispatch(request, *args, **kwargs)
        except SessionError as error:
            response = _show_problem(request, error)
        except Exception as error:
            if not is_database_failure(error):
                raise
            report("database_failure", level=logging.ERROR)
            response = _show_problem(request, Unavailable())
        forbid_caching(response)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["X-Frame-Options"] = "DENY"
        return response

    def _refuse(self, request: HttpRequest) -> HttpResponseBase | None:
        """
        Return the answer to a request that may not go on.

        Raises:
            SessionError: The answer is a page that says so.
        """
        refuse_charset(request)
        if request.method == "POST":
            refuse_early_data(request)
            enforce_csrf(request)
        return None if self.is_public else self._identify(request)

    def _identify(self, request: HttpRequest) -> HttpResponseBase | None:
        visit = read_visit(request)
        if visit.refusal is not None and visit.transport != COOKIE:
            return refuse(visit.refusal)
        if isinstance(visit.refusal, RefreshRequired):
            return self._renew(request, visit.refusal)
        if visit.refusal is not None and not isinstance(visit.refusal, SessionEnded):
            raise visit.refusal
        if request.user.is_authenticated:
            return None
        if visit.family is not None and not visit.family.is_anonymous:
            # For the middleware, which forgets the cookies on the way out.
            ended = replace(visit, refusal=SessionEnded())
            request.session_visit = ended  # type: ignore[attr-defined]
        return redirect_to_login(self._way_back(request))

    def _renew(self, request: HttpRequest, refusal: SessionError) -> HttpResponseBase:
        """Send the browser through the refresh page: then the form can be repeated."""
        try:
            page = reverse("rotating_sessions:refresh-page")
        except NoReverseMatch:
            raise refusal from None
        query = urlencode({"next": self._way_back(request)})
        response = redirect(f"{page}?{query}")
        if request.method == "POST":
            write_notice(response, Notice.RENEWED)
        return response

    def _way_back(self, request: HttpRequest) -> str:
        """Return this page, or the list where this one only takes a form."""
        return request.path if hasattr(self, "get") else reverse(LIST)


def refuse_charset(request: HttpRequest) -> None:
    """
    Refuse text in another charset than that of the pages' own forms.

    Raises:
        InvalidRequest: Some make characters of it that no page and no hash can hold.
    """
    if request.encoding and codecs.lookup(request.encoding).name != "utf-8":
        raise InvalidRequest


def _show_problem(request: HttpRequest, error: SessionError) -> HttpResponse:
    if isinstance(error, Unavailable):
        # The layout of a site may name the user, whom only the database knows.
        request.user = AnonymousUser()
    page = "rotating_sessions/problem.html"
    response = render(request, page, {"code": error.code}, status=error.status)
    for name, value in error.headers.items():
        response.headers[name] = value
    return response
