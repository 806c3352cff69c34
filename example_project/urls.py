"""The routes: pages, an API, the admin, and the endpoints of the sessions."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from example_project import views

urlpatterns = [
    path("", views.home, name="home"),
    path("sign-in/", views.sign_in, name="sign-in"),
    path("sign-out/", views.sign_out, name="sign-out"),
    path("account/", views.account, name="account"),
    path("account/sessions/", include("rotating_sessions.urls_html")),
    path("mails/", views.mails, name="mails"),
    path("account/export/", views.export, name="export"),
    path("api/whoami/", views.WhoAmI.as_view(), name="whoami"),
    path("auth/", include("rotating_sessions.urls")),
    path("admin/", admin.site.urls),
]
