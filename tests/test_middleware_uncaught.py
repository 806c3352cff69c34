"""What a view raises of ours and does not catch is answered where that is right."""

from __future__ import annotations

from datetime import timedelta
from typing import NoReturn

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import AsyncClient
from django.urls import path
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from rotating_sessions import exceptions
from rotating_sessions.authentication import (
    RotatingSessionAuthentication,
    session_exempt,
)
from rotating_sessions.clients import read_client
from rotating_sessions.models import RevokedReason, SessionFamily
from rotating_sessions.permissions import check_claim, check_recent_login
from rotating_sessions.services import (
    change_session_data,
    refresh_session,
    revoke_session,
    start_anonymous_session,
)
from tests import urls
from tests.browsing import (
    ACCESS,
    HOME,
    REFRESH,
    Api,
    bearer,
    clears_cookies,
    database_down,
    refusal,
    touches_cookies,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls(__name__)]

PAGE = {"HTTP_ACCEPT": "text/html", "HTTP_SEC_FETCH_MODE": "navigate"}


def visit(request: HttpRequest) -> HttpResponse:
    """Count visits in the session's data."""
    return JsonResponse(change_session_data(request, {"visits": 1}))


@transaction.non_atomic_requests
async def visit_async(request: HttpRequest) -> HttpResponse:
    """Count visits in the session's data."""
    return await sync_to_async(visit)(request)


class VisitView(APIView):
    """Count visits in the session's data."""

    authentication_classes = (RotatingSessionAuthentication,)

    def get(self, request: Request) -> Response:
        """Answer with the data."""
        return Response(change_session_data(request, {"visits": 1}))


@transaction.non_atomic_requests
def leave_and_visit(request: HttpRequest) -> HttpResponse:
    """Count visits of a user whose session ends meanwhile."""
    assert request.user.is_authenticated
    revoke_session(request.session_family.family_id, reason=RevokedReason.STAFF)
    return visit(request)


@transaction.non_atomic_requests
def refresh(request: HttpRequest) -> HttpResponse:
    """Refresh by an endpoint of the site's own."""
    token = request.POST["refresh"]
    pair = refresh_session(token, client=read_client(request), transport="header")
    return JsonResponse(pair.body())


def guarded(request: HttpRequest) -> None:
    """Ask within the view, for what nobody has."""
    check_recent_login(request, timedelta(hours=1))
    check_claim(request, "plan", max_age=timedelta(hours=1))


def blame(request: HttpRequest, name: str) -> NoReturn:
    """Raise an error by its name."""
    error = getattr(exceptions, name)
    argument = {"AccessTokenExpired": [None], "InvalidClaim": ["plan"]}
    raise error(*argument.get(name, []))


urlpatterns = [
    *urls.urlpatterns,
    path("visit/", visit),
    path("visit/async/", visit_async),
    path("visit/api/", VisitView.as_view()),
    path("visit/exempt/", session_exempt(visit)),
    path("visit/over/", leave_and_visit),
    path("my-refresh/", session_exempt(refresh)),
    path("guarded/", guarded),
    path("blame/<name>/", blame),
]


def end_elsewhere():
    """End the session as another process does, of which this one knows nothing yet."""
    SessionFamily.objects.update(revoked_at=timezone.now(), revoked_reason="staff")


@pytest.fixture
def browser(api, user):
    """Return a browser with a session that this process knows."""
    api.log_in(user, transport="cookie")
    assert api.get("/visit/").json() == {"visits": 1}
    return api


@pytest.fixture
def access(api, user):
    """Return the access token of a session that this process knows."""
    access = api.log_in(user)["access"]
    assert api.get("/visit/", **bearer(access)).status_code == 200
    return access


VISITS = ["/visit/", "/visit/async/", "/visit/api/"]


@pytest.mark.parametrize("path", VISITS)
def test_session_that_has_ended_is_answered_so(browser, path):
    """A view that finds the session over lets that through: 401, and no cookies."""
    end_elsewhere()

    answer = browser.get(path)

    assert refusal(answer) == (401, "session_ended")
    assert clears_cookies(answer)
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/visit/", "/visit/async/"])
def test_session_that_has_ended_is_answered_so_under_asgi(user, path):
    """Under ASGI it is the same, and the row is asked in a thread."""
    api = Api(REMOTE_ADDR="127.0.0.1")
    api.log_in(user, transport="cookie")
    client = AsyncClient()
    client.cookies = api.cookies
    async_to_sync(client.get)(path)
    end_elsewhere()

    answer = async_to_sync(client.get)(path)

    assert refusal(answer) == (401, "session_ended")
    assert clears_cookies(answer)


def test_session_that_has_ended_by_header_is_answered_so(api, access):
    """By header there are no cookies to forget."""
    end_elsewhere()

    answer = api.get("/visit/", **bearer(access))

    assert refusal(answer) == (401, "session_ended")
    assert not touches_cookies(answer)


@pytest.mark.parametrize("path", VISITS)
def test_no_session_is_answered_so(api, path):
    """A view that asks for a session where there is none lets that through, too."""
    answer = api.get(path)

    assert refusal(answer) == (401, "not_authenticated")
    assert not touches_cookies(answer)


def test_browser_that_asks_for_a_page_is_sent_to_log_in(browser, api):
    """People get no JSON: with an ended session, found so before or after, or none."""
    browser.get("/visit/")
    end_elsewhere()

    ended = browser.get("/visit/", **PAGE)
    none = Api().get("/visit/", **PAGE)

    for answer in (ended, none):
        assert (answer.status_code, answer["Location"]) == (
            302,
            "/sign-in/?next=/visit/",
        )
    assert clears_cookies(ended)


