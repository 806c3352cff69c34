"""Sensitive actions: a session that is alive now, and a login not too long ago."""

from __future__ import annotations

from base64 import b64encode
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import AsyncClient
from django.test.utils import CaptureQueriesContext
from django.urls import path
from django.utils import timezone

from rotating_sessions.exceptions import ReauthenticationRequired
from rotating_sessions.models import SessionFamily
from rotating_sessions.permissions import check_recent_login
from tests import views
from tests.acting import SKEW, TICK
from tests.browsing import (
    Api,
    bearer,
    clears_cookies,
    count,
    database_down,
    refusal,
    rows,
    touches_cookies,
)
from tests.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db(transaction=True)

RECENT = timedelta(minutes=15)
MINUTE = timedelta(minutes=1)
PAGE = {"HTTP_ACCEPT": "text/html,application/xhtml+xml,*/*;q=0.8"}
DJANGO = [
    "/codes/",
    "/codes/async/",
    "/codes/class/",
    "/codes/class-async/",
    "/codes/method-async/",
]
ALL = [*DJANGO, "/api/codes/"]
CONFIRM = "/account/sessions/reauthenticate/"
# A site that mounts none of our pages.
urlpatterns = [path("codes/", views.codes)]
# What Django's asynchronous test client comes from.
LOOPBACK = "127.0.0.1"


def logged_in(ago: timedelta) -> None:
    """Let the only login there is be so long ago."""
    SessionFamily.objects.update(auth_time=timezone.now() - ago)


def basic(user: Any) -> dict[str, str]:
    """Return the extra arguments that carry credentials which are none of ours."""
    credentials = b64encode(f"{user.username}:{PASSWORD}".encode()).decode()
    return {"HTTP_AUTHORIZATION": f"Basic {credentials}"}


@pytest.fixture
def browser(api: Any, user: Any, clock: Any) -> Any:
    """Return a browser with a session that the process has seen."""
    api.log_in(user, "cookie")
    api.get("/plain/")
    return api


@pytest.mark.parametrize("path", ALL)
@pytest.mark.parametrize(
    ("ago", "passes"),
    [
        (timedelta(), True),
        (RECENT - TICK, True),
        (RECENT, False),
        (timedelta(days=3), False),
        (-SKEW, True),
        (-SKEW - TICK, False),
    ],
)
def test_login_has_to_be_recent(browser, path, ago, passes):
    """A login of the last quarter of an hour will do, by a clock a little off, too."""
    logged_in(ago)

    response = browser.get(path)

    assert response.status_code == (200 if passes else 403)
    assert passes or refusal(response) == (403, "reauthentication_required")
    assert not touches_cookies(response)


@pytest.mark.parametrize("path", DJANGO)
def test_refusal_is_plain_json_and_in_no_cache(browser, path):
    """The refusal says what to do, in the two fields of every other."""
    logged_in(RECENT)

    response = browser.get(path)

    assert response.json() == {
        "detail": "Confirm your password, then try again.",
        "code": "reauthentication_required",
    }
    assert response["Cache-Control"] == "no-store"
    assert "WWW-Authenticate" not in response


def test_setting_says_what_is_recent(browser, settings):
    """RECENT_LOGIN holds where a view names no age."""
    settings.ROTATING_SESSIONS = {"RECENT_LOGIN": timedelta(minutes=3)}
    logged_in(timedelta(minutes=4))

    responses = [browser.get(path) for path in ALL]

    assert {response.status_code for response in responses} == {403}


@pytest.mark.parametrize(
    ("ago", "fresh"), [(MINUTE - TICK, 200), (MINUTE, 403), (2 * MINUTE, 403)]
)
def test_view_may_name_an_age_of_its_own(browser, ago, fresh):
    """A view asks for a younger login than the others do."""
    logged_in(ago)

    statuses = [browser.get(path).status_code for path in ("/codes/", "/codes/fresh/")]

    assert statuses == [200, fresh]


def test_row_decides_and_not_the_token(api, user, clock):
    """A token from before the password was confirmed passes, as the session now is."""
    access = api.log_in(user)["access"]
    clock.forward(timedelta(minutes=20))
    api.send("/auth/reauthenticate/", {"password": PASSWORD}, **bearer(access))

    response = api.get("/codes/", **bearer(access))

    assert response.status_code == 200


