"""Tokens in HTTP messages: what is read as one, and how one is written."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse

from rotating_sessions import exceptions
from rotating_sessions.exceptions import InvalidToken, SessionError
from rotating_sessions.transports import (
    COOKIE,
    HEADER,
    Bearer,
    TokenPair,
    access_cookie_name,
    carries_session_cookie,
    clear_cookies,
    forbid_caching,
    hide_cookies,
    read_access,
    read_refresh_cookie,
    refresh_cookie_name,
    refuse,
    write_tokens,
)

ACCESS = "__Host-rs_access"
REFRESH = "__Host-rs_refresh"
LIFETIMES = {
    "access_lifetime": timedelta(minutes=30, milliseconds=900),
    "refresh_lifetime": timedelta(days=14),
}
ERRORS = [getattr(exceptions, name) for name in exceptions.__all__]


def request_with(cookie: str | None = None, header: str | None = None) -> HttpRequest:
    request = HttpRequest()
    if cookie is not None:
        # As a WSGI server hands it over: bytes, read as Latin-1.
        request.META["HTTP_COOKIE"] = cookie.encode().decode("latin-1")
    if header is not None:
        request.META["HTTP_AUTHORIZATION"] = header
    return request


def pair(transport: str, **changes: Any) -> TokenPair:
    values = {"access": "the-access", "refresh": "the-refresh", **LIFETIMES}
    return TokenPair(transport=transport, **{**values, **changes})


def attributes(response: HttpResponse) -> dict[str, dict[str, Any]]:
    """Return the cookies that the response sets, with those attributes that are set."""
    return {
        name: {"value": morsel.value}
        | {key: value for key, value in morsel.items() if value != ""}
        for name, morsel in response.cookies.items()
    }


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("BEARER abc", "abc"),
        ("Bearer   abc", "abc"),
        ("Bearer abc ", "abc"),
        ("Bearer a.b-c_d~e+f/g==", "a.b-c_d~e+f/g=="),
    ],
)
def test_a_bearer_token_is_read_from_the_header(header, token):
    """The scheme has no case, and spaces around the token are no part of it."""
    bearer = read_access(request_with(header=header))

    assert bearer == Bearer(token=token, transport=HEADER)


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Bearer   ", "bearer a b", "Bearer a  b", "BEARER"]
)
def test_a_bearer_header_holds_exactly_one_token(header):
    """A header that says Bearer, and then no or two tokens, is refused as such."""
    request = request_with(f"{ACCESS}=abc", header)

    with pytest.raises(InvalidToken):
        read_access(request)


@pytest.mark.parametrize(
    "header", ["", "Basic dTpw", "Token abc", "Bearerabc", "Digest a b", "Bearers a"]
)
def test_other_schemes_are_not_ours(header):
    """Another scheme than Bearer is left to others, and a cookie beside it is read."""
    alone = read_access(request_with(header=header))
    beside = read_access(request_with(f"{ACCESS}=abc", header))

    assert alone is None
    assert beside == Bearer(token="abc", transport=COOKIE)


def test_the_header_wins_over_the_cookie():
    """CS-04: A request that carries both speaks for the token of its header."""
    bearer = read_access(
        request_with(f"{ACCESS}=of-the-cookie", "Bearer of-the-header")
    )

    assert bearer == Bearer(token="of-the-header", transport=HEADER)


def test_a_reader_of_another_protocol_reads_instead():
    """What `session_reader` returns is the access token, also where that is none."""
    request = request_with(f"{ACCESS}=of-cookie", "Bearer of-header")
    brought = Bearer(token="of-elsewhere", transport=HEADER)

    request.session_reader = lambda _request: brought
    found = read_access(request)
    request.session_reader = lambda _request: None
    none = read_access(request)

    assert found == brought
    assert none is None


@pytest.mark.parametrize(
    ("allowed", "cookie", "header", "token"),
    [
        (["header"], f"{ACCESS}=abc", None, None),
        (["header"], f"{ACCESS}=abc", "Bearer def", "def"),
        (["cookie"], None, "Bearer def", None),
        (["cookie"], None, "Bearer", None),
        (["cookie"], f"{ACCESS}=abc", "Bearer def", "abc"),
    ],
)
def test_a_transport_that_is_not_allowed_carries_nothing(
    settings, allowed, cookie, header, token
):
    """CS-09: Tokens in a transport that TRANSPORTS leaves out are not seen at all."""
    settings.ROTATING_SESSIONS = {"TRANSPORTS": allowed}

    bearer = read_access(request_with(cookie, header))

    assert (bearer and bearer.token) == token


def test_no_refresh_cookie_is_read_where_cookies_are_not_allowed(settings):
    """CS-09: Without cookie transport a refresh cookie is nothing to the server."""
    settings.ROTATING_SESSIONS = {"TRANSPORTS": ["header"]}

    assert read_refresh_cookie(request_with(f"{REFRESH}=abc")) is None


@pytest.mark.parametrize(
    ("cookie", "token"),
    [
        ("{name}=abc", "abc"),
        ("a=b; {name}=abc; c=d", "abc"),
        ("a=b;{name}=abc;c=d", "abc"),
        ("\t{name}=abc", "abc"),
        ("{name}=a=b==", "a=b=="),
        ("{name}=", ""),
        ('{name}="abc"', '"abc"'),
        ("{name}; a=b", None),
        ("x{name}=abc", None),
        ("{name}x=abc", None),
        ("={name}=abc", None),
        ('a="; {name}=abc"', 'abc"'),
        ("", None),
        (None, None),
    ],
)
def test_a_cookie_is_read_as_it_was_sent(cookie, token):
    """CK-09: Exactly one cookie of exactly our name is read, and nothing unquoted."""
    sent = None if cookie is None else cookie.format(name=REFRESH)

    assert read_refresh_cookie(request_with(sent)) == token


@pytest.mark.parametrize(
    "cookie",
    [
        "{name}=abc; {name}=def",
        "{name}=abc; {name}=abc",
        "{name}=abc; a=b; {name}=",
        "\u2000{name}=evil",
        "\u2000{name}=evil; {name}=abc",
        "{name}=abc; \u2000{name}=evil",
        "\u00a0{name}=evil",
        "{name}\u2000=evil",
        "{name} =evil",
        "\x0b{name}=evil",
        "\x1f{name}=evil",
        "\u3000{name}\u3000=evil",
    ],
)
def test_a_tossed_cookie_is_refused(cookie, caplog):
    """CK-07, CK-08: A second cookie of our name, or one spelled so, makes it none."""
    caplog.set_level("WARNING", logger="rotating_sessions.security")
    request = request_with(cookie.format(name=ACCESS))

    found = read_access(request)

    [record] = caplog.records
    assert found is None
    assert (record.event, record.cookie) == ("cookie_refused", ACCESS)
    assert "evil" not in str(record.__dict__)


@pytest.mark.parametrize(
    ("cookie", "carries"),
    [
        (f"{ACCESS}=abc", True),
        (f"a=b; {REFRESH}=", True),
        (f"\u2000{REFRESH}=evil", True),
        (f"x{REFRESH}=abc", False),
        ("sessionid=abc", False),
        (None, False),
    ],
)
def test_a_cookie_of_ours_is_seen_however_it_is_spelled(cookie, carries):
    """CK-08: A request with a misspelled session cookie counts as carrying one."""
    assert carries_session_cookie(request_with(cookie)) is carries


@pytest.mark.parametrize(
    ("ours", "refresh"),
    [({ACCESS: "abc", REFRESH: "def"}, "def"), ({ACCESS: "abc"}, None), ({}, None)],
)
def test_cookies_are_hidden_from_error_reports(ours, refresh):
    """I-21: request.COOKIES loses the session cookies, which stay readable to us."""
    cookies = {**ours, "theme": "dark"}
    request = request_with("; ".join(f"{name}={cookies[name]}" for name in cookies))
    request.COOKIES = cookies

    hide_cookies(request)

    assert request.COOKIES == {"theme": "dark"}
    assert read_refresh_cookie(request) == refresh


@pytest.mark.parametrize(("insecure", "prefix"), [(False, "__Host-"), (True, "")])
def test_a_full_answer_sets_both_cookies(settings, insecure, prefix):
    """CK-01, CK-02: Both cookies are __Host-, HttpOnly, Lax, and live equally long."""
    settings.ROTATING_SESSIONS = {"INSECURE_COOKIES": insecure}
    response = HttpResponse()

    write_tokens(response, pair(COOKIE))

    common = {"path": "/", "httponly": True, "samesite": "Lax", "max-age": 1_209_600}
    common |= {} if insecure else {"secure": True}
    expires = response.cookies[access_cookie_name()]["expires"]
    assert attributes(response) == {
        f"{prefix}rs_access": {"value": "the-access", "expires": expires, **common},
        f"{prefix}rs_refresh": {"value": "the-refresh", "expires": expires, **common},
    }
    assert (access_cookie_name(), refresh_cookie_name()) == tuple(response.cookies)
    assert response.headers["Cache-Control"] == "no-store"


def test_an_access_only_answer_leaves_the_refresh_cookie_alone():
    """CK-05: Access only sets the access cookie, as long-lived as the refresh token."""
    response = HttpResponse()

    write_tokens(response, pair(COOKIE, refresh=None))

    assert list(response.cookies) == [ACCESS]
    assert response.cookies[ACCESS]["max-age"] == 1_209_600


def test_header_transport_sets_no_cookie():
    """CS-08: In header transport tokens travel in the body, and in no cookie."""
    response = HttpResponse()

    write_tokens(response, pair(HEADER))

    assert not response.cookies
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("insecure", [False, True])
def test_clearing_repeats_what_setting_said(settings, insecure):
    """CK-06: Both cookies are cleared with the attributes they were set with."""
    settings.ROTATING_SESSIONS = {"INSECURE_COOKIES": insecure}
    written, cleared = HttpResponse(), HttpResponse()
    write_tokens(written, pair(COOKIE))

    clear_cookies(cleared)

    changing = {"value", "max-age", "expires"}
    before, after = attributes(written), attributes(cleared)
    assert before.keys() == after.keys()
    for name, values in after.items():
        assert (values["value"], values["max-age"]) == ("", 0)
        assert {key: values[key] for key in values.keys() - changing} == {
            key: before[name][key] for key in before[name].keys() - changing
        }
    assert cleared.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("transport", "changes", "body"),
    [
        (HEADER, {}, {"access": "the-access", "refresh": "the-refresh"}),
        (HEADER, {"refresh": None}, {"access": "the-access"}),
        (COOKIE, {}, {}),
        (COOKIE, {"refresh": None}, {}),
    ],
)
def test_the_body_holds_tokens_in_header_transport_only(transport, changes, body):
    """CS-08: No answer returns a token in the body and in a cookie at once."""
    answer = pair(transport, **changes).body()

    assert answer == {**body, "expires_in": 1800}


@pytest.mark.parametrize(
    "value", [pair(HEADER), Bearer(token="the-token", transport=HEADER)]
)
def test_tokens_do_not_show(value):
    """I-21: The repr of what holds a token does not show it."""
    shown = repr(value) + str(value)

    assert "header" in shown
    assert "the-" not in shown


@pytest.mark.parametrize("before", [None, "public, max-age=600", "private"])
def test_caching_is_forbidden_whatever_was_said_before(before):
    """HC-02: A response with tokens is no-store, though the view said public."""
    response = HttpResponse(headers={"Cache-Control": before} if before else {})

    forbid_caching(response)

    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Pragma"] == "no-cache"


@pytest.mark.parametrize(
    "error",
    [each for each in ERRORS if each is not SessionError],
    ids=lambda error: error.__name__,
)
def test_a_refusal_is_the_error_as_json(error):
    """HC-01, HC-04: A refusal has code, text, facts, status and headers, no more."""
    given: dict[Any, Any] = {
        exceptions.AccessTokenExpired: [object()],
        exceptions.InvalidClaim: ["roles"],
    }
    facts = {"claim": "roles"} if error is exceptions.InvalidClaim else {}

    response = refuse(error(*given.get(error, [])))

    told = {"detail": error.detail, "code": error.code, **facts}
    assert json.loads(response.content) == told
    assert response.status_code == error.status
    assert dict(response.headers) == {
        "Content-Type": "application/json",
        "Cache-Control": "no-store",
        "Pragma": "no-cache",
        **error.headers,
    }
    assert (error.status == 401) == ("WWW-Authenticate" in error.headers)
    assert ("Retry-After" in error.headers) == (error.status == 503)


def test_a_refusal_tells_middleware_of_its_error():
    """Whoever words refusals anew finds the error itself on the response."""
    error = InvalidToken()

    assert refuse(error).session_refusal is error
