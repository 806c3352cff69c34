"""Requests by cookie that the front end did not send change nothing."""

from __future__ import annotations

from typing import Any

import pytest

from rotating_sessions.models import SessionFamily
from rotating_sessions.transports import COOKIE, HEADER
from tests.browsing import rows
from tests.fronting import FrontEnd, cleared, front_token, mount

pytestmark = pytest.mark.django_db(transaction=True)

NOTE = "/api/note"


@pytest.fixture(autouse=True)
def _site(settings: Any) -> None:
    mount(settings)


def note(client: FrontEnd, **extra: Any) -> Any:
    return client.send(NOTE, {"text": "a"}, **extra)


def signed_in(user: Any, mode: str = COOKIE) -> FrontEnd:
    client = FrontEnd(mode)
    client.sign_in(user)
    client.get("/api/whoami")
    return client


@pytest.mark.parametrize(
    ("way", "sent", "status"),
    [
        ("custom_header", {}, 200),
        ("custom_header", {"HTTP_RID": None}, 401),
        ("token", {}, 200),
        ("token", {"HTTP_RID": None}, 200),
        ("token", {"HTTP_ANTI_CSRF": None}, 401),
        ("token", {"HTTP_ANTI_CSRF": "0" * 64}, 401),
        ("token", {"HTTP_ANTI_CSRF": "\udcff"}, 401),
        ("none", {"HTTP_RID": None}, 200),
    ],
)
def test_unsafe_request_by_cookie_shows_who_sent_it(user, settings, way, sent, status):
    """Without the header, or the token of this session, a write is to be refreshed."""
    settings.ROTATING_SESSIONS_FDI = {"ANTI_CSRF": way}
    client = signed_in(user)
    before = rows()

    response = note(client, **sent)

    assert response.status_code == status
    if status == 401:
        assert response.json()["message"] == "try refresh token"
        assert front_token(response) is None
    assert rows() == before


@pytest.mark.parametrize("way", ["custom_header", "token"])
def test_reads_and_header_mode_need_nothing(user, settings, way):
    """No browser sends a header by itself, and a read changes nothing."""
    settings.ROTATING_SESSIONS_FDI = {"ANTI_CSRF": way}
    bare = {"HTTP_RID": None, "HTTP_ANTI_CSRF": None}

    read = signed_in(user).get("/api/whoami", **bare)
    written = note(signed_in(user, HEADER), **bare)

    assert (read.status_code, written.status_code) == (200, 200)


@pytest.mark.parametrize(
    ("samesite", "sender", "status"),
    [
        ("Lax", "cross-site", 401),
        ("Strict", "cross-site", 401),
        ("None", "cross-site", 200),
        ("Lax", "same-site", 200),
        ("Lax", "same-origin", 200),
        ("Lax", "none", 200),
    ],
)
def test_browser_that_names_another_site(user, settings, samesite, sender, status):
    """Only where cookies are for other sites, one may send what needs a preflight."""
    settings.ROTATING_SESSIONS_FDI = {"COOKIE_SAMESITE": samesite}
    client = signed_in(user)

    assert note(client, HTTP_SEC_FETCH_SITE=sender).status_code == status


def test_token_is_the_session_s_own(user, settings):
    """The token of one session, of the same user even, is none for another one."""
    settings.ROTATING_SESSIONS_FDI = {"ANTI_CSRF": "token"}
    client, other = signed_in(user), signed_in(user)

    response = note(client, HTTP_ANTI_CSRF=other.tokens["anti-csrf"])

    assert response.status_code == 401


def test_token_outlives_refreshes_and_a_new_secret_key(user, settings):
    """A refresh repeats the token, and one made by a retired key still serves."""
    settings.ROTATING_SESSIONS_FDI = {"ANTI_CSRF": "token"}
    settings.ROTATING_SESSIONS = {"SIGNING_KEYS": ["k" * 32]}
    client = signed_in(user)
    first = client.tokens["anti-csrf"]

    client.refresh()
    assert client.tokens["anti-csrf"] == first
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another" * 8

    assert note(client).status_code == 200
    settings.SECRET_KEY_FALLBACKS = []
    assert note(client).status_code == 401


@pytest.mark.parametrize(
    ("way", "sent"),
    [
        ("custom_header", {"HTTP_RID": None}),
        ("token", {"HTTP_ANTI_CSRF": None}),
        ("token", {"HTTP_ANTI_CSRF": "0" * 64}),
    ],
)
def test_refresh_that_the_front_end_did_not_send_is_refused(user, settings, way, sent):
    """A refresh by cookie alone is 401, clears the client and leaves the session."""
    settings.ROTATING_SESSIONS_FDI = {"ANTI_CSRF": way}
    client = signed_in(user)
    before = rows()

    response = client.refresh(**sent)

    assert (response.status_code, response.json()["message"]) == (401, "unauthorised")
    assert cleared(response) == {HEADER, COOKIE}
    assert rows() == before


@pytest.mark.parametrize("way", ["custom_header", "token", "none"])
def test_refresh_of_the_front_end_is_answered(user, settings, way):
    """What the SDK sends is enough, whichever way the site has chosen."""
    settings.ROTATING_SESSIONS_FDI = {"ANTI_CSRF": way}
    client = signed_in(user)

    assert client.refresh().status_code == 200
    assert SessionFamily.objects.get().generation == 1


def test_cookies_that_prove_nothing_are_refused_for_that(settings):
    """Where there is no session, a token of its own is asked of nobody."""
    settings.ROTATING_SESSIONS_FDI = {"ANTI_CSRF": "token"}
    client = FrontEnd()
    client.cookies["sAccessToken"] = "a.b.c"
    client.cookies["sRefreshToken"] = "abc"

    assert note(client).json()["message"] == "try refresh token"
    assert client.refresh().json()["message"] == "unauthorised"
