"""The forms that end sessions: one, all others, all of them, and this one."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.hashers import make_password
from django.test import Client as DjangoClient
from django.utils import timezone

from rotating_sessions.models import RevokedReason, SessionFamily
from tests.browsing import (
    ACCESS,
    REFRESH,
    TRAIN,
    Api,
    clears_cookies,
    rows,
    touches_cookies,
)
from tests.factories import PASSWORD, SessionFamilyFactory, UserFactory

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/account/sessions/"
OTHERS = f"{LIST}end-others/"
EVERYWHERE = f"{LIST}log-out-everywhere/"
LOG_OUT = f"{LIST}log-out/"
LOGGED_OUT = f"{LIST}logged-out/"


@pytest.fixture
def browser(api, user):
    """Return a browser that is logged in, and warm."""
    api.log_in(user, "cookie")
    api.get("/plain/")
    return api


@pytest.fixture
def other(user):
    """Return another session of the same user."""
    return SessionFamilyFactory.create(user=user)


def reason_of(family):
    family.refresh_from_db()
    return family.revoked_reason


def notice_of(response):
    return response.cookies["rotating_sessions_notice"].value


def test_another_session_is_ended(browser, other):
    """A user ends another session, and comes back to the list."""
    response = browser.submit(f"{LIST}{other.pk}/end/")

    assert (response.status_code, response["Location"]) == (302, LIST)
    assert notice_of(response) == "ended"
    assert reason_of(other) == RevokedReason.ENDED_BY_USER
    assert browser.get(LIST).status_code == 200


def test_session_that_is_not_the_users_goes_on(browser, user):
    """RV-03: A session of somebody else, of nobody or of the past is not ended."""
    foreign = SessionFamilyFactory.create(user=UserFactory.create())
    ended = SessionFamilyFactory.create(user=user, revoked_at=timezone.now())
    keys = [foreign.pk, ended.pk, uuid4()]

    responses = [browser.submit(f"{LIST}{key}/end/") for key in keys]

    assert {notice_of(response) for response in responses} == {"gone"}
    assert reason_of(foreign) == ""


def test_session_that_asks_may_end_itself(browser):
    """Whoever ends the own session is logged out."""
    family = SessionFamily.objects.get()

    response = browser.submit(f"{LIST}{family.pk}/end/")

    assert response["Location"] == LOGGED_OUT
    assert clears_cookies(response)
    assert reason_of(family) == RevokedReason.ENDED_BY_USER


def test_all_other_sessions_are_ended(browser, user, other):
    """The session that asks goes on, the user's others end, nobody else's do."""
    foreign = SessionFamilyFactory.create(user=UserFactory.create())

    response = browser.submit(OTHERS)

    assert (response.status_code, response["Location"]) == (302, LIST)
    assert notice_of(response) == "others_ended"
    assert reason_of(other) == RevokedReason.LOGOUT_EVERYWHERE
    assert reason_of(foreign) == ""
    assert len(browser.get(LIST).context["sessions"]) == 1


def test_password_logs_out_everywhere(browser, user, other):
    """With the right password all sessions end, this one included."""
    response = browser.submit(EVERYWHERE, {"password": PASSWORD})

    assert (response.status_code, response["Location"]) == (302, LOGGED_OUT)
    assert clears_cookies(response)
    reasons = SessionFamily.objects.values_list("revoked_reason", flat=True)
    assert list(reasons) == [RevokedReason.LOGOUT_EVERYWHERE] * 2
    assert browser.get(LIST).status_code == 302


@pytest.mark.parametrize("password", ["", "wrong", PASSWORD + " ", "x" * 4097])
def test_wrong_password_ends_nothing(browser, other, password):
    """A wrong password is answered by the form, with an error beside the field."""
    before = rows()

    response = browser.submit(EVERYWHERE, {"password": password})

    page = response.content.decode()
    assert response.status_code == 403
    assert rows() == before
    assert not touches_cookies(response)
    assert '<p id="rs-problem" class="rs-problem" role="alert">The password' in page
    assert 'aria-invalid="true" aria-describedby="rs-problem"' in page
    assert "<title>Error: Log out everywhere</title>" in page
    assert "xxx" not in page


def test_right_password_is_not_hashed_anew(browser, user, settings):
    """A password that Django would hash more strongly now does not change by this."""
    outdated = make_password(PASSWORD, hasher="md5")
    user.password = outdated
    user.save()
    browser.log_in(user, "cookie")
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
        "django.contrib.auth.hashers.MD5PasswordHasher",
    ]

    response = browser.submit(EVERYWHERE, {"password": PASSWORD})

    user.refresh_from_db()
    assert response.status_code == 302
    assert user.password == outdated


def test_passwords_are_tried_as_often_as_logins(browser, user, settings):
    """Guesses count with those at the endpoint, and beyond LOGIN_RATE none is read."""
    settings.ROTATING_SESSIONS = {"LOGIN_RATE": "2/min"}
    browser.send("/auth/logout-everywhere/", {"password": "wrong"})
    browser.submit(EVERYWHERE, {"password": "wrong"})

    response = browser.submit(EVERYWHERE, {"password": PASSWORD})

    page = response.content.decode()
    assert response.status_code == 429
    assert 1 <= int(response["Retry-After"]) <= 60
    assert "There were too many attempts." in page
    assert SessionFamily.objects.get().revoked_at is None
    assert browser.get(EVERYWHERE).status_code == 200


def test_user_without_a_password_confirms_by_the_button(browser, user, other):
    """Where no password is known, as with single sign-on, none can be asked for."""
    user.set_unusable_password()
    user.save()
    api = DjangoClient()
    api.force_login(user)

    asked = api.get(EVERYWHERE)
    response = api.post(EVERYWHERE)

    assert 'type="password"' not in asked.content.decode()
    assert response["Location"] == LOGGED_OUT
    assert reason_of(other) == RevokedReason.LOGOUT_EVERYWHERE


def test_user_of_djangos_sessions_is_logged_out_of_it(user, other):
    """Everywhere includes this browser, whichever session it is logged in by."""
    client = DjangoClient()
    client.force_login(user)

    response = client.post(EVERYWHERE, {"password": PASSWORD})

    assert response["Location"] == LOGGED_OUT
    assert reason_of(other) == RevokedReason.LOGOUT_EVERYWHERE
    assert "_auth_user_id" not in client.session


def test_user_of_djangos_sessions_ends_all_of_ours(user, other):
    """Whom only Django's session knows has no session of ours to keep."""
    client = DjangoClient()
    client.force_login(user)

    client.post(OTHERS)

    assert reason_of(other) == RevokedReason.LOGOUT_EVERYWHERE
    assert client.get(LIST).status_code == 200


