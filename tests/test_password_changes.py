"""Django's own change of a password keeps the session of the request."""

from __future__ import annotations

import logging

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.tokens import default_token_generator
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import AsyncClient
from django.test.utils import CaptureQueriesContext, override_settings
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from rotating_sessions.models import SessionFamily
from tests.browsing import (
    Api,
    bearer,
    clears_cookies,
    count,
    database_down,
    refusal,
    touches_cookies,
)
from tests.factories import PASSWORD
from tests.urls_of_passwords import NEW

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("tests.urls_of_passwords"),
]

FORM = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
HERE = "/password/"
# What Django's asynchronous test client comes from.
LOOPBACK = "127.0.0.1"


@pytest.fixture
def other(user):
    """Return the access token of another session of the user's."""
    return Api().log_in(user)["access"]


@pytest.fixture
def browser(api, user, other):
    """Return a browser with a session, beside which there is another one."""
    api.log_in(user, transport="cookie")
    return api


def reasons():
    """Return why the sessions ended, in order of their logins."""
    rows = SessionFamily.objects.order_by("created_at")
    return list(rows.values_list("revoked_reason", flat=True))


def goes_on(browser):
    """Tell whether a browser can read its sessions, and refresh."""
    answers = browser.get("/auth/sessions/"), browser.send("/auth/refresh/")
    return all(answer.status_code == 200 for answer in answers)


def no_trace(answer):
    """Tell whether Django's session has left neither a row nor a cookie."""
    cookie = answer.cookies.get("sessionid")
    return not Session.objects.exists() and (cookie is None or not cookie.value)


def test_djangos_view_keeps_the_session_and_ends_the_others(browser, other):
    """I-23: `PasswordChangeView` as it is keeps this session, and ends all others."""
    answer = browser.submit(HERE, FORM)

    assert (answer.status_code, answer["Location"]) == (302, "/plain/")
    assert not touches_cookies(answer)
    assert reasons() == ["password_changed", ""]
    assert refusal(Api().get("/plain/", **bearer(other))) == (401, "session_ended")
    assert goes_on(browser)


def test_nothing_is_left_of_djangos_session(browser):
    """What Django noted in a session of its own for this is gone, with its cookie."""
    answer = browser.submit(HERE, FORM)

    assert no_trace(answer)


def test_a_view_by_header_keeps_the_session(api, user, other):
    """It does not matter how the access token came."""
    access = api.log_in(user)["access"]
    api.get("/auth/login/")

    answer = api.submit(HERE, FORM, **bearer(access))

    assert answer.status_code == 302
    assert no_trace(answer)
    assert reasons() == ["password_changed", ""]


def test_a_view_of_drf_keeps_the_session(browser):
    """The request that DRF wraps is the one that the middleware looks at."""
    answer = browser.send("/api/password/")

    assert answer.status_code == 204
    assert no_trace(answer)
    assert reasons() == ["password_changed", ""]
    assert goes_on(browser)


def test_an_async_view_keeps_the_session(browser):
    """`aupdate_session_auth_hash` does the same, also on WSGI."""
    answer = browser.send("/password/async/")

    assert answer.status_code == 200
    assert no_trace(answer)
    assert reasons() == ["password_changed", ""]


@pytest.mark.parametrize("path", ["/password/async/", "/api/password/"])
def test_a_view_under_asgi_keeps_the_session(user, other, path):
    """Under ASGI nothing of it runs in the event loop."""
    browser = Api(REMOTE_ADDR=LOOPBACK)
    browser.log_in(user, transport="cookie")
    client = AsyncClient(enforce_csrf_checks=True)
    client.cookies = browser.cookies
    headers = {"X-CSRFToken": browser.cookies["csrftoken"].value}

    answer = async_to_sync(client.post)(path, headers=headers)

    assert answer.status_code in {200, 204}
    assert no_trace(answer)
    assert reasons() == ["password_changed", ""]
    assert goes_on(browser)


@override_settings(ROTATING_SESSIONS={"EXEMPT_PATHS": ()})
def test_the_admins_view_keeps_the_session(browser, user):
    """Where the admin logs in by sessions of ours, so does its page for a password."""
    user.is_staff = True
    user.save()

    answer = browser.submit("/admin/password_change/", FORM)

    assert answer.status_code == 302
    assert reasons() == ["password_changed", ""]
    assert goes_on(browser)


def test_the_admins_view_on_an_exempt_path_keeps_none(browser, user):
    """On a path of EXEMPT_PATHS Django's session is kept, and none of ours."""
    user.is_staff = True
    user.save()
    browser.force_login(user)

    answer = browser.submit("/admin/password_change/", FORM)

    assert answer.status_code == 302
    assert browser.get("/admin/").status_code == 200
    assert refusal(browser.get("/auth/sessions/")) == (401, "session_ended")


