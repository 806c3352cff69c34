"""The forms by which users end their sessions: one, all others, this one, or all."""

from __future__ import annotations

from contextlib import suppress
from typing import cast
from uuid import UUID

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import check_password
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.views.decorators.debug import sensitive_variables

from rotating_sessions.authentication import read_visit
from rotating_sessions.exceptions import InvalidToken
from rotating_sessions.models import RevokedReason
from rotating_sessions.services import (
    end_proven_session,
    revoke_all_sessions,
    revoke_session,
)
from rotating_sessions.throttles import LoginThrottle
from rotating_sessions.transports import (
    carries_session_cookie,
    clear_cookies,
    read_refresh_cookie,
)
from rotating_sessions.views.html import Page
from rotating_sessions.views.notices import LIST, Notice, write_notice
from rotating_sessions.views.passwords import MAX_PASSWORD_LENGTH, PasswordPage

__all__ = [
    "EndOthersPage",
    "EndSessionPage",
    "LogOutEverywherePage",
    "LogOutPage",
    "LoggedOutPage",
]


class EndSessionPage(Page):
    """One of the user's sessions."""

    def post(self, request: HttpRequest, family_id: UUID) -> HttpResponse:
        """End it; where it is the one that asks, the browser is logged out."""
        ended = revoke_session(
            family_id,
            reason=RevokedReason.ENDED_BY_USER,
            user_pk=str(request.user.pk),
        )
        if family_id == _own_family(request):
            return _log_out(request)
        response = redirect(LIST)
        write_notice(response, Notice.ENDED if ended else Notice.GONE)
        return response


class EndOthersPage(Page):
    """All of the user's sessions but this one."""

    def post(self, request: HttpRequest) -> HttpResponse:
        """End them."""
        revoke_all_sessions(
            request.user.pk,
            reason=RevokedReason.LOGOUT_EVERYWHERE,
            keep=_own_family(request),
        )
        response = redirect(LIST)
        write_notice(response, Notice.OTHERS_ENDED)
        return response


class LogOutEverywherePage(PasswordPage):
    """All of the user's sessions, with the password: it logs out the victim, too."""

    template_name = "rotating_sessions/log_out_everywhere.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Ask for the password, where the user has one."""
        return self.ask(request)

    @sensitive_variables()
    def post(self, request: HttpRequest) -> HttpResponse:
        """End them all, if the password is right."""
        user = cast(AbstractBaseUser, request.user)
        if user.has_usable_password():
            throttle = LoginThrottle()
            if not throttle.allow_request(request, self):
                return self.ask(request, status=429, wait=throttle.wait())
            password = request.POST.get("password", "")
            # Not `user.check_password`: that may store a stronger hash, and a new hash
            # is a new password to every session of the user.
            fits = len(password) <= MAX_PASSWORD_LENGTH
            if not fits or not check_password(password, user.password):
                return self.ask(request, status=403)
        revoke_all_sessions(user.pk, reason=RevokedReason.LOGOUT_EVERYWHERE)
        if _own_family(request) is None:
            # It is Django's session that this browser is logged in by.
            logout(request)
        return _log_out(request)


class LogOutPage(Page):
    """The session of this browser, however old its access token is."""

    is_public = True

    @sensitive_variables()
    def post(self, request: HttpRequest) -> HttpResponse:
        """End it, by either token; once more is no error."""
        claims = read_visit(request).claims
        if claims is not None:
            revoke_session(claims.family_id, reason=RevokedReason.LOGOUT)
        # Without a token that proves anything there is nothing to end.
        with suppress(InvalidToken):
            value = read_refresh_cookie(request) or ""
            end_proven_session(value, reason=RevokedReason.LOGOUT)
        return _log_out(request)


class LoggedOutPage(Page):
    """Where a browser is sent that was logged out; LOGOUT_REDIRECT_URL is another."""

    is_public = True

    def get(self, request: HttpRequest) -> HttpResponse:
        """Say so, and offer the way back in."""
        context = {"login": resolve_url(settings.LOGIN_URL)}
        return render(request, "rotating_sessions/logged_out.html", context)


def _own_family(request: HttpRequest) -> UUID | None:
    family = read_visit(request).family
    return None if family is None else family.family_id


def _log_out(request: HttpRequest) -> HttpResponse:
    response = redirect(
        settings.LOGOUT_REDIRECT_URL or "rotating_sessions_pages:logged-out"
    )
    if carries_session_cookie(request):
        clear_cookies(response)
    return response
