"""What holds at every page, be it of today or added tomorrow."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import UUID

import pytest
from django.conf import settings as site
from django.contrib.staticfiles import finders
from django.db import DatabaseError, connection
from django.template.loader import get_template
from django.test import Client as DjangoClient
from django.urls import include, path, resolve, reverse
from django.utils import timezone

from rotating_sessions import revocations
from rotating_sessions.models import RevokedReason, SessionFamily
from rotating_sessions.urls_html import urlpatterns as pages
from tests.browsing import (
    TRAIN,
    bearer,
    clears_cookies,
    database_down,
    refusal,
    rows,
    touches_cookies,
)
from tests.factories import PASSWORD, SessionFamilyFactory

pytestmark = pytest.mark.django_db(transaction=True)

FAMILY = UUID("5a0c7f7e-6a39-4c60-9a0f-6a1f35a2b6c4")
PATHS = {
    route.name: reverse(
        f"rotating_sessions_pages:{route.name}",
        args=[FAMILY] if "family_id" in str(route.pattern) else [],
    )
    for route in pages
}
LIST = PATHS["sessions"]
SHOWN = ["sessions", "log-out-everywhere", "logged-out", "reauthenticate"]
FORMS = [
    *("end", "end-others", "dismiss", "log-out", "log-out-everywhere"),
    "reauthenticate",
]
PUBLIC = ["log-out", "logged-out"]
METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]
NAVIGATION = {"HTTP_ACCEPT": "text/html,application/xhtml+xml,*/*;q=0.8"}
FORM = {"password": PASSWORD, "theft": str(FAMILY)}

# A site that mounts the pages, and none of the endpoints.
urlpatterns = [
    path("account/sessions/", include("rotating_sessions.urls_html")),
]


@pytest.fixture
def browser(api, user):
    """Return a browser with a session, beside another one whose id is FAMILY."""
    api.log_in(user, "cookie")
    api.get("/plain/")
    SessionFamilyFactory.create(user=user, pk=FAMILY)
    return api


def kept_out_of_caches(response):
    return (
        response["Cache-Control"],
        response["Pragma"],
        response["X-Content-Type-Options"],
        response["X-Frame-Options"],
    ) == ("no-store", "no-cache", "nosniff", "DENY")


def test_every_page_is_known_to_these_tests():
    """The pages are these eight: whoever adds one, adds it to the tables above."""
    assert PATHS.keys() == {*SHOWN, *FORMS}


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("method", METHODS)
def test_every_answer_is_kept_out_of_caches_and_frames(browser, method, name):
    """HC-01, HC-05: Each answer is no-store and nosniff, and in nobody's frame."""
    token = browser.cookies["csrftoken"].value

    response = browser.generic(method, PATHS[name], HTTP_X_CSRFTOKEN=token)

    taken = {"GET": SHOWN, "HEAD": SHOWN, "POST": FORMS}.get(method, [])
    assert kept_out_of_caches(response)
    assert (response.status_code == 405) is (name not in taken)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("token", [None, "z" * 32])
def test_form_needs_a_csrf_token(browser, name, token):
    """CS-01, CS-02: Without its token no form changes anything."""
    before = rows()
    sent = {} if token is None else {"csrfmiddlewaretoken": token}

    response = browser.post(PATHS[name], {**FORM, **sent})

    assert response.status_code == 403
    assert rows() == before
    assert not response.cookies


@pytest.mark.parametrize("name", FORMS)
def test_form_needs_a_csrf_token_without_the_middleware_too(browser, settings, name):
    """CS-01: A site that removed Django's middleware is protected all the same."""
    csrf = "django.middleware.csrf.CsrfViewMiddleware"
    settings.MIDDLEWARE = [name for name in site.MIDDLEWARE if name != csrf]
    before = rows()

    response = browser.post(PATHS[name], FORM)

    assert response.status_code == 403
    assert rows() == before


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(
    ("sender", "welcome"),
    [("cross-site", False), ("same-site", True), ("same-origin", True), ("none", True)],
)
def test_browser_that_names_another_site_is_refused(browser, name, sender, welcome):
    """CS-03: With the right CSRF token, too, `Sec-Fetch-Site: cross-site` is 403."""
    before = rows()

    response = browser.submit(PATHS[name], FORM, HTTP_SEC_FETCH_SITE=sender)

    assert response.status_code == (302 if welcome else 403)
    assert (rows() == before) is (not welcome or name == "dismiss")
    assert welcome or "was not sent from a page of this site" in str(response.content)


@pytest.mark.parametrize("name", FORMS)
def test_form_is_not_replayed_from_early_data(browser, name):
    """HC-03: A form in TLS early data is answered 425, and changes nothing."""
    before = rows()

    response = browser.submit(PATHS[name], FORM, HTTP_EARLY_DATA="1")

    assert response.status_code == 425
    assert rows() == before
    assert not touches_cookies(response)


