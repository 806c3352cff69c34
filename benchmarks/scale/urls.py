"""What is asked of the site: the package's own endpoints and pages, and two views."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path


def _who_by_claims(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"user": request.session_family.user_pk})


def _who_by_user(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"user": str(request.user.pk)})


urlpatterns = [
    path("admin/", admin.site.urls),
    path("auth/", include("rotating_sessions.urls")),
    path("sessions/", include("rotating_sessions.urls_html")),
    path("claims/", _who_by_claims),
    path("user/", _who_by_user),
    # Where the pages send whoever is not signed in: nobody here.
    path("sign-in/", _who_by_claims, name="sign-in"),
]
