"""The endpoints. Mount them where you like: `path("auth/", include(...))`."""

from __future__ import annotations

from django.urls import path

from rotating_sessions.authentication import session_exempt
from rotating_sessions.views.endpoint import never_atomic
from rotating_sessions.views.pages import RefreshPage
from rotating_sessions.views.reauthentication import ReauthenticateView
from rotating_sessions.views.sessions import (
    LogoutEverywhereView,
    SessionListView,
    SessionView,
)
from rotating_sessions.views.tokens import LoginView, LogoutView, RefreshView

app_name = "rotating_sessions"

_login = never_atomic(session_exempt(LoginView.as_view()))
_refresh = never_atomic(session_exempt(RefreshView.as_view()))
_refresh_page = never_atomic(session_exempt(RefreshPage.as_view()))
_logout = never_atomic(session_exempt(LogoutView.as_view()))
_logout_everywhere = never_atomic(LogoutEverywhereView.as_view())
_reauthenticate = never_atomic(ReauthenticateView.as_view())
_sessions = never_atomic(SessionListView.as_view())
_session = never_atomic(SessionView.as_view())

urlpatterns = [
    path("login/", _login, name="login"),
    path("refresh/", _refresh, name="refresh"),
    path("refresh-page/", _refresh_page, name="refresh-page"),
    path("logout/", _logout, name="logout"),
    path("logout-everywhere/", _logout_everywhere, name="logout-everywhere"),
    path("reauthenticate/", _reauthenticate, name="reauthenticate"),
    path("sessions/", _sessions, name="sessions"),
    path("sessions/<str:family_id>/", _session, name="session"),
]
