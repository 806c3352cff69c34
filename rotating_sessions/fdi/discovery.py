"""What other services need to verify access tokens, where SuperTokens had it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from rotating_sessions.conf import get_conf
from rotating_sessions.views.jwks import MAX_AGE, show_public_keys

__all__ = ["show_configuration", "show_keys"]


def show_keys(request: HttpRequest) -> HttpResponse:
    """Answer with the public keys, to pages of any origin, too."""
    response = show_public_keys(request)
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response


@require_safe
@cache_control(public=True, max_age=MAX_AGE)
def show_configuration(request: HttpRequest) -> HttpResponse:
    """Answer with who issues the tokens, and where the keys are."""
    keys = request.build_absolute_uri(reverse("rotating_sessions_fdi:jwks"))
    response = JsonResponse({"issuer": get_conf().issuer, "jwks_uri": keys})
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response
