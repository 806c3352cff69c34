"""The session client in a browser, against a server: one promise at a time."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from django.utils import timezone

import rotating_sessions
from rotating_sessions.models import RevokedReason, SessionFamily
from rotating_sessions.services import revoke_all_sessions
from tests.browser.scenery import (
    AFTER_ACCESS,
    AFTER_GRACE,
    HOST,
    OTHER_NAME,
    POLL_INTERVAL,
    TIMEOUT,
    TRAIN,
)
from tests.browser.visitor import call, family_of, log_in, meddle

WHOAMI = "/api/whoami/"
SESSIONS = "/auth/sessions/"
EVERYWHERE = "/auth/logout-everywhere/"
MILLISECONDS = TIMEOUT * 1000
STATIC = Path(rotating_sessions.__file__).parent / "static" / "rotating_sessions"
# What a page may hand in as the storage that its tabs share.
LOCAL_STORAGE = """{
  get: (key) => localStorage.getItem(key),
  set: (key, value) => localStorage.setItem(key, value),
  delete: (key) => localStorage.removeItem(key),
}"""
TRANSPORTS = pytest.mark.parametrize("transport", ["cookie", "header"])


def test_cookie_transport_leaves_no_token_to_scripts(visitor, user):
    """After a login in cookie transport no script can read a token anywhere."""
    page = visitor.open_client()

    status = log_in(page, user)

    assert status == 200
    assert call(page, WHOAMI)[1]["username"] == user.get_username()
    seen = page.evaluate(
        "JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage}])"
    )
    assert "rs_" not in seen
    assert "eyJ" not in seen


def test_header_transport_keeps_tokens_in_memory(visitor, user):
    """Without a storage of the page's, tokens live in the memory of one tab only."""
    page = visitor.open_client(transport="header")
    other = visitor.open_client(transport="header")

    log_in(page, user)

    assert call(page, WHOAMI)[0] == 200
    assert call(other, WHOAMI)[0] == 401
    seen = page.evaluate(
        "JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage}])"
    )
    assert "rsrt_" not in seen
    assert "eyJ" not in seen


@TRANSPORTS
def test_a_refresh_comes_ahead_of_time(visitor, user, transport):
    """A client that knows the token's age refreshes first, and hears no refusal."""
    page = visitor.open_client(transport=transport)
    log_in(page, user)
    time.sleep(AFTER_ACCESS)
    visitor.sent.clear()

    status, body = call(page, WHOAMI)

    assert (status, body["generation"]) == (200, 1)
    assert visitor.sent == ["POST /auth/refresh/", f"GET {WHOAMI}"]


def test_a_refusal_makes_the_client_refresh_and_repeat(visitor, user):
    """A tab that knows nothing of the token's age is refused, refreshes and repeats."""
    log_in(visitor.open_client(), user)
    page = visitor.open_client()
    time.sleep(AFTER_ACCESS)
    visitor.sent.clear()

    status, body = call(page, WHOAMI)

    assert (status, body["generation"]) == (200, 1)
    asked = f"GET {WHOAMI}"
    assert visitor.sent == [asked, "POST /auth/refresh/", asked]


@TRANSPORTS
def test_an_unsafe_request_is_repeated_with_its_body(visitor, user, transport):
    """A request with a body that can be read once is sent twice, whole both times."""
    page = visitor.open_client(transport=transport)
    log_in(page, user)
    family = family_of(user)
    # A network that the token was not issued to: refused before anything is done.
    visitor.go_to(TRAIN)

    status = page.evaluate(
        """async (url) => {
          const wish = '{"keep_current": true}';
          const body = new Blob([wish], { type: "application/json" });
          const request = new Request(url, { method: "POST", body });
          return (await client.fetch(request)).status;
        }""",
        EVERYWHERE,
    )

    assert status == 200
    assert visitor.sent.count(f"POST {EVERYWHERE}") == 2
    family.refresh_from_db()
    assert family.revoked_at is None


@TRANSPORTS
def test_an_answer_that_is_lost_costs_no_session(visitor, user, transport):
    """A refresh whose answer is lost is tried again, and the session goes on."""
    page = visitor.open_client(transport=transport)
    log_in(page, user)
    time.sleep(AFTER_ACCESS)
    meddle(page, **{"lose-answers": "1"})

    status, body = call(page, WHOAMI)

    assert status == 200
    # The second answer was access-only, or late: nobody has the token of generation 1.
    assert body["generation"] in {0, 2}
    assert visitor.refreshes() == 2
    time.sleep(max(AFTER_GRACE, AFTER_ACCESS))
    assert call(page, WHOAMI)[1]["generation"] >= 2
    assert family_of(user).revoked_at is None


