"""`login/`: credentials in, a session out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.signals import user_logged_in, user_login_failed

from rotating_sessions.models import RevokedReason, SessionFamily
from tests.browsing import (
    ACCESS,
    REFRESH,
    Api,
    bearer,
    clears_cookies,
    database_down,
    refusal,
    touches_cookies,
)
from tests.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db(transaction=True)

LOGIN = "/auth/login/"


class BadgeBackend:
    """A site's own backend: whoever shows the badge number is let in."""

    def authenticate(self, request: Any, username: str, password: str) -> Any:
        """Return the user of the badge."""
        if password != "badge 11":
            return None
        return get_user_model().objects.get(username=username)


class VanishingBackend(ModelBackend):
    """A backend that is too late: the user is deleted while the password is checked."""

    def authenticate(self, request: Any, **credentials: Any) -> Any:
        """Return the user, who is gone."""
        user = super().authenticate(request, **credentials)
        get_user_model().objects.all().delete()
        return user


def credentials(user: Any, **more: Any) -> dict[str, Any]:
    return {"username": user.get_username(), "password": PASSWORD, **more}


@pytest.mark.parametrize("choice", [{}, {"transport": "header"}])
def test_login_in_header_transport_answers_with_tokens(api, user, choice):
    """In header transport, the default, the tokens are in the body only."""
    response = api.send(LOGIN, credentials(user, **choice))

    assert response.status_code == 200
    assert response.json().keys() == {"access", "refresh", "expires_in"}
    assert response.json()["expires_in"] == 1800
    assert not touches_cookies(response)
    assert SessionFamily.objects.get().transport == "header"


def test_login_in_cookie_transport_answers_with_cookies(api, user):
    """In cookie transport the tokens are in cookies only (CK-01, CS-08)."""
    api.get(LOGIN)

    response = api.send(LOGIN, credentials(user, transport="cookie"))

    assert response.json() == {"expires_in": 1800}
    for name in (ACCESS, REFRESH):
        cookie = response.cookies[name]
        assert cookie["httponly"] is cookie["secure"] is True
        assert (cookie["samesite"], cookie["path"]) == ("Lax", "/")
        assert cookie["domain"] == ""
        assert cookie["max-age"] == timedelta(days=14).total_seconds()
        assert len(name) + len(cookie.value) < 4096
    assert SessionFamily.objects.get().transport == "cookie"


def test_development_cookies_have_neither_prefix_nor_secure(api, user, settings):
    """With INSECURE_COOKIES the cookies work over http, without prefix (CK-02)."""
    settings.ROTATING_SESSIONS = {"INSECURE_COOKIES": True}
    api.log_in(user, "cookie")

    response = api.get("/whoami/")

    assert response.json()["user"] == user.username
    assert {"rs_access", "rs_refresh"} < set(api.cookies)
    assert not api.cookies["rs_access"]["secure"]


def test_site_chooses_the_transport(api, user, settings):
    """DEFAULT_TRANSPORT is taken where a login names none."""
    settings.ROTATING_SESSIONS = {"DEFAULT_TRANSPORT": "cookie"}
    api.get(LOGIN)

    response = api.send(LOGIN, credentials(user))

    assert response.json().keys() == {"expires_in"}
    assert ACCESS in response.cookies


@pytest.mark.parametrize("transport", ["header", "cookie"])
def test_transport_not_among_transports_is_refused(api, user, settings, transport):
    """A login cannot pick a transport that the site does not allow."""
    other = {"header": "cookie", "cookie": "header"}[transport]
    settings.ROTATING_SESSIONS = {"TRANSPORTS": [other], "DEFAULT_TRANSPORT": other}

    response = api.send(LOGIN, credentials(user, transport=transport))

    assert refusal(response) == (400, "invalid_request")
    assert not SessionFamily.objects.exists()


def test_bad_credentials_all_look_the_same(api, user):
    """Wrong password, unknown user and closed account look the same (AD-04)."""
    closed = UserFactory.create(is_active=False)
    bodies = [
        credentials(user) | {"password": "wrong"},
        credentials(user) | {"username": "nobody"},
        credentials(closed),
    ]

    responses = [api.send(LOGIN, body) for body in bodies]

    assert {refusal(response) for response in responses} == {
        (401, "invalid_credentials")
    }
    assert len({response.content for response in responses}) == 1
    assert {response["WWW-Authenticate"] for response in responses} == {"Bearer"}
    assert {response["Cache-Control"] for response in responses} == {"no-store"}
    assert not SessionFamily.objects.exists()


class CountedHasher(MD5PasswordHasher):
    """A hasher that counts what it is asked to work."""

    hashed = 0

    def encode(self, password: str, salt: str) -> str:
        """Return the hash, counted."""
        type(self).hashed += 1
        return super().encode(password, salt)


