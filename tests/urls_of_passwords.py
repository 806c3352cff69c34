"""The routes of the suite, and views that change passwords as Django's do."""

from __future__ import annotations

from typing import NoReturn

from django.contrib.auth import (
    aupdate_session_auth_hash,
    get_user_model,
    login,
    logout,
    update_session_auth_hash,
)
from django.contrib.auth.views import PasswordChangeView, PasswordResetConfirmView
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from rotating_sessions.authentication import RotatingSessionAuthentication
from tests import urls

NEW = "a longer horse battery"


def change(request: HttpRequest) -> HttpResponse:
    """Set another password, as Django's view does."""
    user = request.user
    user.set_password(NEW)
    user.save()
    update_session_auth_hash(request, user)
    return HttpResponse("changed")


@transaction.non_atomic_requests
async def change_async(request: HttpRequest) -> HttpResponse:
    """Set another password."""
    user = await request.auser()
    user.set_password(NEW)
    await user.asave()
    await aupdate_session_auth_hash(request, user)
    return HttpResponse("changed")


class ChangeView(APIView):
    """Set another password, from a view of DRF."""

    authentication_classes = (RotatingSessionAuthentication,)

    def post(self, request: Request) -> Response:
        """Answer nothing."""
        change(request)
        return Response(status=204)


@transaction.non_atomic_requests
def change_and_undo(request: HttpRequest) -> HttpResponse:
    """Set another password, and find that it cannot be."""
    with transaction.atomic():
        change(request)
        transaction.set_rollback(True)
    return HttpResponse("refused", status=422)


@transaction.non_atomic_requests
def change_and_fail(request: HttpRequest) -> NoReturn:
    """Set another password, and fail at what comes next."""
    change(request)
    raise ZeroDivisionError


def change_and_leave(request: HttpRequest) -> HttpResponse:
    """Set another password, and log out."""
    change(request)
    logout(request)
    return HttpResponse("left")


def change_and_log_in(request: HttpRequest) -> HttpResponse:
    """Set another password, and log in by Django's session."""
    user = get_user_model().objects.get(pk=request.user.pk)
    user.set_password(NEW)
    user.save()
    login(request, user)
    return HttpResponse("changed")


def change_nothing(request: HttpRequest) -> HttpResponse:
    """Note the hash of the same password."""
    update_session_auth_hash(request, request.user)
    return HttpResponse("the same")


def delete(request: HttpRequest) -> HttpResponse:
    """Note the hash of somebody who then goes."""
    user = request.user
    update_session_auth_hash(request, user)
    user.delete()
    return HttpResponse("gone")


def gather(request: HttpRequest) -> HttpResponse:
    """Note something in Django's session, for whoever is logged in or not."""
    request.session["basket"] = ["tea"]
    return HttpResponse(request.user.get_username())


urlpatterns = [
    *urls.urlpatterns,
    path("password/", PasswordChangeView.as_view(success_url="/plain/")),
    path("password/async/", change_async),
    path("password/undo/", change_and_undo),
    path("password/fail/", change_and_fail),
    path("password/leave/", change_and_leave),
    path("password/log-in/", change_and_log_in),
    path("password/same/", change_nothing),
    path("password/delete/", delete),
    path("api/password/", ChangeView.as_view()),
    path("gather/", gather),
    path(
        "reset/<uidb64>/<token>/",
        PasswordResetConfirmView.as_view(success_url="/plain/"),
    ),
]
