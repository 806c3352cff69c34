"""The endpoints, below the SDK's apiBasePath: `path("auth/", include(...))`."""

from __future__ import annotations

from django.urls import path

from rotating_sessions.authentication import session_exempt
from rotating_sessions.fdi.discovery import show_configuration, show_keys
from rotating_sessions.fdi.views import RefreshView, SignOutView
from rotating_sessions.views.endpoint import never_atomic

app_name = "rotating_sessions_fdi"

_refresh = never_atomic(session_exempt(RefreshView.as_view()))
_sign_out = never_atomic(session_exempt(SignOutView.as_view()))
_keys = never_atomic(session_exempt(show_keys))
_configuration = never_atomic(session_exempt(show_configuration))

# Without a slash at their ends, because the SDKs ask for them so.
urlpatterns = [
    path("session/refresh", _refresh, name="refresh"),
    path("signout", _sign_out, name="sign-out"),
    path("jwt/jwks.json", _keys, name="jwks"),
    path(".well-known/openid-configuration", _configuration, name="configuration"),
]
