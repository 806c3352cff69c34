"""What holds at every endpoint, be it of today or added tomorrow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.test import Client as DjangoClient
from django.urls import reverse
from django.utils import timezone

from rotating_sessions import revocations
from rotating_sessions.models import SessionFamily
from rotating_sessions.urls import urlpatterns
from tests.browsing import (
    ACCESS,
    HOME,
    REFRESH,
    TRAIN,
    bearer,
    refusal,
    rows,
    touches_cookies,
)
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db(transaction=True)

FAMILY = UUID("7d5c1c0e-5d0b-4d3c-8a51-0a6d7c3f9e21")
PATHS = {
    route.name: reverse(
        f"rotating_sessions:{route.name}",
        args=[FAMILY] if "family_id" in str(route.pattern) else [],
    )
    for route in urlpatterns
}
UNSAFE = ["POST", "PUT", "PATCH", "DELETE"]
METHODS = ["GET", "HEAD", "OPTIONS", *UNSAFE]
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
# What each endpoint takes: everything else about these methods is 405.
TAKEN = {
    *(("POST", name) for name in PATHS if name not in {"sessions", "session"}),
    ("DELETE", "session"),
}
ELSEWHERE = ["/api/profile/", "/status/", "/whoami/", "/page/", "/", "/no/such/page/"]


def test_every_endpoint_is_known_to_these_tests() -> None:
    """The endpoints are these eight: whoever adds one, adds it to the tables below."""
    assert PATHS.keys() == {
        *("login", "refresh", "refresh-page", "logout", "logout-everywhere"),
        *("reauthenticate", "sessions", "session"),
    }


@pytest.fixture
def browser(api: Any, user: Any) -> Any:
    """Return a browser with the cookies of a session, whose id is FAMILY's."""
    api.log_in(user, "cookie")
    api.get("/plain/")
    api.name = user.username
    return api


def ask(api: Any, method: str, path: str, csrf: bool = True, **extra: Any) -> Any:  # noqa: FBT002
    """Send what any of the endpoints would be content with."""
    body = {"username": getattr(api, "name", ""), "password": PASSWORD}
    text = json.dumps({**body, "transport": "cookie"})
    if csrf and "csrftoken" in api.cookies:
        extra.setdefault("HTTP_X_CSRFTOKEN", api.cookies["csrftoken"].value)
    return api.generic(method, path, text, JSON, **extra)


def own_path(name: str) -> str:
    """Return the endpoint's path, that of the only session where it is about one."""
    return PATHS[name].replace(str(FAMILY), str(SessionFamily.objects.get().pk))


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("method", UNSAFE)
def test_unsafe_request_by_cookie_needs_a_csrf_token(browser, name, method):
    """CS-01, CS-02, CS-05: Without a CSRF token no cookie changes anything."""
    before = rows()

    response = ask(browser, method, own_path(name), csrf=False)

    assert rows() == before
    assert not touches_cookies(response)
    if (method, name) in TAKEN:
        assert response.status_code == 403
        assert ask(browser, method, own_path(name)).status_code in {200, 204, 302}
    else:
        assert response.status_code in {403, 405}
        assert ask(browser, method, own_path(name)).status_code == 405


@pytest.mark.parametrize("path", ["/api/profile/", "/status/", "/whoami/", "/page/"])
def test_unsafe_request_to_the_site_needs_a_csrf_token(browser, path):
    """CS-01: DRF views ask for it by our authentication, others by the middleware."""
    refused = ask(browser, "POST", path, csrf=False)

    assert refused.status_code == 403
    assert ask(browser, "POST", path).status_code == 200