@pytest.mark.parametrize("path", ALL)
def test_row_and_user_are_one_query(browser, path):
    """The session, its user and the login's time are read in one query together."""
    with CaptureQueriesContext(connection) as queries:
        response = browser.get(path)

    assert response.status_code == 200
    assert count(queries) == (1, 0)


@pytest.mark.parametrize("path", DJANGO)
@pytest.mark.parametrize(("ago", "status"), [(timedelta(), 200), (RECENT, 403)])
def test_row_and_user_are_one_query_under_asgi(user, clock, path, ago, status):
    """Under ASGI, too, all is read in one query, off the event loop."""
    api = Api(REMOTE_ADDR=LOOPBACK)
    api.log_in(user, "cookie")
    logged_in(ago)
    client = AsyncClient()
    client.cookies = api.cookies
    async_to_sync(client.get)("/plain/")

    with CaptureQueriesContext(connection) as queries:
        response = async_to_sync(client.get)(path)

    assert response.status_code == status
    assert count(queries) == (1, 0)


@pytest.mark.parametrize("path", ALL)
@pytest.mark.parametrize(
    "state", ["revoked", "too old", "idle", "inactive", "password", "gone"]
)
def test_session_that_is_over_by_its_row_is_refused(browser, path, state):
    """What this process does not know yet, the row does: 401, cookies cleared."""
    past = timezone.now() - timedelta(seconds=1)
    families, users = SessionFamily.objects, get_user_model().objects
    {
        "revoked": lambda: families.update(revoked_at=past),
        "too old": lambda: families.update(expires_at=past),
        "idle": lambda: families.update(idle_at=past),
        "inactive": lambda: users.update(is_active=False),
        "password": lambda: users.update(password="md5$s$other"),
        "gone": families.all().delete,
    }[state]()

    response = browser.get(path)

    assert refusal(response) == (401, "session_ended")
    assert clears_cookies(response)
    assert response["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", ALL)
def test_database_failure_is_no_refusal(browser, path):
    """A database that fails is 503, and neither a 401 nor a 403, I-6."""
    with database_down("rotating_sessions"):
        response = browser.get(path)

    assert refusal(response) == (503, "unavailable")
    assert response["Retry-After"] == "1"
    assert not touches_cookies(response)
    assert browser.get(path).status_code == 200


@pytest.mark.parametrize("path", DJANGO)
def test_nobody_is_told_to_log_in(api, path):
    """Without a token there is no login to be recent: 401, with a challenge."""
    response = api.get(path)

    assert refusal(response) == (401, "not_authenticated")
    assert response["WWW-Authenticate"] == "Bearer"
    assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", DJANGO)
def test_session_of_django_is_no_recent_login(api, user, path):
    """Nobody knows when the login of a session of Django's was, be it a page or not."""
    api.force_login(user)

    responses = [api.get(path), api.get(path, **PAGE)]

    assert {refusal(each) for each in responses} == {(401, "not_authenticated")}


def test_exempt_view_answers_what_the_token_is_worth(api):
    """Where the middleware lets a bad token pass, the decorator tells of it."""
    response = api.get("/codes/exempt/", **bearer("abc"))

    assert refusal(response) == (401, "invalid_token")


@pytest.mark.parametrize("path", DJANGO)
def test_page_sends_nobody_to_log_in(api, path):
    """A browser without a session is sent to the sign-in page, as by login_required."""
    response = api.get(f"{path}?tab=2", **PAGE)

    assert response.status_code == 302
    assert response["Location"] == f"/sign-in/?next={path}%3Ftab%3D2"
    assert response["Cache-Control"] == "no-store"


def test_page_sends_an_ended_session_to_log_in(browser):
    """A navigation whose session has ended loses its cookies, and leads to a login."""
    SessionFamily.objects.update(revoked_at=timezone.now())

    response = browser.get("/codes/", **PAGE)

    assert response["Location"] == "/sign-in/?next=/codes/"
    assert clears_cookies(response)


