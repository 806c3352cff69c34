"""`logout/` and `logout-everywhere/`: out, and nobody learns what a token was worth."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from rotating_sessions import revocations
from rotating_sessions.models import RevokedReason, SessionFamily
from tests.browsing import (
    ACCESS,
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
from tests.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/auth/logout/"
EVERYWHERE = "/auth/logout-everywhere/"

FORGERIES = [
    pytest.param({"HTTP_X_CSRFTOKEN": ""}, id="no token"),
    pytest.param({"HTTP_SEC_FETCH_SITE": "cross-site"}, id="cross-site"),
    pytest.param({"HTTP_ORIGIN": "https://evil.example"}, id="another origin"),
]


def reasons() -> list[str]:
    return sorted(SessionFamily.objects.values_list("revoked_reason", flat=True))


@pytest.mark.parametrize(
    "proof",
    [
        pytest.param(lambda body: ({}, bearer(body["access"])), id="access"),
        pytest.param(lambda body: ({"refresh": body["refresh"]}, {}), id="refresh"),
        pytest.param(
            lambda body: ({"refresh": body["refresh"]}, bearer(body["access"])),
            id="both",
        ),
        pytest.param(
            lambda body: ({}, {**bearer(body["access"]), "REMOTE_ADDR": TRAIN}),
            id="access from another network",
        ),
    ],
)
def test_any_token_logs_out(api, user, proof):
    """The session that any token of the request proves is revoked (RV-10)."""
    session = api.log_in(user)
    body, extra = proof(session)

    response = api.send(URL, body, **extra)

    assert (response.status_code, response.content) == (204, b"")
    assert response["Cache-Control"] == "no-store"
    assert not touches_cookies(response)
    assert reasons() == [RevokedReason.LOGOUT]
    ended = api.get("/plain/", **bearer(session["access"]))
    assert refusal(ended) == (401, "session_ended")


@pytest.mark.parametrize("transport", ["header", "cookie"])
def test_expired_access_token_logs_out(api, user, settings, transport):
    """An access token past its time still proves which session to end (RV-10)."""
    settings.ROTATING_SESSIONS = {"ACCESS_LIFETIME": timedelta(0)}
    body = api.log_in(user, transport)
    api.cookies.pop(REFRESH, None)
    credentials = bearer(body["access"]) if transport == "header" else {}

    response = api.send(URL, **credentials)

    assert response.status_code == 204
    assert reasons() == [RevokedReason.LOGOUT]


@pytest.mark.parametrize("kept", [{ACCESS, REFRESH}, {ACCESS}, {REFRESH}])
def test_cookie_logs_out_and_is_forgotten(api, user, kept):
    """Either cookie ends the session, and both are cleared (CK-06, CK-10)."""
    api.log_in(user, "cookie")
    for name in {ACCESS, REFRESH} - kept:
        del api.cookies[name]

    response = api.send(URL)

    assert response.status_code == 204
    assert clears_cookies(response)
    for name in (ACCESS, REFRESH):
        cookie = response.cookies[name]
        assert cookie["httponly"] is cookie["secure"] is True
        assert (cookie["samesite"], cookie["path"]) == ("Lax", "/")
    assert reasons() == [RevokedReason.LOGOUT]


@pytest.mark.parametrize(
    ("body", "extra"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param({}, bearer("abc"), id="malformed access token"),
        pytest.param({"refresh": "abc"}, {}, id="malformed refresh token"),
        pytest.param({"refresh": ""}, {}, id="empty refresh token"),
        pytest.param({"refresh": "rsrt_" + "A" * 120}, {}, id="forged refresh token"),
        pytest.param({}, {"HTTP_AUTHORIZATION": "Basic YTpi"}, id="foreign scheme"),
    ],
)
def test_worthless_token_is_logged_out_all_the_same(api, user, body, extra):
    """Logout tells no token's worth, and ends nothing unproven (RV-10, RV-11)."""
    api.log_in(user)

    response = api.send(URL, body, **extra)

    assert (response.status_code, response.content) == (204, b"")
    assert reasons() == [""]


def test_worthless_cookie_is_forgotten(api):
    """A logout clears cookies that were no tokens at all."""
    api.get("/auth/login/")
    api.cookies[ACCESS] = api.cookies[REFRESH] = "abc"

    response = api.send(URL)

    assert response.status_code == 204
    assert clears_cookies(response)


@pytest.mark.parametrize("transport", ["header", "cookie"])
def test_second_logout_is_no_error(api, user, transport):
    """Logging out once more is no error, and changes nothing (RV-10)."""
    body = api.log_in(user, transport)
    cookies = {name: api.cookies[name].value for name in api.cookies}
    credentials = bearer(body["access"]) if transport == "header" else {}
    api.send(URL, **credentials)
    SessionFamily.objects.update(revoked_at=timezone.now() - timedelta(minutes=1))
    before = rows()
    for name, value in cookies.items():
        api.cookies[name] = value

    response = api.send(URL, **credentials)

    assert response.status_code == 204
    assert clears_cookies(response) is (transport == "cookie")
    assert rows() == before


@pytest.mark.parametrize("extra", FORGERIES)
@pytest.mark.parametrize("lost", [None, ACCESS, REFRESH])
def test_cookie_logout_from_another_site_is_refused(api, user, extra, lost):
    """Another site cannot log a browser out (CS-02, CS-03)."""
    api.log_in(user, "cookie")
    api.cookies.pop(lost, None)

    response = api.send(URL, **extra)

    assert refusal(response) == (403, "csrf_failed")
    assert not touches_cookies(response)
    assert reasons() == [""]


