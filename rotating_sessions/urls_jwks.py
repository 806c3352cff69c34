"""The public keys. Mount them apart: `path(".well-known/", include(...))`."""

from __future__ import annotations

from django.urls import path

from rotating_sessions.authentication import session_exempt
from rotating_sessions.views.endpoint import never_atomic
from rotating_sessions.views.jwks import show_public_keys

app_name = "rotating_sessions_jwks"

urlpatterns = [
    path("jwks.json", never_atomic(session_exempt(show_public_keys)), name="jwks"),
]
