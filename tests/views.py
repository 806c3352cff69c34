"""The site around the package: small views, and a database that goes away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from django.contrib.auth.decorators import login_required
from django.db import OperationalError, connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test.utils import CaptureQueriesContext
from django.views.decorators.cache import cache_control
from rest_framework.permissions import IsAdminUser, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from rotating_sessions.authentication import (
    RotatingSessionAuthentication,
    session_exempt,
)

ACCESS = "__Host-rs_access"
REFRESH = "__Host-rs_refresh"


def plain(request: HttpRequest) -> HttpResponse:
    """Answer without a look at the user."""
    return HttpResponse("plain")


def whoami(request: HttpRequest) -> JsonResponse:
    """Answer with the user's name, and with what the access token says."""
    return _describe(request.user, request.session_family)


@transaction.non_atomic_requests
async def plain_async(request: HttpRequest) -> HttpResponse:
    """Answer without a look at the user."""
    return HttpResponse("plain")


@transaction.non_atomic_requests
async def whoami_async(request: HttpRequest) -> JsonResponse:
    """Answer with the user's name, and with what the access token says."""
    return _describe(await request.auser(), request.session_family)


@login_required
def page(request: HttpRequest) -> HttpResponse:
    """Show a page to whoever is logged in."""
    return HttpResponse(f"<h1>Hello {request.user.get_username()}</h1>")


@cache_control(public=True, max_age=600)
def front_page(request: HttpRequest) -> HttpResponse:
    """Show a page to anybody, and let caches keep it."""
    return HttpResponse("<h1>Welcome</h1>")


@session_exempt
def status(request: HttpRequest) -> JsonResponse:
    """Answer whatever the token is worth."""
    return _describe(request.user, request.session_family)


def broken(request: HttpRequest) -> NoReturn:
    """Fail, as views do."""
    raise ZeroDivisionError(f"{request.user} broke it")


class ProfileView(APIView):
    """An API for whoever is logged in."""

    authentication_classes = (RotatingSessionAuthentication,)
    permission_classes = (IsAuthenticated,)

    def get(self, request: Request) -> Response:
        """Answer with the user's name and the session's generation."""
        name = request.user.get_username()
        return Response({"user": name, "generation": request.auth.generation})

    def post(self, request: Request) -> Response:
        """Answer as GET does."""
        return self.get(request)


class StaffView(ProfileView):
    """An API for staff."""

    permission_classes = (IsAdminUser,)


def _describe(user: Any, claims: Any) -> JsonResponse:
    if claims is None:
        return JsonResponse({"user": user.get_username(), "session": None})
    session = {
        "id": str(claims.family_id),
        "generation": claims.generation,
        "expires_at": int(claims.expires_at.timestamp()),
        "auth_time": int(claims.auth_time.timestamp()),
    }
    return JsonResponse({"user": user.get_username(), "session": session})


@contextmanager
def database_down(
    only: str = "", error: type[Exception] = OperationalError
) -> Iterator[None]:
    """Make the database fail every statement, or those with the given text in them."""

    def fail(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001
        if only in sql:
            raise error("the server has gone away")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(fail):
        yield


def count(queries: CaptureQueriesContext) -> tuple[int, int]:
    """Return how many statements read and how many write."""
    verbs = [query["sql"].lstrip().split()[0] for query in queries.captured_queries]
    return verbs.count("SELECT"), sum(
        verb in {"INSERT", "UPDATE", "DELETE", "REPLACE"} for verb in verbs
    )


def clears_cookies(response: Any) -> bool:
    """Tell whether the response makes the browser forget both session cookies."""
    return all(
        name in response.cookies
        and response.cookies[name].value == ""
        and response.cookies[name]["max-age"] == 0
        for name in (ACCESS, REFRESH)
    )


def touches_cookies(response: Any) -> bool:
    """Tell whether the response sets or clears any session cookie."""
    return ACCESS in response.cookies or REFRESH in response.cookies
