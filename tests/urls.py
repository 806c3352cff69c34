"""The routes of the suite, mounted as the README shows."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from tests import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("auth/", include("rotating_sessions.urls")),
    path(".well-known/", include("rotating_sessions.urls_jwks")),
    path("account/sessions/", include("rotating_sessions.urls_html")),
    path("plain/", views.plain),
    path("plain-async/", views.plain_async),
    path("whoami/", views.whoami),
    path("whoami-async/", views.whoami_async),
    path("hooks/whoami/", views.whoami),
    path("hooks/broken/", views.broken),
    path("status/", views.status),
    path("page/", views.page),
    path("sign-in/", views.front_page, name="sign-in"),
    path("", views.front_page),
    path("broken/", views.broken),
    path("api/profile/", views.ProfileView.as_view()),
    path("api/staff/", views.StaffView.as_view()),
    path("api/codes/", views.CodesView.as_view()),
    path("api/codes/open/", views.OpenCodesView.as_view()),
    path("api/verified/", views.VerifiedView.as_view()),
    path("api/edit/", views.EditView.as_view()),
    path("verified/", views.verified),
    path("edit/", views.edit),
    path("edit/async/", views.edit_async),
    path("edit/class/", views.EditPage.as_view()),
    path("edit/exempt/", views.exempt_edit),
    path("codes/", views.codes),
    path("codes/fresh/", views.fresh_codes),
    path("codes/async/", views.codes_async),
    path("codes/class/", views.CodesPage.as_view()),
    path("codes/class-async/", views.AsyncCodesPage.as_view()),
    path("codes/method-async/", views.AsyncCodesMethod.as_view()),
    path("leave/", views.leave),
    path("api/leave/", views.LeaveView.as_view()),
    path("leave-async/", views.leave_async),
    path("leave-exempt/", views.leave_exempt),
    path("codes/exempt/", views.exempt_codes),
]
