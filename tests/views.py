"""The site around the package: small views, and a database that goes away."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NoReturn

from django.contrib.auth import alogout, logout
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import cache_control
from rest_framework.authentication import BasicAuthentication
from rest_framework.permissions import IsAdminUser, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from rotating_sessions.authentication import (
    RotatingSessionAuthentication,
    session_exempt,
)
from rotating_sessions.permissions import (
    HasClaim,
    RecentLogin,
    claim_required,
    recent_login_required,
)


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


def name_the_user(get_response: Any) -> Any:
    """Read the user in a middleware, as sites do to pick a language or a time zone."""

    def middleware(request: HttpRequest) -> HttpResponse:
        name = request.user.get_username()
        response = get_response(request)
        response["X-User"] = name
        return response

    return middleware


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


class CodesView(ProfileView):
    """An API for a recent login."""

    permission_classes = (IsAuthenticated, RecentLogin)


class FreshLogin(RecentLogin):
    """A permission of the site's own, for a minute."""

    max_age = timedelta(minutes=1)


class OpenCodesView(APIView):
    """An API for a recent login that authenticates by nothing of ours."""

    authentication_classes = (BasicAuthentication,)
    permission_classes = (FreshLogin,)


@recent_login_required
def codes(request: HttpRequest) -> HttpResponse:
    """Show what takes a recent login."""
    return HttpResponse(f"codes of {request.user.get_username()}")


@recent_login_required(max_age=timedelta(minutes=1))
def fresh_codes(request: HttpRequest) -> HttpResponse:
    """Show what takes a login of the last minute."""
    return codes(request)


@transaction.non_atomic_requests
@recent_login_required
async def codes_async(request: HttpRequest) -> HttpResponse:
    """Show what takes a recent login."""
    user = await request.auser()
    return HttpResponse(f"codes of {user.get_username()}")


@method_decorator(recent_login_required, name="dispatch")
class CodesPage(View):
    """Show what takes a recent login."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Answer with the user's name."""
        return codes(request)


@method_decorator(transaction.non_atomic_requests, name="dispatch")
@method_decorator(recent_login_required, name="dispatch")
class AsyncCodesPage(View):
    """Show what takes a recent login."""

    async def get(self, request: HttpRequest) -> HttpResponse:
        """Answer with the user's name."""
        return await codes_async(request)


@method_decorator(transaction.non_atomic_requests, name="dispatch")
class AsyncCodesMethod(View):
    """Show by one method what takes a recent login."""

    @method_decorator(recent_login_required)
    async def get(self, request: HttpRequest) -> HttpResponse:
        """Answer with the user's name."""
        return await codes_async(request)


exempt_codes = session_exempt(recent_login_required(status))


def leave(request: HttpRequest) -> JsonResponse:
    """Log out as Django does, and answer who is left."""
    logout(request)
    return _describe(request.user, request.session_family)


@transaction.non_atomic_requests
async def leave_async(request: HttpRequest) -> JsonResponse:
    """Log out as Django does, and answer who is left."""
    await alogout(request)
    return _describe(request.user, request.session_family)


class LeaveView(APIView):
    """Log out as Django does, from a view of DRF."""

    authentication_classes = (RotatingSessionAuthentication,)

    def post(self, request: Request) -> Response:
        """Answer whoever is left."""
        logout(request)
        return Response(status=204)


@session_exempt
def leave_exempt(request: HttpRequest) -> JsonResponse:
    """Log out as Django does, whatever the token is worth."""
    return leave(request)


@claim_required("email_verified")
def verified(request: HttpRequest) -> HttpResponse:
    """Show what takes a verified address."""
    return HttpResponse("verified")


@claim_required("roles", includes="editor", max_age=timedelta(minutes=5))
def edit(request: HttpRequest) -> HttpResponse:
    """Show what takes a role, of the last five minutes."""
    return HttpResponse("edited")


@transaction.non_atomic_requests
@claim_required("roles", includes="editor", max_age=timedelta(minutes=5))
async def edit_async(request: HttpRequest) -> HttpResponse:
    """Show what takes a role, of the last five minutes."""
    return HttpResponse("edited")


@method_decorator(
    claim_required("roles", includes="editor", max_age=timedelta(minutes=5)),
    name="dispatch",
)
class EditPage(View):
    """Show what takes a role, of the last five minutes."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Answer with a word."""
        return HttpResponse("edited")


class VerifiedView(ProfileView):
    """An API for a verified address, by the permission of a site's own."""

    class IsVerified(HasClaim):
        """Permit who has a verified address."""

        claim = "email_verified"

    permission_classes = (IsVerified,)


class EditView(ProfileView):
    """An API for a role."""

    class IsEditor(HasClaim):
        """Permit who was an editor at most five minutes ago."""

        claim = "roles"
        includes = "editor"
        max_age = timedelta(minutes=5)

    permission_classes = (IsEditor,)


exempt_edit = session_exempt(edit)


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
