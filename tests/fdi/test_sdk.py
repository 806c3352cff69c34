"""The SDK against a server, one promise of the contract at a time."""

from __future__ import annotations

import time
from typing import Any

import pytest
from playwright.sync_api import Route

from rotating_sessions.models import RevokedReason, SessionFamily
from rotating_sessions.services import revoke_all_sessions
from tests.browser.scenery import (
    AFTER_ACCESS,
    AFTER_GRACE,
    HOME,
    HOST,
    OTHER_NAME,
    POLL_INTERVAL,
    TIMEOUT,
    TRAIN,
)
from tests.browser.visitor import family_of
from tests.fdi.front_end import open_front_end, refreshes

WHOAMI = "/api/whoami"
MODES = pytest.mark.parametrize("mode", ["cookie", "header"])
REFRESH = "**/auth/session/refresh"
PARALLEL = """async () => {
  const calls = Array.from({ length: 12 }, () => fetch(api + "/api/whoami"));
  return (await Promise.all(calls)).map(({ status }) => status);
}"""
CLAIMS = """async () => {
  const { BooleanClaim, PrimitiveArrayClaim } = SuperTokens;
  const refresh = async () => {};
  const verified = new BooleanClaim({ id: "st-ev", refresh });
  const roles = new PrimitiveArrayClaim({ id: "st-role", refresh });
  const failed = await SuperTokens.validateClaims(() => [
    verified.validators.isTrue(),
    roles.validators.includes("reader"),
  ]);
  const payload = await SuperTokens.getAccessTokenPayloadSecurely();
  return [
    await SuperTokens.getClaimValue({ claim: verified }),
    await SuperTokens.getClaimValue({ claim: roles }),
    payload.plan,
    failed.map(({ id }) => id),
  ];
}"""
# As a page of another origin does: the SDK has no part in it.
BARE = """async (path) => {
  const fetch = window.__supertokensOriginalFetch;
  const response = await fetch(api + path, {
    method: "POST",
    credentials: "include",
    headers: { "Content-Type": "application/json" },
    body: '{"text": "forged"}',
  });
  return [response.status, (await response.json()).message];
}"""


@MODES
def test_front_end_signs_in_and_calls_the_api(visitor, user, mode):
    """A sign-in begins a session in the mode that the front end asks for."""
    front = open_front_end(visitor, mode=mode)

    signed_in = front.sign_in(user)

    expected = {"username": user.get_username(), "generation": 0}
    assert signed_in == [200, {"status": "OK"}]
    assert front.fetch(WHOAMI) == [200, expected]
    assert front.xhr(WHOAMI) == [200, expected]
    assert front.has_session()
    assert front.page.evaluate("SuperTokens.getUserId()") == str(user.pk)
    assert front.events() == ["SESSION_CREATED"]
    assert family_of(user).transport == mode
    assert refreshes(visitor) == 1  # before the sign-in: the SDK asks for a session


def test_wrong_password_is_answered_once(visitor, user):
    """A failed sign-in is no 401, which the SDK would take for an expired session."""
    front = open_front_end(visitor)

    answer = front.post("/api/sign-in", '{"username": "ada", "password": "wrong"}')

    assert answer == [200, {"status": "WRONG_CREDENTIALS_ERROR"}]
    assert visitor.sent.count("POST /api/sign-in") == 1
    assert not front.has_session()


@MODES
def test_session_outlives_a_reload(visitor, user, mode):
    """Another page load finds the session, without a refresh while there is time."""
    front = open_front_end(visitor, mode=mode)
    front.sign_in(user)

    front.reload()

    assert front.fetch(WHOAMI)[0] == 200
    assert refreshes(visitor) == 1


@MODES
def test_parallel_calls_pass_through_one_refresh(visitor, user, mode):
    """Twelve calls at once, after the access token's end, take one refresh."""
    front = open_front_end(visitor, mode=mode)
    front.sign_in(user)
    time.sleep(AFTER_ACCESS)
    before = refreshes(visitor)

    statuses = front.page.evaluate(PARALLEL)

    assert statuses == [200] * 12
    assert refreshes(visitor) == before + 1
    assert family_of(user).generation == 1


def test_older_way_of_browsers_is_refreshed_too(visitor, user):
    """XMLHttpRequest, which axios uses, gets its answer through a refresh."""
    front = open_front_end(visitor)
    front.sign_in(user)
    time.sleep(AFTER_ACCESS)

    status, body = front.xhr(WHOAMI)

    assert (status, body["generation"]) == (200, 1)