def test_browser_is_sent_to_log_in_although_the_user_was_read(browser):
    """A session that ends while its user's page is made is over for the rest of it."""
    answer = browser.get("/visit/over/", **PAGE)

    assert answer["Location"] == "/sign-in/?next=/visit/over/"
    assert clears_cookies(answer)
    assert answer.wsgi_request.session_family is None
    assert async_to_sync(answer.wsgi_request.auser)() == AnonymousUser()


def test_exempt_view_that_finds_no_session_says_what_the_token_lacks(browser, clock):
    """Where a refresh is all it takes, nobody is told to log in."""
    clock.forward(timedelta(hours=1))

    answer = browser.get("/visit/exempt/")

    assert refusal(answer) == (401, "refresh_required")
    assert not touches_cookies(answer)


def test_exempt_view_that_finds_a_session_ended_says_so(browser):
    """What the middleware knew and let through is what the view's error says."""
    revoke_session(SessionFamily.objects.get().pk, reason=RevokedReason.STAFF)

    answer = browser.get("/visit/exempt/")

    assert refusal(answer) == (401, "session_ended")
    assert clears_cookies(answer)


@pytest.mark.parametrize(
    ("token", "code"), [("garbage", "invalid_token"), (None, "session_ended")]
)
def test_refresh_of_a_sites_own_is_answered_as_ours(api, user, token, code):
    """An endpoint that is sent another token than the request's lets errors through."""
    refresh_token = api.log_in(user)["refresh"]
    api.get("/auth/login/")
    good = api.submit("/my-refresh/", {"refresh": refresh_token})
    assert good.status_code == 200
    end_elsewhere()

    answer = api.submit("/my-refresh/", {"refresh": token or refresh_token})

    assert refusal(answer) == (401, code)


@pytest.mark.parametrize(
    "name", ["InvalidToken", "NotAuthenticated", "SessionEnded", "SessionExpired"]
)
def test_error_about_another_session_ends_none(browser, name):
    """A good session is told of no other one's end: the error stays the view's."""
    with pytest.raises(getattr(exceptions, name)):
        browser.get(f"/blame/{name}/")

    browser.raise_request_exception = False
    answer = browser.get(f"/blame/{name}/")
    assert answer.status_code == 500
    assert not touches_cookies(answer)
    assert browser.get("/visit/").status_code == 200


@pytest.mark.parametrize("name", ["AccessTokenExpired", "NetworkChanged"])
@pytest.mark.parametrize("extra", [{}, PAGE])
def test_error_about_another_access_token_makes_nobody_refresh(api, user, name, extra):
    """What the view decodes is not what the request carries: no refresh would help."""
    for browser in (api, Api()):
        with pytest.raises(getattr(exceptions, name)):
            browser.get(f"/blame/{name}/", **extra)
        api.log_in(user, transport="cookie")


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("CrossSiteRequest", 403, "csrf_failed"),
        ("InvalidClaim", 403, "invalid_claim"),
        ("InvalidCredentials", 401, "invalid_credentials"),
        ("InvalidRequest", 400, "invalid_request"),
        ("PasswordRefused", 403, "invalid_credentials"),
        ("PayloadTooLarge", 413, "request_too_large"),
        ("ReauthenticationRequired", 403, "reauthentication_required"),
        ("RefreshRequired", 401, "refresh_required"),
        ("TooEarly", 425, "too_early"),
        ("Unavailable", 503, "unavailable"),
    ],
)
def test_error_that_ends_no_session_is_answered(browser, name, status, code):
    """All else is answered, with a session and without, and ends none."""
    for client in (browser, Api()):
        answer = client.get(f"/blame/{name}/")

        assert refusal(answer) == (status, code)
        assert not touches_cookies(answer)
    assert browser.get("/visit/").status_code == 200


def test_check_within_a_view_answers_as_its_decorator(browser):
    """`check_recent_login` and `check_claim` need nobody to catch what they raise."""
    lacking = browser.get("/guarded/")
    page = browser.get("/guarded/", **PAGE)
    nobody = Api().get("/guarded/")

    assert refusal(lacking) == (403, "invalid_claim")
    assert lacking.json()["claim"] == "plan"
    assert (page.status_code, page["Content-Type"]) == (403, "text/html; charset=utf-8")
    assert refusal(nobody) == (401, "not_authenticated")


@pytest.fixture
def visitor(api, rf):
    """Return a browser with an anonymous session that this process knows."""
    pair = start_anonymous_session(rf.get("/", REMOTE_ADDR=HOME), transport="cookie")
    api.cookies[ACCESS], api.cookies[REFRESH] = pair.access, pair.refresh
    assert api.get("/visit/").json() == {"visits": 1}
    return api


def test_visitor_is_told_to_log_in(visitor):
    """AC-11: A good session of nobody is none to a check within a view."""
    answer = visitor.get("/guarded/")
    page = visitor.get("/guarded/", **PAGE)

    assert refusal(answer) == (401, "not_authenticated")
    assert page["Location"] == "/sign-in/?next=/guarded/"
    assert not touches_cookies(answer)
    assert not touches_cookies(page)


@pytest.mark.parametrize("path", VISITS)
def test_visit_that_has_ended_clears_no_cookie(visitor, path):
    """A view beside the login that ended it is told so; the browser has new cookies."""
    end_elsewhere()

    answer = visitor.get(path)

    assert refusal(answer) == (401, "session_ended")
    assert not touches_cookies(answer)
    assert answer["Cache-Control"] == "no-store"


def test_database_that_fails_says_nothing_about_the_session(browser):
    """Where nobody can tell whether the session has ended, the answer is 503."""
    with database_down(only="SELECT"):
        answer = browser.get("/blame/SessionEnded/")

    assert refusal(answer) == (503, "unavailable")
    assert not touches_cookies(answer)
