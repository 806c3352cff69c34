"""Django's own logout ends the session of the request."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth import logout
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.signals import user_logged_out
from django.http import HttpRequest

from rotating_sessions.models import RevokedReason, SessionFamily
from tests.browsing import (
    ACCESS,
    Api,
    bearer,
    clears_cookies,
    database_down,
    refusal,
    touches_cookies,
)

pytestmark = pytest.mark.django_db(transaction=True)


def family():
    return SessionFamily.objects.get()


def test_logout_ends_a_session_by_cookie(api, user):
    """A view that calls Django's logout revokes, and takes the cookies away."""
    api.log_in(user, transport="cookie")

    answer = api.send("/leave/")

    assert answer.json() == {"user": "", "session": None}
    assert clears_cookies(answer)
    assert answer["Cache-Control"] == "no-store"
    assert family().revoked_reason == RevokedReason.LOGOUT


def test_logout_ends_a_session_by_header(api, user):
    """Where the token came in a header, it is of no use afterwards."""
    access = api.log_in(user)["access"]
    api.get("/auth/login/")

    answer = api.send("/leave/", **bearer(access))

    assert answer.status_code == 200
    assert not touches_cookies(answer)
    assert family().revoked_reason == RevokedReason.LOGOUT
    assert refusal(api.get("/whoami/", **bearer(access))) == (401, "session_ended")


def test_logout_in_a_view_of_drf_ends_the_session(api, user):
    """The request that DRF wraps is the one that the middleware looks at."""
    api.log_in(user, transport="cookie")

    answer = api.send("/api/leave/")

    assert answer.status_code == 204
    assert clears_cookies(answer)
    assert family().revoked_reason == RevokedReason.LOGOUT


def test_logout_in_an_async_view_ends_the_session(api, user):
    """`alogout` does the same."""
    api.log_in(user, transport="cookie")

    answer = api.send("/leave-async/")

    assert clears_cookies(answer)
    assert family().revoked_reason == RevokedReason.LOGOUT


def test_logout_by_an_old_token_ends_the_session(api, user, clock):
    """An exempt view logs out whoever the token proves, however old it is."""
    api.log_in(user, transport="cookie")
    clock.forward(timedelta(hours=2))

    answer = api.send("/leave-exempt/")

    assert clears_cookies(answer)
    assert family().revoked_reason == RevokedReason.LOGOUT


def test_other_sessions_go_on(api, user):
    """A logout is about one device."""
    other = Api().log_in(user)["access"]
    api.log_in(user, transport="cookie")

    api.send("/leave/")

    answer = api.get("/whoami/", **bearer(other))
    assert answer.json()["user"] == user.get_username()


def test_logout_of_djangos_session_alone_ends_no_session(api, user):
    """Without a token of ours there is none to end."""
    other = Api().log_in(user)["access"]
    api.get("/auth/login/")
    api.force_login(user)

    answer = api.send("/leave/")

    assert answer.json()["user"] == ""
    assert Api().get("/whoami/", **bearer(other)).status_code == 200


def test_logout_in_the_admin_leaves_the_session_alone(api, user):
    """On a path of EXEMPT_PATHS it is Django's session that ends."""
    user.is_staff = True
    user.save()
    api.log_in(user, transport="cookie")
    api.force_login(user)

    answer = api.send("/admin/logout/")

    assert answer.status_code == 200
    assert not touches_cookies(answer)
    assert family().revoked_at is None


def test_logout_outside_of_a_request_is_djangos_own(user):
    """A request that no middleware has seen, and none at all, end nothing."""
    user_logged_out.send(type(user), request=None, user=user)
    request = HttpRequest()
    request.session = Api().session
    request.user = user

    logout(request)

    assert isinstance(request.user, AnonymousUser)


def test_logout_fails_with_the_database(api, user):
    """Where nothing can be revoked the answer is 503, and nobody is logged out."""
    api.log_in(user, transport="cookie")
    api.get("/whoami/")

    with database_down(only="UPDATE"):
        answer = api.send("/leave/")

    assert refusal(answer) == (503, "unavailable")
    assert ACCESS not in answer.cookies
    assert family().revoked_at is None