@pytest.mark.parametrize(
    "name", ["login", "refresh", "logout", "logout-everywhere", "reauthenticate"]
)
def test_forms_of_other_sites_change_nothing(browser, name):
    """CS-02: What needs no preflight is refused, with or without something in it."""
    before = rows()

    responses = [
        browser.generic("POST", PATHS[name], text, content_type)
        for text in ("", "{}", "refresh=a&transport=cookie")
        for content_type in ("text/plain", FORM, "multipart/form-data", "")
    ]

    assert {response.status_code for response in responses} <= {400, 403, 415}
    assert not any(touches_cookies(response) for response in responses)
    assert rows() == before


@pytest.mark.parametrize(("method", "name"), sorted(TAKEN))
@pytest.mark.parametrize(
    ("sender", "welcome"),
    [("cross-site", False), ("same-site", True), ("same-origin", True), ("none", True)],
)
def test_browser_that_names_another_site_is_refused(
    browser, method, name, sender, welcome
):
    """CS-03: With the right CSRF token, too, `Sec-Fetch-Site: cross-site` is 403."""
    before = rows()

    response = ask(browser, method, own_path(name), HTTP_SEC_FETCH_SITE=sender)

    if welcome:
        assert response.status_code in {200, 204, 302}
    else:
        assert refusal(response) == (403, "csrf_failed")
        assert not touches_cookies(response)
        assert rows() == before


@pytest.mark.parametrize("place", ["query", "form", "both"])
@pytest.mark.parametrize("name", ["access_token", "token", "access", ACCESS])
def test_token_in_address_or_form_opens_nothing(api, user, place, name):
    """CS-06: An access token in the address, in a form or in both is not read."""
    client = DjangoClient(REMOTE_ADDR=HOME)
    tokens = {name: api.log_in(user)["access"]}
    query = tokens if place != "form" else {}

    if place == "query":
        response = client.get("/status/", query)
    else:
        response = client.post("/status/", tokens, query_params=query)

    assert response.status_code == 200
    assert response.json() == {"user": "", "session": None}


@pytest.mark.parametrize("name", ["refresh", "logout"])
@pytest.mark.parametrize("content_type", [JSON, FORM])
def test_refresh_token_in_address_or_form_is_not_read(api, user, name, content_type):
    """CS-06: A refresh token counts in the JSON body or the cookie, nowhere else."""
    refresh = api.log_in(user)["refresh"]
    before = rows()
    text = "" if content_type == JSON else f"refresh={refresh}"

    response = api.generic(
        "POST",
        f"{PATHS[name]}?refresh={refresh}&{REFRESH}={refresh}",
        text,
        content_type,
    )

    assert response.status_code in {204, 401, 415}
    assert rows() == before


@pytest.mark.parametrize("path", [*PATHS.values(), *ELSEWHERE])
def test_no_other_origin_is_let_in(browser, path):
    """CS-07: No answer has a header of CORS, a preflight's as little as any other."""
    asked = {
        "HTTP_ORIGIN": "https://evil.example",
        "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "POST",
        "HTTP_ACCESS_CONTROL_REQUEST_HEADERS": "authorization, content-type",
    }

    responses = [
        ask(browser, method, path, **asked, **extra)
        for method in METHODS
        for extra in ({}, bearer("abc"))
    ]

    names = {name.lower() for response in responses for name in response.headers}
    assert not [name for name in names if name.startswith("access-control-")]
    assert "cross-origin-resource-policy" not in names