@TRANSPORTS
def test_an_answer_that_takes_too_long_costs_no_session(visitor, user, transport):
    """A refresh is given up when its time is over, and tried again."""
    page = visitor.open_client(transport=transport, timeout=MILLISECONDS)
    log_in(page, user)
    visitor.go_to(TRAIN)
    meddle(page, **{"delay-answers": "1.5"})
    begun = time.monotonic()

    status, _ = call(page, WHOAMI)

    assert status == 200
    assert visitor.refreshes() == 2
    assert time.monotonic() - begun >= TIMEOUT
    assert family_of(user).revoked_at is None


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (503, {"Retry-After": "1"}),
        (429, {"Retry-After": "1"}),
        (502, {}),
        (425, {}),
    ],
)
def test_a_refresh_that_is_put_off_is_tried_again(visitor, user, status, headers):
    """What a proxy or a full database answers a refresh is no reason to give up."""
    page = visitor.open_client()
    log_in(page, user)
    page.route(
        "**/auth/refresh/",
        lambda route: route.fulfill(status=status, headers=headers),
        times=1,
    )

    refusal = page.evaluate("client.refresh()")

    assert refusal is None
    assert visitor.refreshes() == 2
    assert page.evaluate("ended") == []


def test_a_refresh_that_is_put_off_for_long_is_left_to_the_page(visitor, user):
    """Where the server wants more patience than a refresh has, the page hears of it."""
    page = visitor.open_client()
    log_in(page, user)
    visitor.go_to(TRAIN)
    page.route(
        "**/auth/refresh/",
        lambda route: route.fulfill(status=429, headers={"Retry-After": "30"}),
    )

    status, _ = call(page, WHOAMI)

    assert status == 429
    assert page.evaluate("ended") == []
    page.unroute("**/auth/refresh/")
    assert call(page, WHOAMI)[0] == 200


def test_a_server_that_is_gone_costs_no_session(visitor, user):
    """While nothing answers requests fail; as soon as it does, the session goes on."""
    page = visitor.open_client(transport="header")
    log_in(page, user)
    visitor.go_to(TRAIN)
    visitor.context.set_offline(True)
    gone = call(page, WHOAMI)
    visitor.context.set_offline(False)

    status, _ = call(page, WHOAMI)

    assert gone == [0, "TypeError"]
    assert status == 200
    assert page.evaluate("ended") == []


def test_a_second_refresh_within_the_grace_period_keeps_the_token(visitor, user):
    """An access-only answer leaves the client the refresh token that it has."""
    page = visitor.open_client(transport="header")
    log_in(page, user)
    page.evaluate("client.refresh()")

    refusal = page.evaluate("client.refresh()")

    assert refusal is None
    time.sleep(AFTER_GRACE)
    assert page.evaluate("client.refresh()") is None
    assert family_of(user).generation == 2


def test_tabs_refresh_one_at_a_time_and_once(visitor, user):
    """Six tabs, each with five requests, that need a refresh at once send one."""
    tabs = [visitor.open_client() for _ in range(6)]
    log_in(tabs[0], user)
    # Late enough that all of them ask for it meanwhile.
    visitor.go_to(TRAIN, delay=0.7)

    # At one moment, however long it takes to tell them all.
    moment = (time.time() + 1) * 1000
    for tab in tabs:
        tab.evaluate(
            """([url, moment]) => {
              window.answers = new Promise((resolve) => {
                setTimeout(resolve, moment - Date.now());
              }).then(() => {
                const five = Array.from({ length: 5 }, () => client.fetch(url));
                return Promise.all(five);
              });
            }""",
            [WHOAMI, moment],
        )
    statuses = [
        tab.evaluate("answers.then((all) => all.map(({ status }) => status))")
        for tab in tabs
    ]

    assert statuses == [[200] * 5] * 6
    assert visitor.refreshes() == 1
    assert family_of(user).generation == 1


def test_a_tab_without_locks_refreshes_once(visitor, user):
    """Where http leaves no locks, the requests of one tab still share a refresh."""
    visitor.context.add_init_script("delete Navigator.prototype.locks")
    page = visitor.open_client()
    log_in(page, user)
    visitor.go_to(TRAIN)

    statuses = page.evaluate(
        """async (url) => {
          const five = Array.from({ length: 5 }, () => client.fetch(url));
          return (await Promise.all(five)).map(({ status }) => status);
        }""",
        WHOAMI,
    )

    assert page.evaluate("navigator.locks") is None
    assert statuses == [200] * 5
    assert visitor.refreshes() == 1


def test_tabs_share_the_storage_that_the_page_hands_in(visitor, user):
    """In header transport tabs with one storage have one session, rotated once."""
    tabs = [visitor.open_client() for _ in range(3)]
    for tab in tabs:
        tab.evaluate(
            f"""() => {{
              const storage = {LOCAL_STORAGE};
              client = new client.constructor({{ transport: "header", storage }});
            }}"""
        )
    log_in(tabs[0], user)

    for generation in range(1, 3):
        time.sleep(AFTER_ACCESS)
        answers = [call(tab, WHOAMI) for tab in tabs]

        assert [status for status, _ in answers] == [200] * 3
        assert {body["generation"] for _, body in answers} == {generation}


