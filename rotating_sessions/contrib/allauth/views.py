"""`tokens/refresh` of allauth's app client, as careful as the endpoint of our own."""

from __future__ import annotations

import math

from allauth.headless.base.response import RateLimitResponse
from allauth.headless.tokens.views import RefreshTokenView
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.debug import sensitive_variables

from rotating_sessions.authentication import refuse_early_data
from rotating_sessions.exceptions import TooEarly
from rotating_sessions.throttles import RefreshThrottle, throttled_family
from rotating_sessions.transports import refuse

__all__ = ["RefreshView"]


class RefreshView(RefreshTokenView):  # type: ignore[misc]
    """Exchange a refresh token, at REFRESH_RATE for each session."""

    def throttle_ident(self, request: HttpRequest) -> str | None:
        """Count by session; what is no token of ours costs nothing to refuse."""
        return throttled_family(self.input.cleaned_data["refresh_token"])

    @sensitive_variables()
    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Refresh, and answer with new tokens: without a new one, keep the old one."""
        try:
            refuse_early_data(request)
        except TooEarly as error:
            return refuse(error)
        throttle = RefreshThrottle()
        if not throttle.allow_request(request, self):
            response: HttpResponseBase = RateLimitResponse(request)
            response.headers["Retry-After"] = str(math.ceil(throttle.wait() or 1))
            return response
        answer: HttpResponseBase = super().post(request)
        return answer