def test_saved_cookies_are_worth_nothing_after_a_logout(api, user, settings):
    """Whoever goes back with the old cookies is nobody, on any process (RV-01)."""
    settings.ROTATING_SESSIONS = {"POLL_INTERVAL": timedelta(0)}
    api.log_in(user, "cookie")
    saved = {name: api.cookies[name].value for name in (ACCESS, REFRESH)}
    api.send(URL)
    revocations.reset()

    answers = []
    for visit in (
        lambda: api.get("/page/", HTTP_ACCEPT="text/html").status_code,
        lambda: refusal(api.get("/plain/")),
        lambda: refusal(api.send("/auth/refresh/")),
    ):
        for name, value in saved.items():
            api.cookies[name] = value
        answers.append(visit())

    assert answers == [302, (401, "session_ended"), (401, "session_ended")]


@pytest.mark.parametrize("transport", ["header", "cookie"])
def test_logout_without_a_database_is_unavailable(api, user, transport):
    """A logout that cannot be stored is 503, and not pretended, I-6 (RV-09)."""
    body = api.log_in(user, transport)
    credentials = bearer(body["access"]) if transport == "header" else {}

    with database_down():
        response = api.send(URL, **credentials)

    assert refusal(response) == (503, "unavailable")
    assert response["Retry-After"] == "1"
    assert not touches_cookies(response)
    assert reasons() == [""]
    assert api.send(URL, **credentials).status_code == 204


@pytest.mark.parametrize("transport", ["header", "cookie"])
def test_logout_everywhere_ends_every_session(api, user, transport):
    """All sessions of the user end, the current one counted (RV-02)."""
    other = UserFactory.create()
    Api().log_in(other)
    Api().log_in(user)
    Api().log_in(user, "cookie")
    SessionFamily.objects.filter(user=user, transport="cookie").update(
        revoked_at=timezone.now(), revoked_reason=RevokedReason.STAFF
    )
    body = api.log_in(user, transport)
    credentials = bearer(body["access"]) if transport == "header" else {}

    response = api.send(EVERYWHERE, **credentials)

    assert (response.status_code, response.json()) == (200, {"revoked": 2})
    assert response["Cache-Control"] == "no-store"
    assert clears_cookies(response) is (transport == "cookie")
    assert reasons() == ["", *["logout_everywhere"] * 2, "staff"]
    assert SessionFamily.objects.get(revoked_reason="").user == other


@pytest.mark.parametrize("transport", ["header", "cookie"])
def test_logout_everywhere_else_keeps_the_current_session(api, user, transport):
    """With `keep_current` the session that asks goes on, and its cookies stay."""
    Api().log_in(user)
    body = api.log_in(user, transport)
    credentials = bearer(body["access"]) if transport == "header" else {}

    response = api.send(EVERYWHERE, {"keep_current": True}, **credentials)

    assert response.json() == {"revoked": 1}
    assert not touches_cookies(response)
    assert api.get("/whoami/", **credentials).json()["user"] == user.username


def test_logout_everywhere_takes_a_password(api, user):
    """The password may be given along, and then has to be right."""
    access = api.log_in(user)["access"]

    response = api.send(EVERYWHERE, {"password": PASSWORD}, **bearer(access))

    assert response.json() == {"revoked": 1}


@pytest.mark.parametrize("transport", ["header", "cookie"])
def test_wrong_password_ends_nothing(api, user, transport):
    """A wrong password is 403, because the session goes on: 401 would end it."""
    body = api.log_in(user, transport)
    credentials = bearer(body["access"]) if transport == "header" else {}

    response = api.send(EVERYWHERE, {"password": "wrong"}, **credentials)

    assert refusal(response) == (403, "invalid_credentials")
    assert "WWW-Authenticate" not in response
    assert response["Cache-Control"] == "no-store"
    assert not touches_cookies(response)
    assert reasons() == [""]


def test_logout_everywhere_needs_a_session(api):
    """Whoever has no session is answered 401 with a challenge."""
    response = api.send(EVERYWHERE)

    assert refusal(response) == (401, "not_authenticated")
    assert response["WWW-Authenticate"] == "Bearer"
    assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize("extra", FORGERIES)
def test_logout_everywhere_from_another_site_is_refused(api, user, extra):
    """Another site cannot end a browser's sessions (CS-01)."""
    api.log_in(user, "cookie")

    response = api.send(EVERYWHERE, **extra)

    assert refusal(response) == (403, "csrf_failed")
    assert not touches_cookies(response)
    assert reasons() == [""]


@pytest.mark.parametrize("transport", ["header", "cookie"])
@pytest.mark.parametrize("statement", ["", "UPDATE"])
def test_logout_everywhere_without_a_database_is_unavailable(
    api, user, transport, statement
):
    """Sessions that cannot be revoked are answered 503, and go on (RT-12)."""
    body: dict[str, Any] = api.log_in(user, transport)
    credentials = bearer(body["access"]) if transport == "header" else {}
    api.get("/plain/", **credentials)

    with database_down(statement):
        response = api.send(EVERYWHERE, **credentials)

    assert refusal(response) == (503, "unavailable")
    assert response["Retry-After"] == "1"
    assert not touches_cookies(response)
    assert reasons() == [""]
    assert api.send(EVERYWHERE, **credentials).json() == {"revoked": 1}