@pytest.mark.parametrize("name", SHOWN)
def test_page_shows_what_was_written(browser, settings, name):
    """DB-03: No page reads sessions from a replica, which may be behind."""
    settings.DATABASE_ROUTERS = ["tests.routers.ReplicaOfSessions"]

    response = browser.get(PATHS[name])

    assert response.status_code == 200


@pytest.mark.parametrize("charset", ["utf-7", "unicode_escape", "utf-16"])
@pytest.mark.parametrize("name", SHOWN)
def test_address_in_another_charset_is_refused(browser, name, charset):
    """An address is UTF-8, and half a character in a charset of its own a 400."""
    address = f"{PATHS[name]}?next=/%5Cud800+2AA-"

    response = browser.get(address, CONTENT_TYPE=f"text/plain; charset={charset}")

    assert response.status_code == 400


@pytest.mark.parametrize(("charset", "status"), [("utf-7", 400), ("UTF8", 403)])
@pytest.mark.parametrize("name", ["log-out-everywhere", "reauthenticate"])
def test_form_in_another_charset_is_refused(browser, name, charset, status):
    """Nor does a password that is no text in UTF-8."""
    name_of = 'Content-Disposition: form-data; name="password"'
    body = f"--X\r\n{name_of}\r\n\r\n+2AA-\r\n--X--\r\n"
    content_type = f"multipart/form-data; boundary=X; charset={charset}"
    token = browser.cookies["csrftoken"].value

    response = browser.generic(
        "POST", PATHS[name], body, content_type, HTTP_X_CSRFTOKEN=token
    )

    assert response.status_code == status
    assert SessionFamily.objects.filter(revoked_at=None).count() == 2


@pytest.mark.parametrize("name", [name for name in PATHS if name not in PUBLIC])
def test_visitor_is_sent_to_the_sign_in_page(api, name):
    """Who is not logged in signs in, and comes back to the page, or the list."""
    api.get("/auth/login/")
    way_back = PATHS[name] if name in SHOWN else LIST
    # A login is as good as what the page asks for: it goes on to where that led.
    way_back = {"reauthenticate": "/"}.get(name, way_back)

    response = api.submit(PATHS[name]) if name in FORMS else api.get(PATHS[name])

    assert response.status_code == 302
    assert response["Location"] == f"{site.LOGIN_URL}?next={way_back}"
    assert kept_out_of_caches(response)


@pytest.mark.parametrize("name", [name for name in FORMS if name not in PUBLIC])
@pytest.mark.parametrize("why", ["expired", "network"])
def test_form_that_is_posted_late_can_be_posted_again(browser, settings, name, why):
    """A form whose access token will not do goes over the refresh page, and back."""
    if why == "expired":
        settings.ROTATING_SESSIONS = {"ACCESS_LIFETIME": timedelta(0)}
        browser.send("/auth/refresh/")
    extra = {"REMOTE_ADDR": TRAIN} if why == "network" else {}
    before = rows()
    way_back = PATHS[name] if name in SHOWN else LIST
    way_back = {"reauthenticate": f"{way_back}?next=%2F"}.get(name, way_back)

    response = browser.submit(PATHS[name], FORM, **extra)

    assert response.status_code == 302
    assert response["Location"].startswith("/auth/refresh-page/?next=")
    assert response.cookies["rotating_sessions_notice"].value == "renewed"
    assert rows() == before
    settings.ROTATING_SESSIONS = {}
    shown = browser.get(response["Location"], **extra)
    assert shown.context["next"] == way_back
    browser.submit("/auth/refresh-page/", {"next": way_back}, **extra)
    told = [browser.get(way_back, **extra).content.decode() for _ in range(2)]
    assert ["Nothing has been changed yet" in page for page in told] == [True, False]


@pytest.mark.parametrize("name", ["sessions", "log-out-everywhere"])
def test_page_is_refreshed_as_any_other(browser, settings, name):
    """A page that is opened late goes over the refresh page without a word of it."""
    settings.ROTATING_SESSIONS = {"ACCESS_LIFETIME": timedelta(0)}
    browser.send("/auth/refresh/")

    response = browser.get(f"{PATHS[name]}?after=1", **NAVIGATION)

    assert response.status_code == 302
    assert response["Location"].startswith("/auth/refresh-page/?next=")
    assert not response.cookies


def test_site_without_endpoints_says_that_it_did_not_work(api, user, settings):
    """Where no refresh page is mounted, a page with the refusal is all there is."""
    api.log_in(user, "cookie")
    settings.ROTATING_SESSIONS = {"EPOCH": 1}
    settings.ROOT_URLCONF = __name__

    response = api.get(LIST, **NAVIGATION)

    assert response.status_code == 401
    assert "That did not work" in str(response.content)


def test_refused_bearer_token_gets_json(api):
    """Who sends a bearer token is no browser: it is refused as anywhere else."""
    response = api.get(LIST, **bearer("abc"))

    assert refusal(response) == (401, "invalid_token")
    assert kept_out_of_caches(response)


