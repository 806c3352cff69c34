"""The browser client: what logs in by Django's session is a session of ours."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.urls import reverse

from rotating_sessions.models import RevokedReason, SessionFamily
from rotating_sessions.services import revoke_session, start_anonymous_session
from tests.acting import W
from tests.allauth.acting import BROWSER, mailed_code, mailed_key, set_up_totp, totp
from tests.browsing import (
    ACCESS,
    HOME,
    REFRESH,
    clears_cookies,
    database_down,
    refusal,
    touches_cookies,
)
from tests.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db(transaction=True)


def family():
    return SessionFamily.objects.get()


def log_in(browser, user):
    body = {"username": user.get_username(), "password": PASSWORD}
    return browser.post("auth/login", body)


def forget_cookies(browser):
    """Do what a browser does with cookies that were cleared."""
    del browser.http.cookies[ACCESS], browser.http.cookies[REFRESH]


def kept(browser):
    """Return what Django's session of the browser holds."""
    key = browser.http.cookies["sessionid"].value
    return Session.objects.get(pk=key).get_decoded()


def test_a_mailed_code_starts_a_session(browser, user, address):
    """Who types the code from the mail gets our cookies, and is logged in by them."""
    asked = browser.post("auth/code/request", {"email": address})
    answer = browser.post("auth/code/confirm", {"code": mailed_code()})

    shown = browser.http.get("/whoami/")
    assert (asked.status_code, answer.status_code) == (401, 200)
    assert not touches_cookies(asked)
    assert {ACCESS, REFRESH} <= set(answer.cookies)
    assert answer["Cache-Control"] == "no-store"
    assert "meta" not in answer.json() or "access_token" not in answer.json()["meta"]
    assert shown.json()["user"] == user.get_username()
    assert (family().transport, family().user) == ("cookie", user)


def test_the_second_factor_comes_before_the_session(browser, user):
    """With TOTP the cookies come with the code, not with the password."""
    secret = set_up_totp(user)

    first = log_in(browser, user)
    second = browser.post("auth/2fa/authenticate", {"code": totp(secret)})

    assert (first.status_code, second.status_code) == (401, 200)
    assert not touches_cookies(first)
    assert ACCESS in second.cookies


def test_a_provider_starts_a_session(browser):
    """The way through a social provider ends with our cookies, outside the API."""
    browser.http.get(BROWSER + "config")
    form = {"provider": "dummy", "process": "login", "callback_url": "/welcome/"}
    away = browser.http.submit(BROWSER + "auth/provider/redirect", form)
    there = browser.http.get(away["Location"])
    back = browser.http.submit(
        away["Location"], {"id": 7, "email": "ada@example.org", "username": "ada"}
    )

    assert there.status_code == 200
    assert (back.status_code, back["Location"]) == (302, "/welcome/")
    assert ACCESS in back.cookies
    assert browser.http.get("/whoami/").json()["user"] == "ada"


def test_djangos_session_logs_nobody_in(browser, user):
    """Without our cookies the browser is anonymous, whatever Django's session holds."""
    log_in(browser, user)
    state = kept(browser)
    forget_cookies(browser)

    answer = browser.call("GET", "auth/session")

    assert "_auth_user_id" not in state
    assert "account_authentication_methods" in state
    assert answer.status_code == 401


def test_a_revoked_session_is_over_for_allauth(browser, user):
    """Staff who revoke a session end allauth's with it."""
    log_in(browser, user)
    revoke_session(family().pk, reason=RevokedReason.STAFF)

    first = browser.call("GET", "auth/session")
    forget_cookies(browser)
    second = browser.call("GET", "auth/session")

    assert refusal(first) == (401, "session_ended")
    assert clears_cookies(first)
    assert second.json()["meta"] == {"is_authenticated": False}


def test_a_refresh_keeps_the_browser_logged_in(browser, user, clock):
    """An old access cookie asks for a refresh, and allauth goes on after it."""
    log_in(browser, user)
    clock.now = family().created_at + timedelta(minutes=31)

    asked = browser.call("GET", "auth/session")
    refreshed = browser.http.send("/auth/refresh/")
    answer = browser.call("GET", "auth/session")

    assert refusal(asked) == (401, "refresh_required")
    assert refreshed.status_code == 200
    assert answer.json()["data"]["user"]["username"] == user.get_username()


def test_reuse_is_theft(browser, user, clock):
    """A copied cookie that comes back ends the session that allauth began."""
    log_in(browser, user)
    clock.now = family().created_at
    stolen = browser.http.cookies[REFRESH].value
    for _ in range(2):
        browser.http.send("/auth/refresh/")
        clock.forward(W)
    browser.http.cookies[REFRESH] = stolen

    answer = browser.http.send("/auth/refresh/")

    assert refusal(answer) == (401, "session_ended")
    assert family().revoked_reason == RevokedReason.REUSED


