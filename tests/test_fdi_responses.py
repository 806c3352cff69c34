"""What a response of a session looks like: cookies, headers, the front token."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import UUID

import pytest
from django.http import HttpResponse

from rotating_sessions.fdi.front_token import encode_front_token
from rotating_sessions.fdi.outgoing import clear_session, write_session
from rotating_sessions.fdi.sessions import begin_session
from rotating_sessions.models import SessionFamily
from rotating_sessions.tokens.claims import AccessClaims
from rotating_sessions.transports import COOKIE, HEADER
from tests.acting import START, log_in
from tests.fronting import FrontEnd, cleared, front_token, mount, written

EXPOSED = "Access-Control-Expose-Headers"
CLAIMS = AccessClaims(
    family_id=UUID("7d5c1c0e-5d0b-4d3c-8a51-0a6d7c3f9e21"),
    generation=3,
    user_pk="Zoë",
    issued_at=datetime(2031, 3, 4, 5, 6, 7, tzinfo=UTC),
    expires_at=datetime(2031, 3, 4, 5, 36, 7, tzinfo=UTC),
    auth_time=datetime(2031, 3, 4, 4, 0, 0, tzinfo=UTC),
    networks=("abc",),
)


@pytest.fixture(autouse=True)
def _site(settings: Any) -> None:
    mount(settings)


def test_front_token_is_the_public_view_of_the_access_token():
    """It has the expiry in milliseconds, the payload in seconds, nothing of ours."""
    text = b64decode(encode_front_token(CLAIMS), validate=True).decode()

    expires = int(CLAIMS.expires_at.timestamp())
    assert json.loads(text) == {
        "uid": "Zoë",
        "ate": expires * 1000,
        "up": {
            "sub": "Zoë",
            "sessionHandle": str(CLAIMS.family_id),
            "iat": expires - 1800,
            "exp": expires,
        },
    }
    assert list(json.loads(text)["up"]) == ["sub", "sessionHandle", "iat", "exp"]


@pytest.mark.parametrize(
    ("wrapped", "moments"),
    [({}, {"st-role"}), ({"WRAPPED_CLAIMS": ["plan"]}, {"plan"})],
)
def test_front_token_has_the_claims_of_the_site(settings, wrapped, moments):
    """They stand at the top, sorted; those of SuperTokens' kind with their moment."""
    settings.ROTATING_SESSIONS_FDI = wrapped
    said = {"st-role": ("reader",), "plan": "free", "sub": "1", "a": None}

    text = b64decode(encode_front_token(replace(CLAIMS, claims=said))).decode()

    shown = json.loads(text)["up"]
    milliseconds = int(CLAIMS.issued_at.timestamp()) * 1000
    expected = {"st-role": ["reader"], "plan": "free", "a": None}
    for name in moments:
        expected[name] = {"v": expected[name], "t": milliseconds}
    assert list(shown)[:4] == ["a", "plan", "st-role", "sub"]
    assert {name: shown[name] for name in expected} == expected
    assert shown["sub"] == "Zoë"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("insecure", "fdi", "attributes"),
    [
        (False, {}, {"secure": True, "samesite": "Lax", "domain": ""}),
        (True, {}, {"secure": "", "samesite": "Lax", "domain": ""}),
        (
            False,
            {"COOKIE_DOMAIN": ".example.com", "COOKIE_SAMESITE": "None"},
            {"secure": True, "samesite": "None", "domain": ".example.com"},
        ),
    ],
)
def test_cookies_of_a_session(  # noqa: PLR0917
    user, settings, clock, insecure, fdi, attributes
):
    """The refresh token goes to its endpoint only; the access cookie stays a year."""
    settings.ROTATING_SESSIONS = {"INSECURE_COOKIES": insecure}
    settings.ROTATING_SESSIONS_FDI = fdi

    response = FrontEnd().sign_in(user)

    access = response.cookies["sAccessToken"]
    refresh = response.cookies["sRefreshToken"]
    for cookie in (access, refresh):
        assert {name: cookie[name] for name in attributes} == attributes
        assert cookie["httponly"] is True
        assert parsedate_to_datetime(cookie["expires"]).tzinfo is UTC
    assert (access["path"], refresh["path"]) == ("/", "/auth/session/refresh")
    assert access["max-age"] == 365 * 24 * 60 * 60
    assert refresh["max-age"] == 14 * 24 * 60 * 60
    assert set(response.cookies) == {"sAccessToken", "sRefreshToken"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "fdi", [{}, {"COOKIE_DOMAIN": ".example.com", "COOKIE_SAMESITE": "None"}]
)
def test_clearing_repeats_what_setting_said(rf, user, settings, fdi):
    """A cookie is cleared with the path and the domain that it was set with."""
    settings.ROTATING_SESSIONS_FDI = fdi
    begun = FrontEnd().sign_in(user)
    response = HttpResponse(headers={"anti-csrf": "of a session before"})

    clear_session(rf.get("/"), response)

    for name in ("sAccessToken", "sRefreshToken"):
        for attribute in ("path", "domain", "samesite"):
            before = begun.cookies[name][attribute]
            assert response.cookies[name][attribute] == before
    assert cleared(response) == {HEADER, COOKIE}
    assert "anti-csrf" not in response.headers