@pytest.mark.parametrize("known", [True, False])
def test_ended_session_is_sent_to_the_sign_in_page(browser, known):
    """Once a session has ended, its browser signs in, and loses its cookies."""
    SessionFamily.objects.update(
        revoked_at=timezone.now(), revoked_reason=RevokedReason.STAFF
    )
    for family in SessionFamily.objects.all() if known else []:
        revocations.add([family.pk], timezone.now())

    response = browser.submit(PATHS["end-others"])

    assert response.status_code == 302
    assert response["Location"] == f"{site.LOGIN_URL}?next={LIST}"
    assert clears_cookies(response)


# What needs the database, and where it fails: everywhere, or after the user is read.
@pytest.mark.parametrize("statement", ["", "rotating_sessions_sessionfamily", "rank"])
@pytest.mark.parametrize("error", [DatabaseError, None])
def test_page_without_a_database_says_so(browser, statement, error):
    """A database that fails is a page with 503, and the session goes on."""
    errors = {} if error is None else {"error": error}

    with database_down(statement, **errors):
        response = browser.get(LIST)

    assert response.status_code == 503
    assert response["Retry-After"] == "1"
    assert response["Content-Type"].startswith("text/html")
    assert "Try again in a moment." in str(response.content)
    assert kept_out_of_caches(response)
    assert not touches_cookies(response)
    assert browser.get(LIST).status_code == 200


def test_session_of_djangos_without_a_database_is_a_page_too(user):
    """Who is known by Django's session gets the same page where that cannot be read."""
    client = DjangoClient()
    client.force_login(user)

    with database_down("django_session"):
        response = client.get(LIST)

    assert response.status_code == 503
    assert "Try again in a moment." in str(response.content)


def test_layout_that_names_the_user_is_no_hindrance(browser, settings, tmp_path):
    """The page about a database that fails reads no user, whatever its layout shows."""
    folder = tmp_path / "rotating_sessions"
    folder.mkdir()
    layout = "<p>For {{ user }}</p>{% block content %}{% endblock %}"
    (folder / "base.html").write_text(layout)
    settings.TEMPLATES = [{**site.TEMPLATES[0], "DIRS": [tmp_path]}]

    with database_down():
        response = browser.get(LIST)

    assert response.status_code == 503
    assert "For AnonymousUser" in str(response.content)
    assert "Try again in a moment." in str(response.content)


@pytest.mark.parametrize("name", [name for name in FORMS if name != "dismiss"])
@pytest.mark.parametrize("statement", ["", "UPDATE"])
def test_form_without_a_database_says_so(browser, name, statement):
    """A form that could not be carried out is 503, and no cookie is cleared."""
    with database_down(statement):
        response = browser.submit(PATHS[name], FORM)

    assert response.status_code == 503
    assert not touches_cookies(response)
    assert SessionFamily.objects.filter(revoked_at=None).count() == 2


def test_stale_process_says_so(clock, browser):
    """A process that knows nothing recent of revocations answers with 503 as well."""
    browser.get(LIST)
    clock.forward(timedelta(minutes=5))

    with database_down():
        response = browser.get(LIST)

    assert response.status_code == 503
    assert response["Content-Type"].startswith("text/html")


def test_fault_of_ours_is_none_of_the_databases(browser):
    """What is no failure of the database stays an error of the site's."""
    with database_down("rank", ZeroDivisionError), pytest.raises(ZeroDivisionError):
        browser.get(LIST)


@pytest.mark.parametrize("name", PATHS)
def test_no_page_is_atomic(name):
    """RT-10: Under ATOMIC_REQUESTS, too, a revocation outlives what follows it."""
    view = resolve(PATHS[name]).func

    assert connection.alias in view._non_atomic_requests


@pytest.mark.parametrize("name", SHOWN)
def test_page_needs_no_script_or_style_inside(browser, name):
    """A policy of `default-src 'none'; style-src 'self'` refuses nothing of a page."""
    page = browser.get(PATHS[name]).content.decode()

    assert "<script" not in page
    assert "<style" not in page
    assert not re.search(r'\s(?:on\w+|style)="', page)
    assert not re.search(r'(?:src|href|action)="(?!/)', page)
    assert re.search(r'<link rel="stylesheet" href="/static/([^"]+)"', page)
    assert finders.find("rotating_sessions/pages.css")


@pytest.mark.parametrize("name", SHOWN)
def test_page_has_one_heading_and_one_main_part(browser, name):
    """A screen reader finds the main part, its heading, and the language."""
    page = browser.get(PATHS[name]).content.decode()

    assert page.count("<main") == page.count("<h1") == 1
    assert '<html lang="en-us">' in page
    assert re.search("<title>[^<]+</title>", page)


@pytest.mark.parametrize(
    "template",
    [
        *("sessions", "log_out_everywhere", "logged_out", "problem", "refresh"),
        "reauthenticate",
    ],
)
def test_one_file_is_the_layout_of_all_pages(template):
    """A site that overrides the base puts every page into its own layout."""
    source = get_template(f"rotating_sessions/{template}.html").template.source

    assert source.startswith('{% extends "rotating_sessions/base.html" %}')
    assert "<html" not in source
