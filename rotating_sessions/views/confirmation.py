"""The page where a password is confirmed, on the way to what is sensitive."""

from __future__ import annotations

from dataclasses import replace

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.http import urlencode
from django.views.decorators.debug import sensitive_variables

from rotating_sessions.authentication import read_visit
from rotating_sessions.exceptions import (
    NotAuthenticated,
    PasswordRefused,
    RefreshRequired,
    SessionEnded,
)
from rotating_sessions.navigation import checked_next, redirect_back
from rotating_sessions.services import reauthenticate_with_password
from rotating_sessions.throttles import LoginThrottle
from rotating_sessions.transports import write_tokens
from rotating_sessions.views.passwords import MAX_PASSWORD_LENGTH, PasswordPage

__all__ = ["ReauthenticatePage"]


class ReauthenticatePage(PasswordPage):
    """The password of the session's user, then on to where the browser was going."""

    template_name = "rotating_sessions/reauthenticate.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Ask for the password."""
        _require_session(request)
        return self._ask(request)

    @sensitive_variables()
    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Go on, if the password is right."""
        _require_session(request)
        throttle = LoginThrottle()
        if not throttle.allow_request(request, self):
            return self._ask(request, status=429, wait=throttle.wait())
        password = request.POST.get("password", "")
        if not 0 < len(password) <= MAX_PASSWORD_LENGTH:
            return self._ask(request, status=403)
        try:
            pair = reauthenticate_with_password(request, password)
        except PasswordRefused as error:
            return self._ask(request, status=error.status)
        except RefreshRequired as error:
            return self._renew(request, error)
        except SessionEnded as error:
            # For the middleware, which forgets the cookies on the way out.
            ended = replace(read_visit(request), refusal=error)
            request.session_visit = ended  # type: ignore[attr-defined]
            return redirect_to_login(_read_target(request))
        response = redirect_back(_read_target(request))
        write_tokens(response, pair)
        return response

    def _ask(
        self, request: HttpRequest, *, status: int = 200, wait: float | None = None
    ) -> HttpResponse:
        target = _read_target(request)
        return self.ask(request, status=status, wait=wait, next=target)

    def _way_back(self, request: HttpRequest) -> str:
        """Return this page where a refresh will do; a login is recent enough."""
        target = _read_target(request)
        if isinstance(read_visit(request).refusal, RefreshRequired):
            return f"{request.path}?{urlencode({'next': target})}"
        return target


def _require_session(request: HttpRequest) -> None:
    # Somebody by Django's own session, of whose login nobody knows when it was.
    if read_visit(request).family is None:
        raise NotAuthenticated


def _read_target(request: HttpRequest) -> str:
    asked = request.POST.get("next", request.GET.get("next"))
    return checked_next(request, asked)
