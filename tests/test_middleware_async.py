"""The middleware under ASGI: nothing blocks the loop, and nothing else changes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import SyncToAsync, async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.http import HttpResponse
from django.test import AsyncClient, AsyncRequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from rotating_sessions.middleware import RotatingSessionMiddleware
from rotating_sessions.models import SessionFamily
from rotating_sessions.transports import TokenPair
from tests.browsing import (
    ACCESS,
    HOME,
    Api,
    clears_cookies,
    count,
    database_down,
    refusal,
    rows,
    touches_cookies,
)

pytestmark = pytest.mark.django_db(transaction=True)

# What Django's asynchronous test client comes from.
LOOPBACK = "127.0.0.1"


class AsyncBrowser:
    """A browser that carries a session's cookies to an ASGI server."""

    def __init__(self, user: Any, address: str = LOOPBACK) -> None:
        api = Api(REMOTE_ADDR=address)
        api.log_in(user, "cookie")
        self.client = AsyncClient()
        self.client.cookies = api.cookies

    def get(self, path: str, **headers: str) -> Any:
        return async_to_sync(self.client.get)(path, headers=headers)


async def plain(_request: Any) -> HttpResponse:
    return HttpResponse("plain")


def carrying(pair: TokenPair) -> Any:
    """Return a request from HOME with the access token of a pair."""
    headers = {"Authorization": f"Bearer {pair.access}"}
    request = AsyncRequestFactory().get("/plain-async/", headers=headers)
    request.META["REMOTE_ADDR"] = HOME
    return request


