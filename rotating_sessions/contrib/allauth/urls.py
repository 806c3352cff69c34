"""allauth's headless API: `path("_allauth/", include(...))`, in place of its own."""

from __future__ import annotations

from allauth.headless.constants import Client
from django.urls import include, path

from rotating_sessions.authentication import session_exempt
from rotating_sessions.contrib.allauth.views import RefreshView
from rotating_sessions.views.endpoint import never_atomic

_refresh = never_atomic(session_exempt(RefreshView.as_api_view(client=Client.APP)))

urlpatterns = [
    # The first of this path wins; `reverse` knows it by allauth's name.
    path("app/v1/tokens/refresh", _refresh),
    path("", include("allauth.headless.urls")),
]
