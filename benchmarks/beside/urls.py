"""Each contender under a prefix of its own."""

from __future__ import annotations

from django.urls import include, path
from rest_framework_simplejwt.authentication import (
    JWTAuthentication,
    JWTStatelessUserAuthentication,
)
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

from benchmarks.beside.views import (
    WhoView,
    log_in_to_django,
    nobody,
    update_one_row,
    who_by_claims,
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
    path("django/login/", log_in_to_django),
    path("django/user/", who_by_user),
]