def test_page_without_a_database_is_unavailable(browser):
    """A navigation that cannot be judged leads nowhere else."""
    with database_down("rotating_sessions"):
        response = browser.get("/codes/", **PAGE)

    assert refusal(response) == (503, "unavailable")


@pytest.mark.parametrize("path", DJANGO)
def test_page_sends_an_old_login_to_confirm_its_password(browser, path):
    """A navigation with an old login passes through the page for it, and comes back."""
    logged_in(RECENT)

    response = browser.get(f"{path}?tab=2", **PAGE)

    target = quote(f"{path}?tab=2", safe="")
    assert response.status_code == 302
    assert response["Location"] == f"{CONFIRM}?next={target}"
    assert response["Cache-Control"] == "no-store"
    assert not touches_cookies(response)


@pytest.mark.parametrize("accept", ["*/*", "application/json"])
@pytest.mark.parametrize("method", ["get", "head", "post"])
def test_only_a_navigation_is_sent_to_confirm(browser, method, accept):
    """Scripts and forms are told by the status and the code."""
    logged_in(RECENT)
    token = browser.cookies["csrftoken"].value
    accept = "text/html" if method != "get" else accept

    response = getattr(browser, method)(
        "/codes/", headers={"Accept": accept, "X-CSRFToken": token}
    )

    assert response.status_code == 403


def test_page_is_told_the_code_where_there_is_no_page_to_confirm_at(browser, settings):
    """A site that mounts no page for it gets the code, to make one of its own."""
    settings.ROOT_URLCONF = __name__
    logged_in(RECENT)

    response = browser.get("/codes/", **PAGE)

    assert refusal(response) == (403, "reauthentication_required")


def test_bearer_token_is_never_sent_to_a_page(api, user):
    """A program gets the code, whatever it accepts."""
    access = api.log_in(user)["access"]
    logged_in(RECENT)

    response = api.get("/codes/", **PAGE, **bearer(access))

    assert refusal(response) == (403, "reauthentication_required")


def test_api_of_another_authentication_is_not_opened_by_a_session(browser):
    """A session beside another user's credentials confirms nothing about that user."""
    other = UserFactory.create()

    nobody = browser.get("/api/codes/open/")
    somebody = browser.get("/api/codes/open/", **basic(other))

    assert refusal(nobody) == (401, "not_authenticated")
    assert refusal(somebody) == (401, "not_authenticated")


def test_api_may_name_an_age_of_its_own(browser, user):
    """A subclass of the permission asks for a younger login."""
    logged_in(timedelta(minutes=2))

    response = browser.get("/api/codes/open/", **basic(user))

    assert refusal(response) == (403, "reauthentication_required")


def test_api_without_a_session_of_ours_is_refused(api, user):
    """Who the site knows by other means has no login of ours to be recent."""
    response = api.get("/api/codes/open/", **basic(user))

    assert refusal(response) == (401, "not_authenticated")


def test_api_whose_session_cannot_be_read_is_unavailable(browser, user):
    """A session that DRF's permission cannot read is 503, whoever authenticated."""
    with database_down("rotating_sessions"):
        response = browser.get("/api/codes/open/", **basic(user))

    assert refusal(response) == (503, "unavailable")


def test_refusal_changes_no_row(browser):
    """Who is refused for an old login keeps the session as it was."""
    logged_in(RECENT)
    before = rows()

    responses = [browser.get(each) for each in ALL]

    assert {response.status_code for response in responses} == {403}
    assert rows() == before


def test_check_can_be_made_inside_a_view(browser):
    """A view that is sensitive for some input only asks when it sees that input."""
    request = browser.get("/plain/").wsgi_request
    logged_in(timedelta(minutes=2))

    check_recent_login(request)

    with pytest.raises(ReauthenticationRequired):
        check_recent_login(request, timedelta(minutes=2))


def test_login_elsewhere_is_no_login_of_this_session(api, user, clock):
    """A login on another device leaves this session's own as old as it is."""
    access = api.log_in(user)["access"]
    clock.forward(RECENT)
    Api().log_in(user)

    response = api.get("/codes/", **bearer(access))

    assert refusal(response) == (403, "reauthentication_required")