@pytest.mark.parametrize("name", [name for name in PATHS if name != "refresh-page"])
@pytest.mark.parametrize("carried", ["nothing", "garbage", "session"])
def test_every_answer_is_kept_out_of_caches(api, user, settings, name, carried):
    """HC-01, HC-05: Each answer is no-store and, where it has a body, plain JSON."""
    settings.SECURE_CONTENT_TYPE_NOSNIFF = False
    access = {"garbage": "abc", "session": api.log_in(user)["access"]}.get(carried)
    extra = bearer(access) if access else {}

    responses = [ask(api, method, PATHS[name], **extra) for method in METHODS]

    for response in responses:
        assert response["Cache-Control"] == "no-store"
        assert response["Pragma"] == "no-cache"
        assert response.status_code == 204 or response["Content-Type"] == JSON
        # A 401 may be the middleware's, and is then no endpoint's answer.
        if response.status_code != 401:
            assert response["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_refresh_page_is_kept_out_of_caches(browser, method):
    """HC-01: The page and its answers are no-store, and the answers carry cookies."""
    response = ask(browser, method, PATHS["refresh-page"])

    assert response.status_code == {"GET": 200, "POST": 302}[method]
    assert (response["Cache-Control"], response["Pragma"]) == ("no-store", "no-cache")
    assert touches_cookies(response) is (method == "POST")


@pytest.mark.parametrize(("method", "name"), sorted(TAKEN))
def test_early_data_changes_nothing(browser, method, name):
    """HC-03: What an attacker could send again, as TLS early data, is answered 425."""
    before = rows()

    response = ask(browser, method, own_path(name), HTTP_EARLY_DATA="1")

    assert refusal(response) == (425, "too_early")
    assert not touches_cookies(response)
    assert rows() == before


def refusals(api: Any, user: Any, settings: Any) -> Iterator[Any]:
    """Yield an answer for each reason, at each endpoint and beyond."""
    held = api.log_in(user)
    api.name = "nobody"
    good = bearer(held["access"])
    reasons: list[dict[str, Any]] = [{}, bearer("abc"), {**good, "REMOTE_ADDR": TRAIN}]
    paths = [*PATHS.values(), *ELSEWHERE]
    for extra in reasons:
        yield from (ask(api, "GET", path, **extra) for path in paths)
        yield from (ask(api, "POST", path, **extra) for path in PATHS.values())
    settings.ROTATING_SESSIONS = {"ACCESS_LIFETIME": timedelta(0)}
    yield from (ask(api, "GET", path, **good) for path in paths)
    settings.ROTATING_SESSIONS = {}
    SessionFamily.objects.update(revoked_at=timezone.now())
    yield api.send(PATHS["refresh"], {"refresh": held["refresh"]})
    yield from (ask(api, "GET", path, **good) for path in ELSEWHERE)
    revocations.reset()
    yield from (ask(api, "GET", path, **good) for path in paths)


def test_every_401_has_a_challenge_of_few_words(api, user, settings):
    """HC-04: A 401 says Bearer, perhaps `invalid_token`, and no more in its header."""
    answers = [
        each for each in refusals(api, user, settings) if each.status_code == 401
    ]

    challenges = {response["WWW-Authenticate"] for response in answers}
    codes = {response.json().get("code") for response in answers}
    assert len(answers) > 20
    assert challenges == {"Bearer", 'Bearer error="invalid_token"'}
    # None: the site's own DRF view, asked without a token.
    assert codes == {
        *("invalid_token", "refresh_required", "session_ended"),
        *("invalid_credentials", "not_authenticated", None),
    }


@pytest.mark.parametrize("policy", ["no-referrer", "same-origin"])
def test_addresses_hold_no_token(api, user, settings, policy):
    """HC-07: No redirect carries a token, and the site's Referrer-Policy stays."""
    settings.SECURE_REFERRER_POLICY = policy
    settings.ROTATING_SESSIONS = {"ACCESS_LIFETIME": timedelta(0)}
    api.log_in(user, "cookie")
    away = api.get("/page/", HTTP_ACCEPT="text/html")
    back = ask(api, "POST", PATHS["refresh-page"])

    responses = [away, back, *(ask(api, "GET", path) for path in PATHS.values())]

    assert (away.status_code, back.status_code) == (302, 302)
    assert back.cookies[REFRESH].value
    held = {morsel.value for morsel in api.cookies.values()}
    addresses = "".join(each.get("Location", "") for each in responses)
    assert not [value for value in held if value in addresses]
    assert {response["Referrer-Policy"] for response in responses} == {policy}
