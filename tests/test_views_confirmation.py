"""The page where a password is confirmed: there, and on to where one was going."""

from __future__ import annotations

from datetime import timedelta
from html import escape
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from rotating_sessions.models import SessionFamily
from tests.acting import START
from tests.browsing import (
    ACCESS,
    REFRESH,
    TRAIN,
    clears_cookies,
    database_down,
    rows,
    touches_cookies,
)
from tests.factories import PASSWORD
from tests.test_views_pages import EVIL

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/account/sessions/reauthenticate/"
LOGIN = "/sign-in/"
PAGE = {"HTTP_ACCEPT": "text/html,application/xhtml+xml,*/*;q=0.8"}
LATER = timedelta(minutes=20)


@pytest.fixture
def browser(api: Any, user: Any, clock: Any) -> Any:
    """Return a browser whose login is not recent."""
    api.log_in(user, "cookie")
    api.get("/plain/")
    clock.forward(LATER)
    return api


def submit(
    browser: Any, password: str = PASSWORD, target: str = "/codes/", **extra: Any
) -> Any:
    """Send the form, as the page has it."""
    token = browser.cookies["csrftoken"].value
    form = {"password": password, "next": target, "csrfmiddlewaretoken": token}
    return browser.post(URL, form, **PAGE, **extra)


def test_whole_way_round(browser):
    """From a sensitive page over the password and back, in the same session."""
    before = SessionFamily.objects.get()
    away = browser.get("/codes/?tab=2", **PAGE)
    shown = browser.get(away["Location"], **PAGE)

    back = submit(browser, target=shown.context["next"])

    assert (back.status_code, back["Location"]) == (302, "/codes/?tab=2")
    assert back["Cache-Control"] == "no-store"
    assert back.cookies[ACCESS].value
    assert REFRESH not in back.cookies
    assert browser.get(back["Location"], **PAGE).status_code == 200
    family = SessionFamily.objects.get()
    assert family.auth_time == START + LATER
    assert (family.pk, family.generation) == (before.pk, before.generation)


def test_page_asks_for_the_password_without_a_script(browser, user):
    """The form names the user to password managers, and has a CSRF token."""
    response = browser.get(URL, {"next": "/codes/?a=1&b=2"}, **PAGE)

    html = response.content.decode()
    assert response.status_code == 200
    assert response["Cache-Control"] == "no-store"
    assert response["X-Frame-Options"] == "DENY"
    assert f'name="next" value="{escape("/codes/?a=1&b=2")}"' in html
    assert 'name="csrfmiddlewaretoken"' in html
    assert f'name="username" value="{user.username}" autocomplete="username"' in html
    assert 'type="password" autocomplete="current-password"' in html
    assert '<label for="rs-password">' in html
    assert "<script" not in html
    assert "role=" not in html


@pytest.mark.parametrize("password", ["abracadabra", "", "x" * 4097])
def test_wrong_password_is_said_at_the_field(browser, password):
    """A wrong password shows the form again, which says so, and where to go stays."""
    response = submit(browser, password)

    html = response.content.decode()
    assert response.status_code == 403
    assert '<p id="rs-problem" class="rs-problem" role="alert">' in html
    assert 'aria-invalid="true" aria-describedby="rs-problem"' in html
    assert "<title>Error: Confirm your password</title>" in html
    assert response.context["next"] == "/codes/"
    assert "abracadabra" not in html
    assert not touches_cookies(response)
    assert SessionFamily.objects.get().auth_time == START


def test_guesses_are_counted_with_those_at_the_login(browser, user, settings):
    """The page buys nobody more guesses (TH-03)."""
    settings.ROTATING_SESSIONS = {"LOGIN_RATE": "1/min"}
    browser.send("/auth/login/", {"username": user.username, "password": "wrong"})

    response = submit(browser)

    assert response.status_code == 429
    assert int(response["Retry-After"]) >= 1
    assert 'role="alert"' in response.content.decode()
    assert SessionFamily.objects.get().auth_time == START


@pytest.mark.parametrize("step", ["form", "redirect"])
@pytest.mark.parametrize("target", [*EVIL, None])
def test_way_back_leads_to_no_other_site(browser, target, step):
    """A `next` that is no page of this site, or none, becomes its root (AD-07)."""
    browser.get(URL, **PAGE)
    token = browser.cookies["csrftoken"].value
    form = {} if target is None else {"next": target}

    if step == "form":
        way = browser.get(URL, form, **PAGE).context["next"]
    else:
        form |= {"password": PASSWORD, "csrfmiddlewaretoken": token}
        way = browser.post(URL, form, **PAGE)["Location"]

    assert way == "/"


