"""
What is done in a race, as the request of a user or of staff does it.

Over HTTP where there is an endpoint for it, so that an answer 5xx is seen as one.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.http import HttpResponseBase

from rotating_sessions.services import purge_sessions
from tests.browsing import HOME, Api, bearer
from tests.factories import PASSWORD
from tests.races.patience import patiently
from tests.races.stage import Held

# Of one client: mostly at home, and in as many networks as a session remembers.
_ADDRESSES = [HOME, "198.51.100.1", HOME, "198.51.100.2", HOME, "198.51.100.3"]
_ADMIN = "/admin/rotating_sessions/sessionfamily/"
_CSRF = "0123456789abcdef" * 2


def refresh(held: Held, seat: int) -> HttpResponseBase:
    api = Api(REMOTE_ADDR=_ADDRESSES[seat % len(_ADDRESSES)])
    return api.send("/auth/refresh/", {"refresh": held.refresh})


def confirm(held: Held, seat: int) -> HttpResponseBase:
    return Api().get("/plain/", **bearer(held.access))


def reauthenticate(held: Held, seat: int) -> HttpResponseBase:
    password = {"password": PASSWORD}
    return Api().send("/auth/reauthenticate/", password, **bearer(held.access))


def log_out(held: Held, seat: int) -> HttpResponseBase:
    return Api().send("/auth/logout/", {"refresh": held.refresh})


def log_out_everywhere(held: Held, seat: int) -> HttpResponseBase:
    return Api().send("/auth/logout-everywhere/", **bearer(held.access))


def revoke_as_staff(held: Held, seat: int) -> HttpResponseBase:
    api = Api(HTTP_X_CSRFTOKEN=_CSRF)
    api.cookies[settings.CSRF_COOKIE_NAME] = _CSRF
    api.cookies[settings.SESSION_COOKIE_NAME] = held.staff_cookie
    form = {"action": "revoke_selected", "_selected_action": str(held.family_id)}
    response = api.post(_ADMIN, form)
    assert response.headers["Location"] == _ADMIN, "not the login page"
    return response


def purge(held: Held, seat: int) -> None:
    list(purge_sessions(batch_size=3))


def change_password(held: Held, seat: int) -> HttpResponseBase:
    new = {"password": f"another one {seat}"}
    return Api().send("/password/", new, **bearer(held.access))


def log_in_beyond_limit(held: Held, seat: int) -> HttpResponseBase:
    credentials = {"username": held.username, "password": PASSWORD}
    return Api().send("/auth/login/", credentials)


def delete_user(held: Held, seat: int) -> None:
    users = get_user_model().objects.filter(pk=held.user_pk)
    patiently(partial(_delete_each, users))


def _delete_each(users: Any) -> None:
    for user in users:
        user.delete()
