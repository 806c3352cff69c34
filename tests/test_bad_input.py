"""Whatever is sent, the answer is a 4xx with a code, and no row changes."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest
from django.contrib.auth import get_user_model

from rotating_sessions.models import SessionFamily
from tests.browsing import ACCESS, HOME, bearer, refusal, rows, touches_cookies
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db

LOGIN = "/auth/login/"
REFRESH = "/auth/refresh/"
LOGOUT = "/auth/logout/"
EVERYWHERE = "/auth/logout-everywhere/"
ENDPOINTS = [LOGIN, REFRESH, LOGOUT, EVERYWHERE]
JSON = "application/json"
MEGABYTES = "a" * 15_000_000


@pytest.fixture
def session(api, user):
    """Return the answer to a login, whose session the process knows."""
    body = api.log_in(user)
    api.get("/plain/", **bearer(body["access"]))
    return body


def everything() -> list[Any]:
    """Return every row that an endpoint could change."""
    return [*rows(), *get_user_model().objects.values()]


BODIES = {
    "no JSON": b"username=ann&password=pw",
    "half of it": b'{"refresh": ',
    "two of it": b"{}{}",
    "Python": b"{'refresh': None}",
    "comment": b"{} // comment",
    "NaN": b'{"refresh": NaN}',
    "huge number": b'{"refresh": 1' + b"0" * 5000 + b"}",
    "list": b"[]",
    "list of objects": b'[{"refresh": "a"}]',
    "text": b'"refresh"',
    "number": b"17",
    "null": b"null",
    "true": b"true",
    "no UTF-8": b'{"refresh": "\xff\xfe"}',
    "UTF-16": '{"refresh": "a"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"refresh": "a"}',
    "NUL": b"\x00",
    "spaces": b"   ",
}


@pytest.mark.parametrize("url", ENDPOINTS)
@pytest.mark.parametrize("text", BODIES.values(), ids=BODIES.keys())
def test_body_that_is_no_json_object_is_refused(api, session, url, text):
    """A body of anything but one JSON object is `invalid_request`."""
    before = everything()

    response = api.post(url, text, content_type=JSON, **bearer(session["access"]))

    assert refusal(response) == (400, "invalid_request")
    assert response["Cache-Control"] == "no-store"
    assert everything() == before


@pytest.mark.parametrize("url", ENDPOINTS)
@pytest.mark.parametrize("depth", [300, 990, 1300])
@pytest.mark.parametrize(
    "field", [None, "username", "refresh", "transport", "password"]
)
def test_body_nested_deep_is_refused(api, session, url, depth, field):
    """JSON that would exhaust the stack is refused or overlooked, never 500 (JV-12)."""
    nested = "[" * depth + "]" * depth
    if field is not None:
        fields = {"username": '"a"', "password": '"b"', field: nested}
        nested = "{" + ", ".join(f'"{k}": {v}' for k, v in fields.items()) + "}"

    response = api.post(url, nested, content_type=JSON, **bearer(session["access"]))

    assert response.status_code in {200, 204, 400, 401, 403}


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("url", ENDPOINTS)
@pytest.mark.parametrize("text", ["[" * 4000, '{"refresh": ' * 1300, "abc"])
def test_body_of_another_method_is_no_trouble(api, session, method, url, text):
    """A body is looked at in no method but POST, and never answered by 500."""
    before = everything()

    response = api.generic(method, url, text, JSON, **bearer(session["access"]))

    assert response.status_code < 500
    assert everything() == before


@pytest.mark.parametrize("url", [LOGIN, REFRESH])
@pytest.mark.parametrize(
    "charset",
    [
        *("utf-16", "utf-32", "ascii", "latin-1", "utf-7", "rot13", "hex", "base64"),
        *("zlib", "bz2", "uu", "idna", "punycode", "unicode_escape", "undefined", "x"),
    ],
)
def test_charset_of_the_body_is_no_trouble(api, session, url, charset):
    """JSON is UTF-8: a charset that claims otherwise leads to 4xx, or to nothing."""
    content_type = f"{JSON}; charset={charset}"
    text = b'{"refresh": "abc"}'

    response = api.generic("POST", url, text, content_type, **bearer(session["access"]))

    assert response.status_code < 500


@pytest.mark.parametrize("url", ENDPOINTS)
@pytest.mark.parametrize(
    "content_type",
    ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data", "x"],
)
def test_body_of_another_type_is_refused(api, session, url, content_type):
    """What a form of another site can send is never read (CS-02, CS-06)."""
    text = f"refresh={session['refresh']}&username=a&password=b"

    response = api.generic("POST", url, text, content_type, **bearer(session["access"]))

    assert refusal(response) == (415, "invalid_request")
    assert SessionFamily.objects.get().revoked_at is None


@pytest.mark.parametrize("url", ENDPOINTS)
@pytest.mark.parametrize(("size", "status"), [(8192, 200), (8193, 413), (10**7, 413)])
def test_body_over_eight_kilobytes_is_refused(api, session, url, size, status):
    """More than 8 KB are answered 413, and not parsed (TH-04)."""
    text = json.dumps({"more": ""})
    text = text.replace('""', f'"{"a" * (size - len(text))}"')

    response = api.post(url, text, content_type=JSON, **bearer(session["access"]))

    assert (response.status_code == 413) is (status == 413)
    assert status == 200 or refusal(response) == (413, "request_too_large")
    assert status == 200 or not touches_cookies(response)


@pytest.mark.parametrize("url", ENDPOINTS)
@pytest.mark.parametrize("length", ["abc", "-1", "", "1.5", "9" * 5000])
def test_content_length_that_is_no_number_is_no_trouble(api, session, url, length):
    """A Content-Length that is no number leads to 4xx, or to nothing."""
    extra = {"CONTENT_LENGTH": length, **bearer(session["access"])}

    response = api.post(url, b"{}", content_type=JSON, **extra)

    assert response.status_code < 500


@pytest.mark.parametrize("url", ENDPOINTS)
def test_early_data_is_refused(api, session, url):
    """A request in TLS early data, which can be replayed, is answered 425 (HC-03)."""
    before = everything()
    body = {"refresh": session["refresh"], "username": "a", "password": "b"}

    response = api.send(url, body, HTTP_EARLY_DATA="1", **bearer(session["access"]))

    assert refusal(response) == (425, "too_early")
    assert response["Cache-Control"] == "no-store"
    assert everything() == before


WRONG = [None, 17, 1.5, True, [], ["a"], {}, {"a": "b"}]
TEXTS = ["\ud800", "a\udfffb", "\x00", "a\x00b", ""]


@pytest.mark.parametrize("value", [*WRONG, *TEXTS, "a" * 4097])
@pytest.mark.parametrize("field", ["username", "password", "transport"])
def test_login_field_of_another_shape_is_refused(api, user, field, value):
    """A field of a login that is no text, or no text that can be stored, is refused."""
    body = {"username": user.username, "password": PASSWORD, field: value}

    response = api.send(LOGIN, body)

    assert refusal(response) == (400, "invalid_request")
    assert response["Cache-Control"] == "no-store"
    assert not SessionFamily.objects.exists()


@pytest.mark.parametrize("field", ["username", "password"])
def test_login_field_that_is_missing_is_named(api, user, field):
    """A login without user name or password is refused, and told which is missing."""
    body = {"username": user.username, "password": PASSWORD}
    del body[field]

    response = api.send(LOGIN, body)

    assert refusal(response) == (400, "invalid_request")
    assert response.json()["detail"] == f"{field}: This field is required."


@pytest.mark.parametrize(
    "name", ["a" * 255, " ", "anna", "ANN\n", "é" * 200, "' OR 1=1"]
)
def test_user_name_that_is_nobodys_is_refused(api, user, name):
    """A name is taken as it was sent: no trimming, and nothing but a refusal."""
    get_user_model().objects.filter(pk=user.pk).update(username="ann")

    response = api.send(LOGIN, {"username": name, "password": PASSWORD})

    assert response.status_code in {400, 401}
    assert not SessionFamily.objects.exists()


@pytest.mark.parametrize("value", WRONG)
@pytest.mark.parametrize("url", [REFRESH, LOGOUT])
def test_refresh_token_that_is_no_text_is_refused(api, url, value):
    """A refresh token of another JSON type is `invalid_request`."""
    response = api.send(url, {"refresh": value})

    assert refusal(response) == (400, "invalid_request")


NO_TOKENS = ["", "abc", "rsrt_", "rsrt_" + "A" * 120, "rsrt_" + "é" * 120, "a" * 8000]


@pytest.mark.parametrize("value", [*NO_TOKENS, "\x00", "\ud800", "rsrt_\ud800"])
def test_refresh_token_that_is_malformed_is_invalid(
    api, value, django_assert_num_queries
):
    """Any text that is no refresh token is `invalid_token`, without SQL (TH-01)."""
    with django_assert_num_queries(0):
        response = api.send(REFRESH, {"refresh": value})

    assert refusal(response) == (401, "invalid_token")
    assert response["WWW-Authenticate"] == 'Bearer error="invalid_token"'


def test_refresh_without_a_token_is_invalid(api, django_assert_num_queries):
    """A refresh without any token is `invalid_token`, without SQL."""
    with django_assert_num_queries(0):
        response = api.send(REFRESH)

    assert refusal(response) == (401, "invalid_token")


def test_access_token_is_no_refresh_token(api, session, django_assert_num_queries):
    """An access token refreshes nothing (TF-05)."""
    with django_assert_num_queries(0):
        response = api.send(REFRESH, {"refresh": session["access"]})

    assert refusal(response) == (401, "invalid_token")


def test_refresh_token_is_no_access_token(api, session):
    """A refresh token opens nothing (TF-05)."""
    response = api.get("/plain/", **bearer(session["refresh"]))

    assert refusal(response) == (401, "invalid_token")


@pytest.mark.parametrize(
    ("carrier", "code"),
    [
        ({"HTTP_AUTHORIZATION": "Bearer " + MEGABYTES}, "invalid_token"),
        ({"HTTP_COOKIE": f"{ACCESS}={MEGABYTES}"}, "refresh_required"),
    ],
    ids=["header", "cookie"],
)
def test_token_of_megabytes_is_not_parsed(
    api, monkeypatch, django_assert_num_queries, carrier, code
):
    """A token of 15 MB is refused by its length, with no SQL (TH-05, JV-08)."""
    parsed: list[str] = []
    monkeypatch.setattr(jwt, "get_unverified_header", parsed.append)

    with django_assert_num_queries(0):
        response = api.get("/plain/", **carrier)

    assert refusal(response) == (401, code)
    assert parsed == []


@pytest.mark.parametrize(
    "value", [*[v for v in WRONG if v is not True], "maybe", "\ud800", "\x00"]
)
def test_wish_of_another_shape_is_refused(api, session, value):
    """`keep_current` is true or false, and anything else ends no session."""
    response = api.send(
        EVERYWHERE, {"keep_current": value}, **bearer(session["access"])
    )

    assert refusal(response) == (400, "invalid_request")
    assert SessionFamily.objects.get().revoked_at is None


@pytest.mark.parametrize("value", [*WRONG, *TEXTS])
def test_confirming_password_of_another_shape_is_refused(api, session, value):
    """A password that is no text confirms nothing, and ends no session."""
    response = api.send(EVERYWHERE, {"password": value}, **bearer(session["access"]))

    assert refusal(response) == (400, "invalid_request")
    assert SessionFamily.objects.get().revoked_at is None


@pytest.mark.parametrize(
    "agent", ["", "\x00", "a\r\nb", "\x1b[31m", "é" * 300, "<script>", "x" * 5000]
)
def test_user_agent_is_no_trouble(api, user, agent):
    """Whatever a client calls itself is cut to something printable (AD-08, HC-06)."""
    body = {"username": user.username, "password": PASSWORD}

    response = api.send(LOGIN, body, HTTP_USER_AGENT=agent)

    family = SessionFamily.objects.get()
    assert response.status_code == 200
    assert len(family.user_agent) <= 256
    assert (family.user_agent + family.device).isprintable()


@pytest.mark.parametrize("address", ["", "unknown", "unix:", "[::1", "1.2.3", HOME])
def test_address_is_no_trouble(api, user, address):
    """An address that cannot be read binds to nothing, and fails nothing (IP-02)."""
    body = {"username": user.username, "password": PASSWORD}
    access = api.send(LOGIN, body, REMOTE_ADDR=address).json()["access"]

    response = api.get("/whoami/", REMOTE_ADDR=address, **bearer(access))

    assert response.json()["user"] == user.username