@pytest.mark.parametrize("left", [{ACCESS, REFRESH}, {ACCESS}, {REFRESH}])
def test_either_cookie_logs_out(browser, left):
    """One good cookie is enough to end the session, and both are cleared."""
    for name in {ACCESS, REFRESH} - left:
        del browser.cookies[name]

    response = browser.submit(LOG_OUT)

    assert response["Location"] == LOGGED_OUT
    assert clears_cookies(response)
    assert reason_of(SessionFamily.objects.get()) == RevokedReason.LOGOUT


def test_logging_out_works_however_old_the_page_is(browser, settings):
    """An access token that has expired, or is from elsewhere, does to log out."""
    settings.ROTATING_SESSIONS = {"ACCESS_LIFETIME": timedelta(0)}
    browser.send("/auth/refresh/")

    response = browser.submit(LOG_OUT, REMOTE_ADDR=TRAIN)

    assert response["Location"] == LOGGED_OUT
    assert reason_of(SessionFamily.objects.get()) == RevokedReason.LOGOUT


def test_logging_out_twice_is_no_error(browser):
    """Who is logged out already is logged out, and no cookie is touched."""
    browser.submit(LOG_OUT)

    response = browser.submit(LOG_OUT)

    assert response["Location"] == LOGGED_OUT
    assert browser.get(response["Location"]).status_code == 200


def test_browser_without_cookies_is_cleared_of_none():
    """Without a session cookie in the request there is none to clear."""
    api = Api()
    api.get("/auth/login/")

    response = api.submit(LOG_OUT)

    assert response["Location"] == LOGGED_OUT
    assert not touches_cookies(response)


def test_goodbye_offers_to_log_in_again(api, settings):
    """The last page says that the user is logged out, and links to LOGIN_URL."""
    settings.LOGIN_URL = "/in/"

    page = api.get(LOGGED_OUT).content.decode()

    assert re.search(r'<a class="rs-button" href="/in/">', page)


def test_site_may_say_goodbye_itself(browser, settings):
    """LOGOUT_REDIRECT_URL is where the browser goes, as after Django's own logout."""
    settings.LOGOUT_REDIRECT_URL = "/plain/"

    response = browser.submit(LOG_OUT)

    assert response["Location"] == "/plain/"
    assert clears_cookies(response)