@MODES
def test_access_only_answers_keep_the_session(visitor, user, mode):
    """A refresh that brings no new refresh token leaves the SDK with the one it has."""
    front = open_front_end(visitor, mode=mode)
    front.sign_in(user)

    answers = [front.refresh() for _ in range(3)]
    kept = family_of(user).generation
    time.sleep(max(AFTER_GRACE, AFTER_ACCESS))
    status, body = front.fetch(WHOAMI)

    assert (answers, kept) == ([True, True, True], 1)
    assert (status, body["generation"]) == (200, 2)


def test_empty_refresh_header_ends_the_session_of_the_sdk(visitor, user):
    """Of an empty `st-refresh-token` in an access-only answer the SDK would end."""
    front = open_front_end(visitor, mode="header")
    front.sign_in(user)
    change_refresh(front, lambda headers: {**headers, "st-refresh-token": ""})

    front.refresh()
    time.sleep(AFTER_ACCESS)

    assert front.fetch(WHOAMI)[0] == 401
    assert not front.has_session()


def test_refresh_without_a_front_token_is_an_error_to_the_sdk(visitor, user):
    """Every answer to a refresh has a front token: without it the SDK throws."""
    front = open_front_end(visitor)
    front.sign_in(user)
    change_refresh(
        front, lambda headers: {k: v for k, v in headers.items() if k != "front-token"}
    )
    time.sleep(AFTER_ACCESS)

    status, message = front.fetch(WHOAMI)

    assert status == 0
    assert "'front-token' header is missing" in message
    assert front.fetch(WHOAMI)[0] == 200
    assert len(visitor.complaints) == 1
    visitor.complaints.clear()


@pytest.mark.parametrize(("mode", "status"), [("cookie", 429), ("header", 503)])
def test_refresh_that_fails_softly_keeps_the_session(visitor, user, mode, status):
    """A throttled or failed refresh is the caller's to see; the next one goes on."""
    front = open_front_end(visitor, mode=mode)
    front.sign_in(user)
    front.page.route(
        REFRESH, lambda route: route.fulfill(status=status, json={}), times=1
    )
    time.sleep(AFTER_ACCESS)

    failed = front.fetch(WHOAMI)
    again = front.fetch(WHOAMI)

    assert (failed[0], again[0]) == (status, 200)
    assert front.has_session()


def test_hook_of_the_sdk_gives_a_refresh_up(visitor, user):
    """A refresh that hangs is given up by the hook, and the next one goes on."""
    front = open_front_end(visitor, timeout=TIMEOUT * 1000)
    front.sign_in(user)
    time.sleep(AFTER_ACCESS)
    visitor.go_to(HOME, delay=TIMEOUT * 2)

    given_up = front.fetch(WHOAMI)[0]
    visitor.go_to(HOME)

    assert given_up == 0
    assert front.fetch(WHOAMI)[0] == 200
    assert front.has_session()


@MODES
def test_new_network_costs_one_refresh(visitor, user, mode):
    """Who boards a train is refreshed once, unseen, and keeps the session."""
    front = open_front_end(visitor, mode=mode)
    front.sign_in(user)
    before = refreshes(visitor)
    visitor.go_to(TRAIN)

    statuses = [front.fetch(WHOAMI)[0] for _ in range(2)]

    assert statuses == [200, 200]
    assert refreshes(visitor) == before + 1
    assert family_of(user).revoked_at is None


@pytest.mark.parametrize(
    ("mode", "wait"), [("cookie", 0), ("cookie", AFTER_ACCESS), ("header", 0)]
)
def test_sign_out_ends_the_session(visitor, user, mode, wait):
    """A sign-out, also by an expired token, revokes and leaves no token behind."""
    front = open_front_end(visitor, mode=mode)
    front.sign_in(user)
    time.sleep(wait)

    front.sign_out()

    assert not front.has_session()
    assert front.events()[-1] == "SIGN_OUT"
    assert family_of(user).revoked_reason == RevokedReason.LOGOUT
    assert token_cookies(visitor) == set()
    assert front.fetch(WHOAMI)[0] == 401


@MODES
def test_session_that_staff_revoke_ends(visitor, user, mode):
    """What the admin revokes is over for the SDK with its next call."""
    front = open_front_end(visitor, mode=mode)
    front.sign_in(user)
    revoke_all_sessions(user.pk, reason=RevokedReason.STAFF)
    time.sleep(POLL_INTERVAL)

    status, _body = front.fetch(WHOAMI)

    assert status == 401
    assert not front.has_session()
    assert "UNAUTHORISED" in front.events()
    assert token_cookies(visitor) == set()