def test_allauths_logout_ends_the_session(browser, user):
    """`DELETE auth/session` revokes, and takes the cookies away."""
    log_in(browser, user)

    answer = browser.call("DELETE", "auth/session")

    assert answer.status_code == 401
    assert clears_cookies(answer)
    assert family().revoked_reason == RevokedReason.LOGOUT


def test_a_logout_from_another_site_is_refused(browser, user):
    """Without the CSRF token nobody is logged out."""
    log_in(browser, user)

    answer = browser.http.delete(BROWSER + "auth/session")

    assert answer.status_code == 403
    assert family().revoked_at is None


def test_allauths_pages_log_in_as_well(browser, user):
    """The login form of allauth's own pages starts a session of ours."""
    browser.http.get(reverse("account_login"))

    answer = browser.http.submit(
        reverse("account_login"), {"login": user.get_username(), "password": PASSWORD}
    )

    assert answer.status_code == 302
    assert browser.http.get("/whoami/").json()["user"] == user.get_username()
    assert family().transport == "cookie"


def test_the_admin_keeps_djangos_session(browser):
    """A login on a path of EXEMPT_PATHS stays one of Django's."""
    staff = UserFactory.create(is_staff=True)
    browser.http.get("/admin/login/")

    browser.http.submit(
        "/admin/login/", {"username": staff.get_username(), "password": PASSWORD}
    )

    assert "_auth_user_id" in kept(browser)
    assert not SessionFamily.objects.exists()


def test_our_own_login_leaves_djangos_session_alone(browser):
    """Who is in the admin, and logs in by our endpoint, stays in the admin."""
    staff = UserFactory.create(is_staff=True)
    browser.http.force_login(staff)

    browser.http.log_in(staff, transport="cookie")

    assert "_auth_user_id" in kept(browser)
    assert SessionFamily.objects.count() == 1


def test_the_next_user_finds_nothing_of_the_last(browser, user):
    """What the site kept in the session of one user is not there for another."""
    log_in(browser, user)
    forget_cookies(browser)
    session = browser.http.session
    session["basket"] = "a present for ada"
    session.save()

    other = UserFactory.create()
    log_in(browser, other)

    assert "basket" not in kept(browser)
    assert browser.http.get("/whoami/").json()["user"] == other.get_username()


def test_what_a_visitor_chose_is_still_there_after_the_login(browser, user):
    """What is kept for somebody anonymous goes on, as at a login of Django's."""
    browser.http.get(BROWSER + "config")
    session = browser.http.session
    session["basket"] = "a present for myself"
    session.save()
    browser.http.cookies["sessionid"] = session.session_key

    log_in(browser, user)

    assert kept(browser)["basket"] == "a present for myself"


def test_a_login_takes_a_visitors_data_over(browser, rf, user):
    """The cookies of an anonymous session are replaced, and its data stays."""
    visit = start_anonymous_session(
        rf.get("/", REMOTE_ADDR=HOME), transport="cookie", data={"basket": ["tea"]}
    )
    browser.http.cookies[ACCESS] = visit.access
    browser.http.cookies[REFRESH] = visit.refresh

    answer = log_in(browser, user)

    shown = browser.http.get("/whoami/")
    assert {ACCESS, REFRESH} <= set(answer.cookies)
    assert shown.json()["user"] == user.get_username()
    assert SessionFamily.objects.get(user=user).data == {"basket": ["tea"]}
    assert SessionFamily.objects.get(user=None).revoked_reason == "logged_in"


def test_a_database_that_is_down_logs_nobody_in(browser, user):
    """Where no session can start the login is 503, and Django's logs nobody in."""
    with database_down(only="rotating_sessions_"):
        answer = log_in(browser, user)

    assert refusal(answer) == (503, "unavailable")
    assert not touches_cookies(answer)
    assert browser.call("GET", "auth/session").status_code == 401


def test_a_reset_password_ends_every_session(browser, user, address):
    """Who resets the password by mail ends what others hold."""
    log_in(browser, user)
    other = type(browser)(type(browser.http)())
    other.post("auth/password/request", {"email": address})
    key = mailed_key()

    answer = other.post(
        "auth/password/reset", {"key": key, "password": "a longer horse battery"}
    )

    assert answer.status_code == 401, answer.content
    assert family().revoked_reason == RevokedReason.PASSWORD_CHANGED


def test_djangos_session_is_reauthenticated_without_ours(browser, user):
    """Who is logged in by Django's session alone has none of ours to stamp."""
    browser.http.force_login(user)

    answer = browser.post("auth/reauthenticate", {"password": PASSWORD})

    assert answer.status_code == 200
    assert not SessionFamily.objects.exists()
