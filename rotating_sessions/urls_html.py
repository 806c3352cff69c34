"""Pages for users. Mount them apart: `path("account/sessions/", include(...))`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.urls import path

from rotating_sessions.authentication import session_exempt
from rotating_sessions.views.account import DismissPage, SessionsPage
from rotating_sessions.views.confirmation import ReauthenticatePage
from rotating_sessions.views.endings import (
    EndOthersPage,
    EndSessionPage,
    LoggedOutPage,
    LogOutEverywherePage,
    LogOutPage,
)
from rotating_sessions.views.endpoint import never_atomic
from rotating_sessions.views.html import Page

app_name = "rotating_sessions_pages"


def _show(page: type[Page]) -> Callable[..., Any]:
    return never_atomic(session_exempt(page.as_view()))


urlpatterns = [
    path("", _show(SessionsPage), name="sessions"),
    path("<uuid:family_id>/end/", _show(EndSessionPage), name="end"),
    path("end-others/", _show(EndOthersPage), name="end-others"),
    path("dismiss/", _show(DismissPage), name="dismiss"),
    path("log-out/", _show(LogOutPage), name="log-out"),
    path("logged-out/", _show(LoggedOutPage), name="logged-out"),
    path("log-out-everywhere/", _show(LogOutEverywherePage), name="log-out-everywhere"),
    path("reauthenticate/", _show(ReauthenticatePage), name="reauthenticate"),
]
