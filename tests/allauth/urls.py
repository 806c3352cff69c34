"""The routes of the suite, and those of allauth."""

from __future__ import annotations

from django.contrib.auth.views import LoginView
from django.urls import include, path

from tests.urls import urlpatterns as routes

urlpatterns = [
    *routes,
    path("_allauth/", include("rotating_sessions.contrib.allauth.urls")),
    path("accounts/", include("allauth.urls")),
    path("plain-login/", LoginView.as_view(template_name="admin/login.html")),
]