@pytest.fixture
def hops(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of what is called in a thread, as it comes."""
    called: list[str] = []
    call = SyncToAsync.__call__

    async def note(hop: Any, *args: Any, **kwargs: Any) -> Any:
        called.append(hop.func.__name__)
        return await call(hop, *args, **kwargs)

    monkeypatch.setattr(SyncToAsync, "__call__", note)
    return called


def test_warm_request_is_never_put_off_under_asgi(first):
    """A warm request gets to an async view and back without a turn of the loop."""
    middleware = RotatingSessionMiddleware(plain)
    async_to_sync(middleware)(carrying(first))

    with pytest.raises(StopIteration) as finished:
        middleware(carrying(first)).send(None)

    assert finished.value.value.content == b"plain"


def test_what_needs_the_database_is_one_hop_under_asgi(first, clock, hops):
    """Poll and confirmation share a thread's turn; a warm request takes none."""
    middleware = async_to_sync(RotatingSessionMiddleware(plain))
    taken = []

    for span in (timedelta(0), timedelta(0), timedelta(seconds=5)):
        clock.forward(span)
        hops.clear()
        assert middleware(carrying(first)).content == b"plain"
        taken.append(list(hops))

    assert taken == [["_consult"], [], ["_consult"]]


@pytest.mark.parametrize("path", ["/plain-async/", "/plain/"])
def test_warm_request_costs_no_query_under_asgi(user, path):
    """Under ASGI, too, a warm request does no SQL, I-19."""
    browser = AsyncBrowser(user)
    browser.get(path)

    with CaptureQueriesContext(connection) as queries:
        response = browser.get(path)

    assert count(queries) == (0, 0)
    assert response.content == b"plain"


@pytest.mark.parametrize("path", ["/whoami-async/", "/whoami/"])
def test_user_is_read_in_one_query_under_asgi(user, path):
    """`await request.auser()` costs one query, as `request.user` does."""
    browser = AsyncBrowser(user)
    browser.get("/plain-async/")

    with CaptureQueriesContext(connection) as queries:
        response = browser.get(path)

    assert count(queries) == (1, 0)
    assert response.json()["user"] == user.username
    assert response.json()["session"]["generation"] == 0


@pytest.mark.parametrize("path", ["/whoami-async/", "/whoami/"])
def test_request_without_a_token_is_anonymous_under_asgi(path):
    """Under ASGI whoever carries no token passes as anonymous."""
    response = async_to_sync(AsyncClient().get)(path)

    assert response.json() == {"user": "", "session": None}


@pytest.mark.parametrize("path", ["/whoami-async/", "/whoami/"])
@pytest.mark.parametrize("change", [{"is_active": False}, {"password": "another"}])
def test_user_who_may_not_is_anonymous_under_asgi(user, path, change):
    """A deactivated user, or one with another password, is anonymous, I-23."""
    browser = AsyncBrowser(user)
    get_user_model().objects.update(**change)

    response = browser.get(path)

    assert response.json()["user"] == ""


def test_expired_token_calls_for_a_refresh_under_asgi(user, settings):
    """Under ASGI an expired access token is answered `refresh_required`."""
    settings.ROTATING_SESSIONS = {"ACCESS_LIFETIME": timedelta(0)}
    browser = AsyncBrowser(user)

    response = browser.get("/plain-async/")

    assert refusal(response) == (401, "refresh_required")
    assert not touches_cookies(response)


def test_other_network_changes_nothing_under_asgi(user):
    """Under ASGI a token from another network changes no row, as I-24 says."""
    browser = AsyncBrowser(user, address="198.51.100.9")
    before = rows()

    response = browser.get("/plain-async/")

    assert refusal(response) == (401, "refresh_required")
    assert rows() == before


@pytest.mark.parametrize("warm", [False, True])
def test_revoked_session_ends_under_asgi(user, settings, warm):
    """Under ASGI a revocation elsewhere ends the session, I-18 (RV-12)."""
    settings.ROTATING_SESSIONS = {"POLL_INTERVAL": timedelta(0)}
    browser = AsyncBrowser(user)
    if warm:
        browser.get("/plain-async/")
    SessionFamily.objects.update(revoked_at=timezone.now())

    response = browser.get("/plain-async/")

    assert refusal(response) == (401, "session_ended")
    assert clears_cookies(response)


def test_first_use_confirms_under_asgi(user):
    """Under ASGI the first use of an access token confirms its generation."""
    browser = AsyncBrowser(user)

    browser.get("/plain-async/")

    assert SessionFamily.objects.get().confirmed_at is not None


@pytest.mark.parametrize("path", ["/whoami-async/", "/whoami/"])
@pytest.mark.parametrize("warm", [False, True])
def test_broken_database_is_unavailable_under_asgi(user, path, warm):
    """Under ASGI a database that fails is 503, and the token serves later, I-6."""
    browser = AsyncBrowser(user)
    if warm:
        browser.get("/plain-async/")

    # The session and its user are all that is read, whatever else a server opens.
    with database_down("rotating_sessions"):
        response = browser.get(path)

    assert refusal(response) == (503, "unavailable")
    assert response["Retry-After"] == "1"
    assert not touches_cookies(response)
    assert browser.get(path).json()["user"] == user.username


def test_malformed_bearer_token_is_invalid_under_asgi():
    """Under ASGI a malformed bearer token is answered `invalid_token`."""
    headers = {"Authorization": "Bearer abc"}

    response = async_to_sync(AsyncClient().get)("/plain-async/", headers=headers)

    assert refusal(response) == (401, "invalid_token")


def test_page_sends_the_browser_to_refresh_under_asgi(user, settings):
    """Under ASGI a navigation with an expired token is sent to the refresh page."""
    settings.ROTATING_SESSIONS = {"ACCESS_LIFETIME": timedelta(0)}
    browser = AsyncBrowser(user)

    response = browser.get("/page/?tab=2", Accept="text/html")

    assert response.status_code == 302
    assert response["Location"] == "/auth/refresh-page/?next=%2Fpage%2F%3Ftab%3D2"


def test_middleware_serves_without_djangos_own():
    """Without AuthenticationMiddleware a request has `user` and `auser` as well."""
    seen = {}

    async def view(request):
        seen["request"] = request
        return HttpResponse("plain")

    request = AsyncRequestFactory().get("/plain-async/")

    async_to_sync(RotatingSessionMiddleware(view))(request)

    assert async_to_sync(seen["request"].auser)() == AnonymousUser()
    assert seen["request"].user == AnonymousUser()


def test_duplicate_cookie_is_no_cookie_under_asgi(user):
    """Under ASGI, too, two cookies of our name count as none (CK-07)."""
    browser = AsyncBrowser(user)
    name = f"\u2000{ACCESS}"
    raw = f"{name}=x; {ACCESS}={browser.client.cookies[ACCESS].value}"
    browser.client.cookies.clear()

    response = browser.get("/whoami-async/", Cookie=raw.encode().decode("latin-1"))

    assert response.json()["user"] == ""
