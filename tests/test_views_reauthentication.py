"""`reauthenticate/`: confirm the password, and go on in the same session."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.backends import ModelBackend
from django.utils import timezone

from rotating_sessions.models import RefreshToken, SessionFamily
from tests.acting import START
from tests.browsing import (
    ACCESS,
    HOME,
    REFRESH,
    TRAIN,
    Api,
    bearer,
    clears_cookies,
    database_down,
    refusal,
    rows,
    touches_cookies,
)
from tests.factories import PASSWORD


class RevokingBackend(ModelBackend):
    """A backend that takes so long that staff is faster."""

    def authenticate(self, *args: Any, **kwargs: Any) -> Any:
        """Answer as Django does, while all sessions are revoked."""
        SessionFamily.objects.update(revoked_at=timezone.now())
        return super().authenticate(*args, **kwargs)


pytestmark = pytest.mark.django_db(transaction=True)

URL = "/auth/reauthenticate/"
RIGHT = {"password": PASSWORD}
LATER = timedelta(minutes=20)


def test_password_is_answered_with_an_access_token(api, user, clock):
    """In header transport the answer is a new access token, and how long it serves."""
    access = api.log_in(user)["access"]
    clock.forward(LATER)

    response = api.send(URL, RIGHT, **bearer(access))

    body = response.json()
    assert response.status_code == 200
    assert body.keys() == {"access", "expires_in"}
    assert body["expires_in"] == 1800
    assert body["access"] != access
    assert response["Cache-Control"] == "no-store"
    assert not touches_cookies(response)
    claims = api.get("/whoami/", **bearer(body["access"])).json()["session"]
    assert claims["auth_time"] == int((START + LATER).timestamp())
    assert claims["generation"] == 0
    assert RefreshToken.objects.count() == 1


def test_password_is_answered_with_an_access_cookie(api, user, clock):
    """In cookie transport the access cookie is set, and the refresh cookie is left."""
    api.log_in(user, "cookie")
    held = {name: api.cookies[name].value for name in (ACCESS, REFRESH)}
    clock.forward(LATER)

    response = api.send(URL, RIGHT)

    assert response.json() == {"expires_in": 1800}
    assert REFRESH not in response.cookies
    assert response.cookies[ACCESS].value not in {"", held[ACCESS]}
    assert api.get("/codes/").status_code == 200
    assert api.send("/auth/refresh/").status_code == 200


def test_wrong_password_is_403_and_the_session_goes_on(api, user, clock):
    """A client takes 401 for the end of its token, and this is not."""
    api.log_in(user, "cookie")
    clock.forward(LATER)
    before = rows()

    response = api.send(URL, {"password": "wrong"})

    assert refusal(response) == (403, "invalid_credentials")
    assert not touches_cookies(response)
    assert SessionFamily.objects.get().auth_time == START
    assert rows()[0]["auth_hash"] == before[0]["auth_hash"]
    assert refusal(api.get("/codes/")) == (403, "reauthentication_required")


@pytest.mark.parametrize(
    "body", [{}, {"password": ""}, {"password": 5}, {"password": "x" * 4097}]
)
def test_body_without_a_password_is_malformed(api, user, body):
    """Anything but a password is 400, before any hash is made."""
    access = api.log_in(user)["access"]

    response = api.send(URL, body, **bearer(access))

    assert refusal(response) == (400, "invalid_request")


def test_nobody_has_no_session_to_confirm(api):
    """Without a token it is 401: a login is at another endpoint."""
    response = api.send(URL, RIGHT)

    assert refusal(response) == (401, "not_authenticated")
    assert response["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("warm", [False, True])
def test_session_that_has_ended_is_401_and_loses_its_cookies(api, user, warm):
    """I-1: A password revives no session, known to this process as ended or not."""
    api.log_in(user, "cookie")
    if warm:
        api.get("/plain/")
    SessionFamily.objects.update(revoked_at=timezone.now())

    response = api.send(URL, RIGHT)

    assert refusal(response) == (401, "session_ended")
    assert clears_cookies(response)


def test_session_that_ends_under_way_loses_its_cookies(api, user, settings):
    """I-1: A session revoked while the hash is made is refused like any other."""
    api.log_in(user, "cookie")
    api.get("/plain/")
    settings.AUTHENTICATION_BACKENDS = [
        "tests.test_views_reauthentication.RevokingBackend"
    ]

    response = api.send(URL, RIGHT)

    assert refusal(response) == (401, "session_ended")
    assert clears_cookies(response)


def test_other_network_has_to_refresh_first(api, user):
    """An access token from another network confirms nothing, and changes no row."""
    access = api.log_in(user)["access"]
    before = rows()

    response = api.send(URL, RIGHT, **bearer(access), REMOTE_ADDR=TRAIN)

    assert refusal(response) == (401, "refresh_required")
    assert rows() == before


def test_replaced_generation_has_to_refresh_first(api, user, clock):
    """An access token whose refresh token is long replaced gets no other, I-8."""
    held = api.log_in(user)
    api.send("/auth/refresh/", {"refresh": held["refresh"]})
    clock.forward(timedelta(seconds=60))

    response = api.send(URL, RIGHT, **bearer(held["access"]))

    assert refusal(response) == (401, "refresh_required")


def test_database_failure_is_unavailable(api, user):
    """A database that fails is 503, and the same request serves later, I-6."""
    access = api.log_in(user)["access"]
    api.get("/plain/", **bearer(access))

    with database_down():
        response = api.send(URL, RIGHT, **bearer(access))

    assert refusal(response) == (503, "unavailable")
    assert api.send(URL, RIGHT, **bearer(access)).status_code == 200


def test_guesses_are_counted_with_those_at_the_login(api, user, settings):
    """Guesses are spread neither over endpoints nor over sessions of a user (TH-03)."""
    access = api.log_in(user)["access"]
    settings.ROTATING_SESSIONS = {"LOGIN_RATE": "2/min"}
    login = {"username": user.username.upper(), "password": "wrong"}
    Api(REMOTE_ADDR=HOME).send("/auth/login/", login)

    response = api.send(URL, RIGHT, **bearer(access))

    assert refusal(response) == (429, "throttled")
    assert int(response["Retry-After"]) >= 1


def test_password_may_be_confirmed_as_often_as_one_likes(api, user, clock):
    """Each confirmation counts anew, by the token of the one before, too."""
    access = api.log_in(user)["access"]

    for _ in range(3):
        clock.forward(LATER)
        response = api.send(URL, RIGHT, **bearer(access))
        access = response.json()["access"]
        assert api.get("/codes/", **bearer(access)).status_code == 200

    assert SessionFamily.objects.get().auth_time == START + 3 * LATER