@pytest.mark.django_db(transaction=True)
def test_session_may_be_short_and_hold_data(rf, user, clock):
    """A sign-in says for how long at most, and what the site keeps with it."""
    request, response = rf.post("/", HTTP_ST_AUTH_MODE=COOKIE), HttpResponse()

    begin_session(
        request, response, user, lifetime=timedelta(hours=9), data={"cart": 7}
    )

    session = SessionFamily.objects.get()
    assert response.cookies["sRefreshToken"]["max-age"] == 9 * 60 * 60
    assert session.expires_at == START + timedelta(hours=9)
    assert session.data == {"cart": 7}


@pytest.mark.django_db(transaction=True)
def test_header_mode_sets_no_cookie(user):
    """In header mode both tokens are in headers, and no cookie is set."""
    response = FrontEnd(HEADER).sign_in(user)

    assert response.headers["st-access-token"].count(".") == 2
    assert response.headers["st-refresh-token"].startswith("rsrt_")
    assert not response.cookies
    assert front_token(response)["up"]["sessionHandle"] == str(
        SessionFamily.objects.get().pk
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("mode", "anti_csrf", "exposed"),
    [
        (HEADER, "custom_header", "st-access-token, st-refresh-token, front-token"),
        (HEADER, "token", "st-access-token, st-refresh-token, front-token"),
        (COOKIE, "custom_header", "front-token"),
        (COOKIE, "token", "front-token, anti-csrf"),
    ],
)
def test_other_origins_may_read_what_is_sent(user, settings, mode, anti_csrf, exposed):
    """Each header of the contract is exposed by its name, and no other."""
    settings.ROTATING_SESSIONS_FDI = {"ANTI_CSRF": anti_csrf}

    response = FrontEnd(mode).sign_in(user)

    assert response.headers[EXPOSED] == exposed


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("X-Total", "X-Total, front-token"),
        ("X-Total,Front-Token", "X-Total, Front-Token"),
        ("", "front-token"),
    ],
)
def test_exposed_headers_of_the_site_stay(rf, user, before, after):
    """What the site itself exposes is kept, and nothing is named twice."""
    response = HttpResponse(headers={EXPOSED: before})
    pair = log_in(rf, user, transport=COOKIE)

    write_session(rf.get("/"), response, pair)

    assert response.headers[EXPOSED] == after


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("mode", [COOKIE, HEADER])
def test_sign_in_clears_the_other_mode(user, mode):
    """A new session in one mode makes the client forget the tokens of the other."""
    other = {COOKIE: HEADER, HEADER: COOKIE}[mode]
    client = FrontEnd(other)
    client.sign_in(user)
    client.mode = mode

    response = client.sign_in(user)

    assert written(response) == {mode}
    assert cleared(response) == {other}
    assert front_token(response)["uid"] == str(user.pk)
    # The session before it goes on: another tab may be in the middle of a call.
    assert SessionFamily.objects.filter(revoked_at=None).count() == 2


@pytest.mark.django_db(transaction=True)
def test_cookies_of_an_older_domain_are_cleared(rf, user, settings):
    """A domain that was moved away from leaves nothing behind, beside what is set."""
    settings.ROTATING_SESSIONS_FDI = {
        "COOKIE_DOMAIN": ".example.com",
        "OLDER_COOKIE_DOMAIN": "",
    }
    response = HttpResponse()

    write_session(rf.get("/"), response, log_in(rf, user, transport=COOKIE))

    lines = [cookie.OutputString() for cookie in response.cookies.values()]
    gone = [line for line in lines if "Max-Age=0" in line]
    assert len(lines) == 4
    assert all("Domain=.example.com" in line for line in lines if line not in gone)
    assert sorted(line.partition("=")[0] for line in gone) == [
        "sAccessToken",
        "sRefreshToken",
    ]
    assert not [line for line in gone if "Domain" in line]
    assert [line for line in gone if "Path=/auth/session/refresh" in line]


@pytest.mark.django_db(transaction=True)
def test_cookie_of_an_older_session_is_cleared_where_it_came(rf, user):
    """`sIdRefreshToken`, which asks for a refresh, is gone after it."""
    request = rf.get("/", HTTP_COOKIE="sIdRefreshToken=a")
    response = HttpResponse()

    write_session(request, response, log_in(rf, user, transport=COOKIE))

    lines = [cookie.OutputString() for cookie in response.cookies.values()]
    (gone,) = [line for line in lines if line.startswith("sIdRefreshToken=")]
    assert "Max-Age=0" in gone


@pytest.mark.django_db(transaction=True)
def test_session_at_its_end_is_handed_out_all_the_same(rf, user, settings, clock):
    """An access token that the session's end has made short still has its view."""
    settings.ROTATING_SESSIONS = {"ABSOLUTE_TIMEOUT": timedelta(microseconds=1)}
    pair = log_in(rf, user, transport=HEADER)
    response = HttpResponse()

    write_session(rf.get("/"), response, pair)

    assert front_token(response)["ate"] == int(START.timestamp()) * 1000