def test_script_in_the_way_back_is_escaped(browser):
    """What comes in by `next` cannot break out of the form."""
    response = browser.get(URL, {"next": '/"><script>alert(1)</script>'}, **PAGE)

    assert "<script>alert" not in response.content.decode()


@pytest.mark.parametrize("token", ["", "z" * 32])
def test_page_needs_its_csrf_token(browser, token):
    """No other site submits the form (CS-02)."""
    before = rows()
    form = {"password": PASSWORD, "csrfmiddlewaretoken": token}

    response = browser.post(URL, form, **PAGE)

    assert response.status_code == 403
    assert not touches_cookies(response)
    assert rows() == before


def test_form_with_an_expired_token_can_be_sent_again(browser, clock):
    """A form that comes late leads through the refresh page, and says why."""
    clock.forward(timedelta(minutes=31))

    away = submit(browser)

    back = quote(f"{URL}?next=%2Fcodes%2F", safe="")
    assert away["Location"] == f"/auth/refresh-page/?next={back}"
    token = browser.cookies["csrftoken"].value
    form = {"next": f"{URL}?next=%2Fcodes%2F", "csrfmiddlewaretoken": token}
    shown = browser.get(browser.post("/auth/refresh-page/", form)["Location"], **PAGE)
    assert 'role="status"' in shown.content.decode()
    assert shown.context["next"] == "/codes/"
    assert 'role="status"' not in browser.get(URL, **PAGE).content.decode()
    assert submit(browser)["Location"] == "/codes/"


def test_replaced_generation_refreshes_first(browser, clock):
    """A cookie whose generation is long replaced is sent to refresh, and on, I-8."""
    stale = browser.cookies[ACCESS].value
    browser.send("/auth/refresh/")
    clock.forward(timedelta(seconds=60))
    browser.cookies[ACCESS] = stale

    response = submit(browser)

    assert response["Location"] == "/auth/refresh-page/?next=%2Fcodes%2F"
    assert SessionFamily.objects.get().auth_time == START


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("state", ["none", "revoked", "inactive"])
def test_whoever_has_no_session_logs_in_and_goes_on(browser, method, state):
    """A login is recent, so that it leads on, and not to the page again."""
    browser.get(URL, **PAGE)
    if state == "none":
        del browser.cookies[ACCESS]
    if state == "revoked":
        SessionFamily.objects.update(revoked_at=timezone.now())
    if state == "inactive":
        get_user_model().objects.update(is_active=False)

    if method == "get":
        response = browser.get(URL, {"next": "/codes/"}, **PAGE)
    else:
        response = submit(browser)

    assert response["Location"] == f"{LOGIN}?next=/codes/"
    assert clears_cookies(response) is (state != "none")


def test_session_that_ends_under_way_logs_in_and_goes_on(browser, settings):
    """I-1: A session revoked while the hash is made is not revived."""
    settings.AUTHENTICATION_BACKENDS = [
        "tests.test_views_reauthentication.RevokingBackend"
    ]

    response = submit(browser)

    assert response["Location"] == f"{LOGIN}?next=/codes/"
    assert clears_cookies(response)


@pytest.mark.parametrize("method", ["get", "post"])
def test_session_of_django_has_nothing_to_confirm(api, user, method):
    """Who is logged in by Django's own session is told so, and sent in no circle."""
    api.force_login(user)
    api.get("/auth/login/")

    response = api.get(URL, **PAGE) if method == "get" else submit(api)

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"


def test_other_network_refreshes_first(browser):
    """A browser that has moved is sent through the refresh page, and loses nothing."""
    before = rows()

    response = submit(browser, REMOTE_ADDR=TRAIN)

    assert response["Location"].startswith("/auth/refresh-page/")
    assert rows() == before


def test_page_without_a_database_offers_another_try(browser):
    """A database that fails is said so, and nobody is taken for logged out, I-6."""
    with database_down():
        response = submit(browser)

    assert response.status_code == 503
    assert response["Retry-After"] == "1"
    assert not touches_cookies(response)
    assert submit(browser)["Location"] == "/codes/"
