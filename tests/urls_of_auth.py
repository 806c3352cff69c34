"""The endpoints alone, as the example project mounts them."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [path("auth/", include("rotating_sessions.urls"))]
