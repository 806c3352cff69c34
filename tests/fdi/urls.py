"""The routes of a site whose front end is a SuperTokens one."""

from __future__ import annotations

from django.urls import include, path

from tests.fdi import views

urlpatterns = [
    path("", views.front_end),
    path("auth/", include("rotating_sessions.fdi.urls")),
    path("sessions/", include("rotating_sessions.urls")),
    path("api/sign-in", views.sign_in),
    path("api/whoami", views.whoami),
    path("api/note", views.note),
    path("api/staff", views.staff),
    path("api/verified", views.verified),
    path("plain/verified", views.plain_verified),
    path("plain/staff", views.plain_staff),
    path("plain/broken", views.broken),
]