def test_a_login_by_djangos_session_goes_on_beside_ours(browser, user):
    """Who is logged in to the admin as well stays so, here and there."""
    user.is_staff = True
    user.save()
    browser.force_login(user)

    browser.submit(HERE, FORM)

    assert reasons() == ["password_changed", ""]
    assert browser.get("/admin/").status_code == 200
    assert goes_on(browser)


def test_a_login_by_djangos_session_keeps_none(browser):
    """A view that logs in by Django's session wants that one, and no other."""
    answer = browser.send("/password/log-in/")

    assert answer.cookies["sessionid"].value
    assert refusal(browser.get("/auth/sessions/")) == (401, "session_ended")


@pytest.mark.parametrize("read", [False, True])
def test_djangos_password_reset_keeps_no_session(settings, browser, other, user, read):
    """A new password by mail ends all sessions, that of the same browser as well."""
    if read:
        # Also where that was read before it ended.
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, "tests.views.name_the_user"]
    user.refresh_from_db()
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    token = default_token_generator.make_token(user)
    there = browser.get(f"/reset/{uid}/{token}/")["Location"]

    form = {"new_password1": NEW, "new_password2": NEW}
    answer = browser.submit(there, form)

    assert answer.status_code == 302
    assert refusal(browser.get("/auth/sessions/")) == (401, "session_ended")
    answer = Api().get("/auth/sessions/", **bearer(other))
    assert refusal(answer) == (401, "session_ended")


def test_a_change_that_is_rolled_back_keeps_and_ends_nothing(browser, other):
    """Sessions go by the password in the database: the old one, where it failed."""
    answer = browser.send("/password/undo/")

    assert answer.status_code == 422
    assert no_trace(answer)
    assert reasons() == ["", ""]
    assert Api().get("/auth/sessions/", **bearer(other)).status_code == 200
    assert goes_on(browser)


def test_a_change_that_was_saved_counts_although_the_view_failed(browser):
    """Sessions go by the password in the database: the new one, where it is there."""
    browser.raise_request_exception = False

    answer = browser.send("/password/fail/")

    assert answer.status_code == 500
    assert reasons() == ["password_changed", ""]
    assert goes_on(browser)


def test_a_change_before_a_logout_keeps_none(browser):
    """A session that its view has ended stays so."""
    answer = browser.send("/password/leave/")

    assert clears_cookies(answer)
    assert reasons() == ["", "logout"]


def test_no_new_password_ends_nothing(browser, other):
    """Where the hash that Django notes is that of the same password, all go on."""
    answer = browser.send("/password/same/")

    assert no_trace(answer)
    assert reasons() == ["", ""]
    assert goes_on(browser)


def test_a_user_who_is_deleted_keeps_no_session(browser):
    """Whose hash was noted, and who is gone since then, has no session."""
    answer = browser.send("/password/delete/")

    assert answer.content == b"gone"
    assert reasons() == ["user_deleted", "user_deleted"]


def test_what_else_is_in_djangos_session_stays(browser):
    """What a visitor gathered in Django's session is there; the hash is not."""
    browser.get("/gather/")
    before = browser.cookies["sessionid"].value

    browser.submit(HERE, FORM)

    assert browser.cookies["sessionid"].value != before
    assert dict(browser.session.items()) == {"basket": ["tea"]}
    assert reasons() == ["password_changed", ""]


def test_the_database_fails_between_password_and_session(browser, caplog):
    """The answer is the view's, the log has a line, and the next request logs in."""
    table = connection.ops.quote_name(SessionFamily._meta.db_table)
    browser.get("/plain/")

    with database_down(only=f"UPDATE {table}"):
        answer = browser.submit(HERE, FORM)

    assert answer.status_code == 302
    assert [record.event for record in caplog.records] == ["database_failure"]
    assert caplog.records[0].levelno == logging.ERROR
    assert reasons() == ["", ""]
    assert refusal(browser.get("/auth/sessions/")) == (401, "session_ended")


def test_what_is_noted_in_djangos_session_costs_no_query_of_ours(browser):
    """A view may write into Django's session and read the user, as before."""
    browser.get("/gather/")

    with CaptureQueriesContext(connection) as queries:
        browser.get("/gather/")

    # The session's row with the user, Django's session, and its row written.
    assert count(queries)[0] == 2
    assert "password" not in queries.captured_queries[-1]["sql"]


def test_a_site_without_djangos_sessions_has_none_to_keep_in(settings, browser):
    """Without `request.session` nothing asks for one."""
    settings.MIDDLEWARE = [
        name
        for name in settings.MIDDLEWARE
        if "sessions.middleware" not in name.lower() and "messages" not in name
        if "contrib.auth" not in name
    ]

    answer = browser.get("/whoami/")

    assert answer.status_code == 200
