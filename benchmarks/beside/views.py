"""The view that all contenders guard: it answers who asks."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model, login
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import ModelSerializer
from rest_framework.views import APIView
from supertokens_python.recipe.session.framework.django.syncio import verify_session

from rotating_sessions.authentication import RotatingSessionAuthentication

__all__ = [
    "PageView",
    "SubjectView",
    "WhoView",
    "ask_one_query",
    "log_in_to_django",
    "nobody",
    "update_one_row",
    "who_by_claims",
    "who_by_supertokens",
    "who_by_user",
]


class WhoView(APIView):
    """The view in DRF, with the authentication that `as_view` is given."""

    authentication_classes: list[Any] = []

    def get(self, request: Request) -> HttpResponse:
        """Answer who asks."""
        return _answer(request.user.pk)


class SubjectView(WhoView):
    """The view in DRF, that reads no more than the claims."""

    def get(self, request: Request) -> HttpResponse:
        """Answer who asks."""
        return _answer(request.auth["sub"])


class PageView(APIView):
    """A page of a list, as many an API has it: of users, because there are many."""

    authentication_classes = [RotatingSessionAuthentication]
    permission_classes = [IsAuthenticated]

    def get(self, request: Request) -> Response:
        """Answer with twenty rows."""
        rows = _users().order_by("pk")[:20]
        return Response(_UserSerializer(rows, many=True).data)


class _UserSerializer(ModelSerializer):
    class Meta:
        model = get_user_model()
        fields = ["id", "username", "first_name", "last_name", "email", "date_joined"]


def nobody(_request: HttpRequest) -> HttpResponse:
    """Answer that nobody asks."""
    return _answer(None)


def who_by_claims(request: HttpRequest) -> HttpResponse:
    """Answer who asks, as the token says."""
    return _answer(request.session_family.user_pk)


@verify_session()
def who_by_supertokens(request: HttpRequest) -> HttpResponse:
    """Answer who asks, as supertokens-python says."""
    return _answer(request.supertokens.get_user_id())


def who_by_user(request: HttpRequest) -> HttpResponse:
    """Answer who asks, as the user says."""
    return _answer(request.user.pk)


def ask_one_query(_request: HttpRequest) -> HttpResponse:
    """Answer with one row."""
    return JsonResponse(_users().values("id", "username", "email").get(pk=1))


@csrf_exempt
def log_in_to_django(request: HttpRequest) -> HttpResponse:
    """Begin one of Django's own sessions."""
    user = _users().get_by_natural_key(request.POST["username"])
    login(request, user, "django.contrib.auth.backends.ModelBackend")
    return _answer(request.user.pk)


@csrf_exempt
def update_one_row(_request: HttpRequest) -> HttpResponse:
    """Write what a refresh writes at least: one row, by its primary key."""
    _users().filter(pk=1).update(last_login=timezone.now())
    return _answer(None)


def _users() -> Any:
    return get_user_model().objects


def _answer(user_pk: Any) -> HttpResponse:
    return JsonResponse({"user": None if user_pk is None else str(user_pk)})
