"""Each contender under a prefix of its own."""

from __future__ import annotations

from allauth.headless.contrib.rest_framework.authentication import (
    JWTTokenAuthentication,
)
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
    SubjectView,
    WhoView,
    log_in_to_django,
    nobody,
    update_one_row,
    who_by_claims,
    who_by_supertokens,
    who_by_user,
)
from rotating_sessions.authentication import RotatingSessionAuthentication


def _drf(authentication: type) -> object:
    return WhoView.as_view(authentication_classes=[authentication])


urlpatterns = [
    path("floor/django/", nobody),
    path("floor/drf/", WhoView.as_view()),
    path("floor/update/", update_one_row),
    path("ours/", include("rotating_sessions.urls")),
    path("ours/claims/", who_by_claims),
    path("ours/user/", who_by_user),
    path("ours/drf/", _drf(RotatingSessionAuthentication)),
    path("simplejwt/login/", TokenObtainPairView.as_view()),
    path("simplejwt/refresh/", TokenRefreshView.as_view()),
    path("simplejwt/stateless/", _drf(JWTStatelessUserAuthentication)),
    path("simplejwt/user/", _drf(JWTAuthentication)),
    path("allauth/", include("allauth.headless.urls")),
    path(
        "allauth/claims/",
        SubjectView.as_view(authentication_classes=[JWTTokenAuthentication]),
    ),
    path("allauth/user/", _drf(JWTTokenAuthentication)),
    path("knox/user/", _drf(TokenAuthentication)),
    path("oauth/token/", TokenView.as_view()),
    path("oauth/user/", _drf(OAuth2Authentication)),
    path("supertokens/claims/", who_by_supertokens),
    path("django/login/", log_in_to_django),
    path("django/user/", who_by_user),
]
