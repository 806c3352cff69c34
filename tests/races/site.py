"""The site that is raced over: the suite's routes, and a page to change a password."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from rotating_sessions.services import keep_session_after_password_change
from tests.races.patience import patiently
from tests.urls import urlpatterns as suite

LIMIT = 4
SETTINGS: dict[str, Any] = {
    "ROOT_URLCONF": __name__,
    "ROTATING_SESSIONS": {
        "LOGIN_RATE": None,
        "REFRESH_RATE": None,
        "RETENTION": timedelta(days=30),
        "SESSION_LIMIT": LIMIT,
        "TOKEN_HISTORY": 1,
    },
}


@csrf_exempt
@transaction.non_atomic_requests
def change_password(request: HttpRequest) -> HttpResponse:
    """Change the password, keep the session that asks and end the others."""
    user: Any = request.user
    if not user.is_authenticated:
        return HttpResponse(status=403)
    user.set_password(json.loads(request.body)["password"])

    def change() -> int:
        with transaction.atomic():
            users = get_user_model().objects.filter(pk=user.pk)
            changed = users.update(password=user.password)
            if changed:
                keep_session_after_password_change(request, user)
            return changed

    return HttpResponse(status=204 if patiently(change) else 404)


urlpatterns = [*suite, path("password/", change_password)]
