"""Which token of a request counts: the tables of the contract, row by row."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.utils import timezone

from rotating_sessions import revocations
from rotating_sessions.exceptions import RefreshRequired
from rotating_sessions.fdi.carried import carried_modes, choose_mode
from rotating_sessions.fdi.incoming import read_access, read_refresh
from rotating_sessions.fdi.middleware import FdiMiddleware
from rotating_sessions.transports import COOKIE, HEADER
from tests.acting import log_in, rows_of

IN_HEADER = "eyJo.eyJo.of_header"
IN_COOKIE = "eyJj.eyJj.of_cookie"
POLICIES = {"any": (HEADER, COOKIE), "header": (HEADER,), "cookie": (COOKIE,)}


def request_with(rf: Any, cookie: str = "", method: str = "get", **extra: Any) -> Any:
    """Return a request with a raw Cookie header."""
    return getattr(rf, method)("/api/whoami", HTTP_COOKIE=cookie, **extra)


def bearer(token: str) -> dict[str, str]:
    return {"HTTP_AUTHORIZATION": f"Bearer {token}"}


@pytest.mark.parametrize(
    ("policy", "header", "cookie", "used"),
    [
        ("any", True, True, IN_HEADER),
        ("any", True, False, IN_HEADER),
        ("any", False, True, IN_COOKIE),
        ("any", False, False, None),
        ("header", True, True, IN_HEADER),
        ("header", True, False, IN_HEADER),
        ("header", False, True, None),
        ("header", False, False, None),
        ("cookie", True, True, IN_COOKIE),
        ("cookie", True, False, None),
        ("cookie", False, True, IN_COOKIE),
        ("cookie", False, False, None),
    ],
)
def test_access_token_that_counts(  # noqa: PLR0917
    rf, settings, policy, header, cookie, used
):
    """Of header and cookie the header counts, where the site allows both modes."""
    settings.ROTATING_SESSIONS = {"TRANSPORTS": POLICIES[policy]}
    extra = bearer(IN_HEADER) if header else {}
    request = request_with(rf, f"sAccessToken={IN_COOKIE}" if cookie else "", **extra)

    found = read_access(request)

    assert (None if found is None else found.token) == used


@pytest.mark.parametrize(
    ("policy", "header", "cookie", "used"),
    [
        ("any", True, True, (HEADER, "of-header")),
        ("any", True, False, (HEADER, "of-header")),
        ("any", False, True, (COOKIE, "of-cookie")),
        ("any", False, False, None),
        ("header", True, True, (HEADER, "of-header")),
        ("header", True, False, (HEADER, "of-header")),
        ("header", False, True, None),
        ("header", False, False, None),
        ("cookie", True, True, (COOKIE, "of-cookie")),
        ("cookie", True, False, None),
        ("cookie", False, True, (COOKIE, "of-cookie")),
        ("cookie", False, False, None),
    ],
)
def test_refresh_token_that_counts(  # noqa: PLR0917
    rf, settings, policy, header, cookie, used
):
    """A refresh is by the header, whatever is in it, before the cookie."""
    settings.ROTATING_SESSIONS = {"TRANSPORTS": POLICIES[policy]}
    extra = bearer("of-header") if header else {}
    request = request_with(rf, "sRefreshToken=of-cookie" if cookie else "", **extra)

    found = read_refresh(request)

    assert (None if found is None else (found.mode, found.token)) == used


@pytest.mark.parametrize(
    ("policy", "wanted", "mode"),
    [
        ("any", "cookie", COOKIE),
        ("any", "header", HEADER),
        ("any", None, HEADER),
        ("any", "any", HEADER),
        ("any", "Cookie", HEADER),
        ("header", "cookie", HEADER),
        ("cookie", "header", COOKIE),
        ("cookie", None, COOKIE),
    ],
)
def test_mode_of_a_new_session(rf, settings, policy, wanted, mode):
    """A client gets the mode that it wants, the header if it says none, or the only."""
    settings.ROTATING_SESSIONS = {"TRANSPORTS": POLICIES[policy]}
    extra = {} if wanted is None else {"HTTP_ST_AUTH_MODE": wanted}

    assert choose_mode(request_with(rf, **extra)) == mode


@pytest.mark.parametrize(
    "authorization",
    ["Bearer", "Bearer ", "Bearer key_123", "Bearer a.b", "Basic YTpi", "a.b.c", ""],
)
def test_credentials_of_others_are_left_to_them(rf, authorization):
    """What has not the shape of an access token is none, and hides no cookie."""
    alone = request_with(rf, HTTP_AUTHORIZATION=authorization)
    beside = request_with(
        rf, f"sAccessToken={IN_COOKIE}", HTTP_AUTHORIZATION=authorization
    )

    assert read_access(alone) is None
    assert read_access(beside).token == IN_COOKIE


@pytest.mark.parametrize(
    "cookie",
    [
        "sAccessToken=",
        "sAccessToken=null",
        "sAccessToken=a.b.%C3%A9",
        "saccesstoken=a.b.c",
        "\u2000sAccessToken=a.b.c",
        "st-access-token=a.b.c; st-refresh-token=a; sFrontToken=e30=",
    ],
)
def test_cookies_of_others_are_no_tokens(rf, cookie):
    """Of cookies `sAccessToken` counts, never the one that scripts keep tokens in."""
    raw = cookie.encode().decode("latin-1")

    assert read_access(request_with(rf, raw)) is None


@pytest.mark.parametrize(
    "cookie",
    [
        f"sAccessToken={IN_COOKIE}; sAccessToken={IN_COOKIE}",
        f"sAccessToken={IN_COOKIE}; sAccessToken=null",
        f"sAccessToken={IN_COOKIE}; sIdRefreshToken=a",
    ],
)
def test_what_only_a_refresh_can_mend(rf, cookie):
    """Two access cookies, or that of an older session, have to be refreshed away."""
    with pytest.raises(RefreshRequired):
        read_access(request_with(rf, cookie))

    beside = read_access(request_with(rf, cookie, **bearer(IN_HEADER)))
    assert beside.token == IN_HEADER


def test_encoded_cookie_is_decoded(rf):
    """Other backends percent-encode what is in a cookie."""
    request = request_with(rf, "sAccessToken=eyJj%2EeyJj.of_cookie")

    assert read_access(request).token == IN_COOKIE


@pytest.mark.parametrize(
    ("cookie", "header", "modes"),
    [
        ("", "", set()),
        ("sAccessToken=a", "", {COOKIE}),
        ("sRefreshToken=a", "", {COOKIE}),
        ("", "Bearer a", {HEADER}),
        ("sRefreshToken=a", "bearer a", {COOKIE, HEADER}),
        ("sFrontToken=a", "Basic a", set()),
    ],
)
def test_modes_that_a_request_carries(rf, cookie, header, modes):
    """A mode is carried with any of its tokens, whatever that is worth."""
    request = request_with(rf, cookie, HTTP_AUTHORIZATION=header)

    assert carried_modes(request) == modes


@pytest.mark.django_db(transaction=True)
def test_newest_of_several_refresh_cookies_counts(rf, user, clock):
    """Of two cookies of ours, and others, the one counts that was issued last."""
    older = log_in(rf, user, transport="cookie").refresh
    clock.forward(timedelta(seconds=2))
    newer = log_in(rf, user, transport="cookie").refresh
    values = ["null", newer, older, "a.b.c"]
    cookie = "; ".join(f"sRefreshToken={value}" for value in values)

    assert read_refresh(request_with(rf, cookie)).token == newer


BROWSER = [
    {"HTTP_SEC_FETCH_DEST": "document", "HTTP_SEC_FETCH_MODE": "navigate"},
    {"HTTP_SEC_FETCH_DEST": "image"},
    {"HTTP_ACCEPT": "text/html,*/*"},
]
SCRIPT = [{}, {"HTTP_SEC_FETCH_DEST": "empty"}, {"HTTP_ACCEPT": "application/json"}]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("extra", BROWSER)
@pytest.mark.parametrize(
    "fault", [None, "garbage", "expired", "revoked", "network", "twice"]
)
def test_what_a_browser_asks_for_itself_is_not_refused(rf, user, clock, extra, fault):
    """A page loads with a token that serves, and else without: scripts refresh."""
    pair = log_in(rf, user, transport="cookie")
    cookie = f"sAccessToken={pair.access}"
    address = {"REMOTE_ADDR": "203.0.113.5"}
    if fault == "garbage":
        cookie = "sAccessToken=a.b.c"
    elif fault == "expired":
        clock.forward(timedelta(hours=1))
    elif fault == "revoked":
        rows_of(pair).update(revoked_at=timezone.now())
        revocations.poll(timezone.now())
    elif fault == "network":
        address = {"REMOTE_ADDR": "198.51.100.7"}
    elif fault == "twice":
        cookie = f"{cookie}; {cookie}"

    found = read_access(request_with(rf, cookie, **address, **extra))

    assert (found is None) is (fault is not None)


@pytest.mark.parametrize("extra", SCRIPT)
def test_what_a_script_asks_for_is_told_the_truth(rf, extra):
    """A script gets its token verified, whatever it is worth: it can refresh."""
    request = request_with(rf, f"sAccessToken={IN_COOKIE}", **extra)

    assert read_access(request).token == IN_COOKIE


def test_tokens_are_taken_out_of_cookies(rf):
    """Error reports, which print `request.COOKIES`, find no token in it."""
    names = [
        *("sAccessToken", "sRefreshToken", "sIdRefreshToken"),
        *("st-access-token", "st-refresh-token"),
    ]
    cookie = "; ".join(f"{name}=secret" for name in [*names, "theme"])
    request = request_with(rf, cookie)

    FdiMiddleware(lambda _request: HttpResponse())(request)

    assert request.COOKIES == {"theme": "secret"}