def test_every_failed_login_is_as_much_work(api, settings):
    """AD-04: Unknown user, closed account and wrong password cost one hash each."""
    settings.PASSWORD_HASHERS = ["tests.test_views_login.CountedHasher"]
    open_, closed = UserFactory.create(), UserFactory.create(is_active=False)
    bodies = [
        credentials(open_) | {"password": "wrong"},
        credentials(closed) | {"password": "wrong"},
        credentials(closed),
        credentials(open_) | {"username": "nobody"},
    ]
    work = []

    for body in bodies:
        CountedHasher.hashed = 0
        assert api.send(LOGIN, body).status_code == 401
        work.append(CountedHasher.hashed)

    assert work == [1, 1, 1, 1]


def test_inactive_user_is_refused_whatever_the_backend_says(api, settings):
    """No backend lets a deactivated user in (AC-02)."""
    settings.AUTHENTICATION_BACKENDS = [
        "django.contrib.auth.backends.AllowAllUsersModelBackend"
    ]
    closed = UserFactory.create(is_active=False)

    response = api.send(LOGIN, credentials(closed))

    assert refusal(response) == (401, "invalid_credentials")


def test_any_backend_serves(api, user, settings):
    """A login goes through the site's authentication backends, and no other way."""
    settings.AUTHENTICATION_BACKENDS = ["tests.test_views_login.BadgeBackend"]

    response = api.send(LOGIN, credentials(user) | {"password": "badge 11"})

    assert response.status_code == 200
    assert refusal(api.send(LOGIN, credentials(user))) == (401, "invalid_credentials")


def test_user_deleted_during_the_login_is_refused(api, user, settings):
    """A user who is deleted while the password is checked gets no session."""
    settings.AUTHENTICATION_BACKENDS = ["tests.test_views_login.VanishingBackend"]

    response = api.send(LOGIN, credentials(user))

    assert refusal(response) == (401, "invalid_credentials")
    assert not SessionFamily.objects.exists()


def test_login_sends_djangos_signals(api, user):
    """A login is announced by `user_logged_in`, a failed one by `user_login_failed`."""
    seen = []

    def listen(signal: Any, **kwargs: Any) -> None:
        seen.append((signal, kwargs.get("user")))

    for signal in (user_logged_in, user_login_failed):
        signal.connect(listen)

    try:
        api.send(LOGIN, credentials(user))
        api.send(LOGIN, credentials(user) | {"password": "wrong"})
    finally:
        for signal in (user_logged_in, user_login_failed):
            signal.disconnect(listen)

    assert seen == [(user_logged_in, user), (user_login_failed, None)]
    user.refresh_from_db()
    assert user.last_login is not None


def test_csrf_cookie_is_for_the_asking(api):
    """`GET login/` sets the CSRF cookie that a login in cookie transport needs."""
    response = api.get(LOGIN)

    assert response.status_code == 204
    assert response.cookies["csrftoken"].value
    assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param({"HTTP_X_CSRFTOKEN": ""}, id="no token"),
        pytest.param({"HTTP_X_CSRFTOKEN": "y" * 32}, id="another token"),
        pytest.param({"HTTP_SEC_FETCH_SITE": "cross-site"}, id="cross-site"),
        pytest.param({"HTTP_ORIGIN": "https://evil.example"}, id="another origin"),
    ],
)
def test_cookie_login_from_another_site_is_refused(api, user, extra):
    """Nobody is logged in with cookies by another site's form (CS-05, CS-03)."""
    api.get(LOGIN)

    response = api.send(LOGIN, credentials(user, transport="cookie"), **extra)

    assert refusal(response) == (403, "csrf_failed")
    assert response["Cache-Control"] == "no-store"
    assert not touches_cookies(response)
    assert not SessionFamily.objects.exists()


def test_cookie_login_rotates_the_csrf_token(api, user):
    """A CSRF token planted before a login is worth nothing after it (CS-10)."""
    api.get(LOGIN)
    planted = api.cookies["csrftoken"].value

    api.send(LOGIN, credentials(user, transport="cookie"))

    assert api.cookies["csrftoken"].value != planted


@pytest.mark.parametrize("access", ["abc", "expired", "revoked"])
def test_login_works_whatever_the_browser_carries(api, user, settings, access):
    """A stale cookie never stands in the way of a login, which sets new ones."""
    if access == "expired":
        settings.ROTATING_SESSIONS = {"ACCESS_LIFETIME": timedelta(0)}
    api.log_in(user, "cookie")
    if access == "abc":
        api.cookies[ACCESS] = api.cookies[REFRESH] = access
    if access == "revoked":
        Api().send(
            "/auth/logout-everywhere/", {}, **bearer(Api().log_in(user)["access"])
        )

    response = api.send(LOGIN, credentials(user, transport="cookie"))

    assert response.status_code == 200
    assert not clears_cookies(response)
    assert response.cookies[ACCESS].value
    assert response.cookies[REFRESH].value


