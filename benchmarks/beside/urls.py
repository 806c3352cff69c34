"""Each contender's endpoints, and the view that all guard: each its own copy of it."""

from __future__ import annotations

from collections.abc import Callable

from allauth.headless.contrib.rest_framework.authentication import (
    JWTTokenAuthentication,
)
from django.http import HttpRequest, HttpResponseBase
from django.urls import include, path
from knox.auth import TokenAuthentication
from oauth2_provider.contrib.rest_framework import OAuth2Authentication
from oauth2_provider.views import TokenView
from rest_framework_simplejwt.authentication import (
    JWTAuthentication,
    JWTStatelessUserAuthentication,
)
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

from benchmarks.beside.views import (
    PageView,
    SubjectView,
    WhoView,
    ask_one_query,
    log_in_to_django,
    nobody,
    update_one_row,
    who_by_claims,
    who_by_supertokens,
    who_by_user,
)
from rotating_sessions.authentication import RotatingSessionAuthentication

_View = Callable[..., HttpResponseBase]


def _drf(authentication: type) -> _View:
    return WhoView.as_view(authentication_classes=[authentication])


_GUARDED: dict[str, _View] = {
    "nobody": nobody,
    "nobody-drf": WhoView.as_view(),
    "ours": who_by_claims,
    "ours-user": who_by_user,
    "ours-query": ask_one_query,
    "ours-page": PageView.as_view(),
    "ours-drf": _drf(RotatingSessionAuthentication),
    "simplejwt": _drf(JWTStatelessUserAuthentication),
    "simplejwt-user": _drf(JWTAuthentication),
    "allauth": SubjectView.as_view(authentication_classes=[JWTTokenAuthentication]),
    "allauth-user": _drf(JWTTokenAuthentication),
    "knox": _drf(TokenAuthentication),
    "oauth": _drf(OAuth2Authentication),
    "supertokens": who_by_supertokens,
    "django": who_by_user,
}


def guarded(request: HttpRequest, name: str) -> HttpResponseBase:
    """Answer who asks, as the contender of this name knows."""
    return _GUARDED[name](request)


urlpatterns = [
    # One path for all: whose stands first in a list of them is found sooner.
    path("guarded/<str:name>/", guarded),
    path("update/", update_one_row),
    path("ours/", include("rotating_sessions.urls")),
    path("simplejwt/login/", TokenObtainPairView.as_view()),
    path("simplejwt/refresh/", TokenRefreshView.as_view()),
    path("allauth/", include("allauth.headless.urls")),
    path("oauth/token/", TokenView.as_view()),
    path("django/login/", log_in_to_django),
]
