"""The routes of the suite, and Django's pages about passwords."""

from __future__ import annotations

from django.urls import include, path

from tests import urls

urlpatterns = [
    *urls.urlpatterns,
    path("accounts/", include("django.contrib.auth.urls")),
]