@pytest.mark.parametrize("same", [True, False])
def test_planted_cookies_are_never_adopted(api, user, same):
    """A login starts a new family; the browser's own old one ends (AC-01)."""
    owner = user if same else UserFactory.create()
    api.log_in(owner, "cookie")
    planted = SessionFamily.objects.get()

    response = api.send(LOGIN, credentials(user, transport="cookie"))

    assert response.status_code == 200
    new = SessionFamily.objects.exclude(pk=planted.pk).get()
    planted.refresh_from_db()
    assert new.user == user
    assert planted.revoked_reason == (RevokedReason.REPLACED if same else "")


def test_login_without_a_database_is_unavailable(api, user):
    """A database that fails is 503, with no word about the credentials (RT-12)."""
    with database_down():
        response = api.send(LOGIN, credentials(user))

    assert refusal(response) == (503, "unavailable")
    assert response["Retry-After"] == "1"
    assert response["Cache-Control"] == "no-store"
    assert not touches_cookies(response)
    assert api.send(LOGIN, credentials(user)).status_code == 200


def test_session_that_cannot_be_stored_is_not_handed_out(api, user):
    """A login whose session is not durable is answered 503, without tokens, I-5."""
    with database_down("INSERT"):
        response = api.send(LOGIN, credentials(user))

    assert refusal(response) == (503, "unavailable")
    assert not SessionFamily.objects.exists()


def test_no_answer_may_be_sniffed(api, user, settings):
    """Every answer is JSON and says so, without SecurityMiddleware too (HC-05)."""
    settings.SECURE_CONTENT_TYPE_NOSNIFF = False

    responses = [
        api.send(LOGIN, credentials(user)),
        api.send(LOGIN, {}),
        api.put(LOGIN),
    ]

    assert [response.status_code for response in responses] == [200, 400, 405]
    for response in responses:
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Cache-Control"] == "no-store"
        assert response["Content-Type"] == "application/json"


def test_login_that_cannot_be_announced_begins_no_session(api, user):
    """Where Django cannot note the login there is no session that nobody holds."""
    with database_down("UPDATE"):
        response = api.send(LOGIN, credentials(user))

    assert refusal(response) == (503, "unavailable")
    assert not SessionFamily.objects.exists()


def test_user_deleted_by_who_hears_of_the_login_is_not_logged_in(api, user):
    """AC-04: Who is gone when the session would begin has no credentials."""

    def delete(sender: type, user: Any, **kwargs: Any) -> None:
        sender.objects.filter(pk=user.pk).delete()

    user_logged_in.connect(delete)
    try:
        response = api.send(LOGIN, credentials(user))
    finally:
        user_logged_in.disconnect(delete)

    assert refusal(response) == (401, "invalid_credentials")
    assert not SessionFamily.objects.exists()


@pytest.mark.parametrize(
    ("wish", "hours"),
    [({}, 14 * 24), ({"remember": True}, 14 * 24), ({"remember": False}, 12)],
)
def test_login_may_ask_not_to_be_remembered(api, user, clock, wish, hours):
    """A login with `remember` false ends after SHORT_TIMEOUT, and so do its cookies."""
    api.get(LOGIN)

    response = api.send(LOGIN, credentials(user, transport="cookie", **wish))

    ages = {response.cookies[name]["max-age"] for name in (ACCESS, REFRESH)}
    family = SessionFamily.objects.get()
    assert ages == {hours * 3600}
    assert min(family.expires_at, family.idle_at) - clock.now == timedelta(hours=hours)


def test_site_says_what_short_is(api, user, settings):
    """SHORT_TIMEOUT is the site's, and never longer than ABSOLUTE_TIMEOUT."""
    ends = []
    for days in (3, 40):
        settings.ROTATING_SESSIONS = {"SHORT_TIMEOUT": timedelta(days=days)}
        api.send(LOGIN, credentials(user, remember=False))
        family = SessionFamily.objects.latest("created_at")
        ends.append(family.expires_at - family.created_at)

    assert ends == [timedelta(days=3), timedelta(days=30)]


@pytest.mark.parametrize("wish", ["perhaps", None, [], {}, 2])
def test_remember_is_yes_or_no(api, user, wish):
    """What is neither is a malformed request, and begins nothing."""
    response = api.send(LOGIN, credentials(user, remember=wish))

    assert refusal(response) == (400, "invalid_request")
    assert not SessionFamily.objects.exists()
