"""The routes of the suite, mounted as the README shows."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("auth/", include("rotating_sessions.urls")),
]