@TRANSPORTS
def test_a_caller_who_aborts_waits_no_longer(visitor, user, transport):
    """An aborted request fails at once, and the refresh goes on for the others."""
    page = visitor.open_client(transport=transport)
    log_in(page, user)
    visitor.go_to(TRAIN)
    meddle(page, **{"delay-answers": "0.8"})

    outcome = page.evaluate(
        """async (url) => {
          const begun = performance.now();
          const other = client.fetch(url);
          const signal = AbortSignal.timeout(100);
          const name = await client.fetch(url, { signal }).catch(({ name }) => name);
          const waited = performance.now() - begun;
          return [name, waited < 700, (await other).status];
        }""",
        WHOAMI,
    )

    assert outcome == ["TimeoutError", True, 200]
    assert visitor.refreshes() == 1


@TRANSPORTS
def test_no_other_origin_is_sent_anything(visit, user, transport):
    """A request to another origin carries neither token nor CSRF token."""
    visitor = visit(bypass_csp=True)
    page = visitor.open_client(transport=transport)
    log_in(page, user)
    elsewhere = visitor.address.replace(HOST, OTHER_NAME)

    with page.expect_request(f"{elsewhere}/**") as sent:
        call(page, f"{elsewhere}{WHOAMI}", method="POST", mode="no-cors")

    headers = sent.value.all_headers()
    assert sent.value.response() is not None
    assert {"authorization", "cookie", "x-csrftoken"}.isdisjoint(headers)


def test_a_page_without_a_csrf_cookie_fetches_one(visitor, user):
    """An unsafe request asks for the CSRF cookie first where there is none."""
    page = visitor.open_client()
    log_in(page, user)
    visitor.context.clear_cookies(name="csrftoken")
    visitor.sent.clear()

    status, _ = call(page, EVERYWHERE, method="POST", body="{}")

    # JSON has to be said to be JSON, which this did not: it got past the CSRF check.
    assert status == 415
    assert visitor.sent == ["GET /auth/login/", f"POST {EVERYWHERE}"]


@TRANSPORTS
def test_the_end_of_a_session_is_told(visitor, user, transport):
    """A session that was ended elsewhere is told to the page with the server's code."""
    page = visitor.open_client(transport=transport)
    log_in(page, user)
    revoke_all_sessions(str(user.pk), reason=RevokedReason.ENDED_BY_USER)
    time.sleep(POLL_INTERVAL)

    status, body = call(page, WHOAMI)

    assert (status, body["code"]) == (401, "session_ended")
    assert page.evaluate("ended") == ["session_ended"]


def test_every_tab_is_told_of_a_refused_refresh(visitor, user):
    """Where a refresh is refused, each tab of the session is told."""
    tabs = [visitor.open_client() for _ in range(3)]
    log_in(tabs[0], user)
    SessionFamily.objects.update(idle_at=timezone.now())

    refusal = tabs[1].evaluate("client.refresh().then(({ status }) => status)")

    assert refusal == 401
    for tab in tabs:
        tab.wait_for_function("() => ended.length")
        assert tab.evaluate("ended") == ["session_ended"]


@TRANSPORTS
def test_a_logout_ends_the_session(visitor, user, transport):
    """After a logout the session is revoked, and the page is told that it was asked."""
    page = visitor.open_client(transport=transport)
    log_in(page, user)

    status = page.evaluate("client.logout().then(({ status }) => status)")

    assert status == 204
    assert page.evaluate("ended") == ["logged_out"]
    assert family_of(user).revoked_reason == "logout"
    assert call(page, WHOAMI)[0] == 401


def test_a_refused_login_leaves_its_reason_to_the_page(visitor, user):
    """A wrong password is answered to the page, which can read the code."""
    page = visitor.open_client()

    answer = page.evaluate(
        """async (username) => {
          const answer = await client.login({ username, password: "wrong" });
          return [answer.status, (await answer.json()).code];
        }""",
        user.get_username(),
    )

    assert answer == [401, "invalid_credentials"]
    assert page.evaluate("ended") == []


def test_a_client_may_stand_in_for_fetch(visitor, user):
    """A page may put a client's fetch in the place of the browser's own."""
    page = visitor.open_client()
    log_in(page, user)
    page.evaluate("window.fetch = (...all) => client.fetch(...all)")

    status = page.evaluate("url => fetch(url).then(({ status }) => status)", WHOAMI)

    assert status == 200


def test_the_types_name_what_the_client_has(visitor):
    """client.d.ts declares the public methods of the class, and no others."""
    page = visitor.open_client()
    declared = (STATIC / "client.d.ts").read_text().partition("class SessionClient")[2]

    methods = page.evaluate("Object.getOwnPropertyNames(client.constructor.prototype)")

    inherited = {"addEventListener", "removeEventListener"}
    assert set(re.findall(r"^  (\w+)\(", declared, re.MULTILINE)) - inherited == {
        *methods
    }
