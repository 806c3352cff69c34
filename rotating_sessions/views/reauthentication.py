"""`reauthenticate/`: confirm the password, and go on in the same session."""

from __future__ import annotations

from django.http import HttpResponseBase
from django.views.decorators.debug import sensitive_variables
from rest_framework.request import Request

from rotating_sessions.authentication import django_request
from rotating_sessions.exceptions import SessionEnded
from rotating_sessions.serializers import ReauthenticateSerializer
from rotating_sessions.services import reauthenticate_with_password
from rotating_sessions.throttles import LoginThrottle, throttled_user
from rotating_sessions.transports import refuse
from rotating_sessions.views.sessions import OwnSessions, forget
from rotating_sessions.views.tokens import answer_with

__all__ = ["ReauthenticateView"]


class ReauthenticateView(OwnSessions):
    """The login of the session that asks."""

    throttle_classes = (LoginThrottle,)

    def throttle_ident(self, request: Request) -> str | None:
        """Count guesses of the password together with those at the login."""
        return throttled_user(django_request(request), request.user)

    @sensitive_variables()
    def post(self, request: Request) -> HttpResponseBase:
        """Stamp the login with this moment, and answer with a new access token."""
        password = self.parse(ReauthenticateSerializer, request)["password"]
        try:
            pair = reauthenticate_with_password(django_request(request), password)
        except SessionEnded as error:
            return forget(request, refuse(error))
        return answer_with(pair)