@MODES
def test_theft_ends_the_session_for_both(visit, user, mode):
    """Whoever refreshes second, thief or victim, gives the theft away to both."""
    victim, thief = visit(), visit()
    front = open_front_end(victim, mode=mode)
    front.sign_in(user)
    thief.context.add_cookies(victim.context.cookies())
    stolen = open_front_end(thief, mode=mode)
    time.sleep(AFTER_ACCESS)

    taken = stolen.fetch(WHOAMI)[0]
    time.sleep(AFTER_GRACE)
    noticed = front.fetch(WHOAMI)[0]
    time.sleep(POLL_INTERVAL)

    assert (taken, noticed) == (200, 401)
    assert stolen.fetch(WHOAMI)[0] == 401
    assert family_of(user).revoked_reason == RevokedReason.REUSED
    assert not front.has_session()
    assert not stolen.has_session()


def test_failed_claims_reach_the_front_end(visitor, user):
    """A claim that does not hold is a 403 which the SDK understands."""
    front = open_front_end(visitor)
    front.sign_in(user)

    status, body = front.fetch("/api/staff")

    assert status == 403
    assert [each["id"] for each in body["claimValidationErrors"]] == ["st-role"]
    assert front.events()[-1] == "API_INVALID_CLAIM"
    assert front.has_session()


def test_claims_of_the_site_are_claims_to_the_sdk(visitor, user):
    """What the site claims of a user is read and validated by the SDK, and renewed."""
    front = open_front_end(visitor)
    front.sign_in(user)

    before = front.page.evaluate(CLAIMS)
    refused = front.fetch("/api/verified")
    user.email = "ada@example.com"
    user.save()
    front.refresh()
    after = front.page.evaluate(CLAIMS)
    served = front.fetch("/api/verified")[0]

    assert before == [False, ["reader"], "free", ["st-ev"]]
    assert (refused[0], refused[1]["claimValidationErrors"][0]["id"]) == (403, "st-ev")
    assert after == [True, ["reader"], "free", []]
    assert served == 200
    assert "API_INVALID_CLAIM" in front.events()
    assert front.events()[-1] != "UNAUTHORISED"


@MODES
def test_other_mode_is_left_behind(visitor, user, mode):
    """A sign-in in one mode clears what the other one left."""
    other = {"cookie": "header", "header": "cookie"}[mode]
    open_front_end(visitor, mode=other).sign_in(user)
    front = open_front_end(visitor, mode=mode)

    front.sign_in(user)
    time.sleep(AFTER_ACCESS)

    assert front.fetch(WHOAMI)[0] == 200
    names = {
        "cookie": {"sAccessToken", "sRefreshToken"},
        "header": {"st-access-token", "st-refresh-token"},
    }
    assert token_cookies(visitor) == names[mode]


@MODES
def test_api_of_another_origin(visitor, api_site, user, mode):
    """A front end on another port uses the API through CORS, with all that it needs."""
    front = open_front_end(visitor, mode=mode, api=api_site)

    front.sign_in(user)
    time.sleep(AFTER_ACCESS)

    assert front.fetch(WHOAMI)[1]["generation"] == 1
    assert front.post("/api/note", '{"text": "a"}') == [200, {"noted": "a"}]
    front.sign_out()
    assert family_of(user).revoked_reason == RevokedReason.LOGOUT


def test_api_of_another_site_by_header(visitor, api_site, user):
    """In header mode the front end may be on any site that CORS allows."""
    other_site = api_site.replace(HOST, OTHER_NAME)
    front = open_front_end(visitor, mode="header", api=other_site)

    front.sign_in(user)
    time.sleep(AFTER_ACCESS)

    assert front.fetch(WHOAMI)[1]["generation"] == 1
    front.sign_out()
    assert family_of(user).revoked_reason == RevokedReason.LOGOUT


@pytest.mark.parametrize("tokens", [False, True])
def test_only_the_front_end_writes(request, visit, user, tokens):
    """By cookie alone nothing is changed: the SDK adds its header, and its token."""
    address = request.getfixturevalue("token_site" if tokens else "site")
    visitor = visit(address)
    front = open_front_end(visitor)
    front.sign_in(user)

    forged = front.page.evaluate(BARE, "/api/note")
    own = [front.post("/api/note", '{"text": "mine"}')]
    time.sleep(AFTER_ACCESS)
    own.append(front.post("/api/note", '{"text": "mine"}'))
    refused = front.page.evaluate(BARE, "/auth/session/refresh")

    assert forged == [401, "try refresh token"]
    assert own == [[200, {"noted": "mine"}]] * 2
    assert refused == [401, "unauthorised"]
    assert SessionFamily.objects.get().revoked_at is None


def change_refresh(front: Any, change: Any) -> None:
    """Change the headers of the answer to the next refresh."""

    def answer(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, headers=change(response.headers))

    front.page.route(REFRESH, answer, times=1)


def token_cookies(visitor: Any) -> set[str]:
    """Return the names of the cookies that hold a token, of either mode."""
    names = {cookie["name"] for cookie in visitor.context.cookies()}
    return {name for name in names if name.endswith(("Token", "-token"))} - {
        "sFrontToken"
    }
