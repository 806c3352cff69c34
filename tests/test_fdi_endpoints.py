"""Refresh and sign-out of SuperTokens front ends: statuses, bodies, tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from rest_framework.schemas.generators import EndpointEnumerator

from rotating_sessions.fdi.urls import urlpatterns
from rotating_sessions.models import RevokedReason, SessionFamily
from rotating_sessions.services import start_anonymous_session
from rotating_sessions.transports import COOKIE, HEADER
from tests.acting import W, columns, log_in, twin_of
from tests.browsing import HOME, TRAIN, Api, bearer, database_down, rows
from tests.browsing import REFRESH as OUR_REFRESH
from tests.fronting import (
    REFRESH,
    SIGN_OUT,
    FrontEnd,
    cleared,
    front_token,
    mount,
    written,
)

pytestmark = pytest.mark.django_db(transaction=True)

MODES = pytest.mark.parametrize("mode", [COOKIE, HEADER])
POLICIES = {"any": (HEADER, COOKIE), "header": (HEADER,), "cookie": (COOKIE,)}
MOMENT = timedelta(seconds=3)


@pytest.fixture(autouse=True)
def _site(settings: Any) -> None:
    mount(settings)


def message(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["message"]


def test_paths_are_those_that_the_sdk_calls():
    """The endpoints have no slash at their ends."""
    assert reverse("rotating_sessions_fdi:refresh") == REFRESH
    assert reverse("rotating_sessions_fdi:sign-out") == SIGN_OUT


def test_endpoints_are_in_no_schema_of_the_site():
    """What documents the site's API leaves out what only SDKs call."""
    found = EndpointEnumerator(urlpatterns).get_api_endpoints()

    assert found == []


@pytest.mark.parametrize(
    ("policy", "header", "cookie", "status", "set_in", "cleared_in"),
    [
        ("any", False, False, 401, None, {HEADER, COOKIE}),
        ("header", False, False, 401, None, {HEADER, COOKIE}),
        ("cookie", False, False, 401, None, {HEADER, COOKIE}),
        ("any", False, True, 200, COOKIE, set()),
        ("cookie", False, True, 200, COOKIE, set()),
        ("header", False, True, 401, None, {HEADER, COOKIE}),
        ("any", True, False, 200, HEADER, set()),
        ("header", True, False, 200, HEADER, set()),
        ("cookie", True, False, 401, None, {HEADER, COOKIE}),
        ("any", True, True, 200, HEADER, {COOKIE}),
        ("header", True, True, 200, HEADER, {COOKIE}),
        ("cookie", True, True, 200, COOKIE, {HEADER}),
    ],
)
def test_refresh_answers_in_the_mode_of_its_token(  # noqa: PLR0917
    rf, user, settings, policy, header, cookie, status, set_in, cleared_in
):
    """The header wins over the cookie, and the mode that lost is cleared."""
    client = FrontEnd()
    extra = {}
    if header:
        extra = bearer(log_in(rf, user, transport=HEADER).refresh)
    if cookie:
        client.cookies["sRefreshToken"] = log_in(rf, user, transport=COOKIE).refresh
    settings.ROTATING_SESSIONS = {"TRANSPORTS": POLICIES[policy]}

    response = client.refresh(**extra)

    assert response.status_code == status
    assert written(response) == ({set_in} if set_in else set())
    assert cleared(response) == cleared_in
    assert (front_token(response) == "remove") is (status == 401)
    assert response["Cache-Control"] == "no-store"


@MODES
def test_refresh_rotates(user, mode):
    """A refresh answers `{}`, with an access and a refresh token and a front token."""
    client = FrontEnd(mode)
    client.sign_in(user)
    before = client.access(), client.refresh_token()

    response = client.refresh()

    assert (response.status_code, response.json()) == (200, {})
    assert client.access() != before[0]
    assert client.refresh_token() != before[1]
    assert front_token(response)["uid"] == str(user.pk)
    assert SessionFamily.objects.get().generation == 1


@MODES
def test_refresh_within_the_grace_period_says_nothing_of_the_refresh_token(user, mode):
    """An access-only answer has a front token, and leaves the refresh token alone."""
    client = FrontEnd(mode)
    client.sign_in(user)
    client.refresh()
    before = client.access(), client.refresh_token()

    response = client.refresh()

    assert response.status_code == 200
    assert "st-refresh-token" not in response.headers
    assert "sRefreshToken" not in response.cookies
    assert client.access() != before[0]
    assert client.refresh_token() == before[1]
    assert front_token(response)["up"]["sub"] == str(user.pk)


@MODES
@pytest.mark.parametrize("fault", ["garbage", "twin of a stranger", "other mode"])
def test_refresh_token_that_proves_nothing_is_cleared(rf, user, mode, fault):
    """What is no token of this mode is 401, and the client forgets it."""
    other = {COOKIE: HEADER, HEADER: COOKIE}[mode]
    token = {
        "garbage": "abc",
        "twin of a stranger": twin_of(log_in(rf, user), secret=b"x" * 32),
        "other mode": log_in(rf, user, transport=other).refresh,
    }[fault]
    client, extra = FrontEnd(mode), {}
    if mode == HEADER:
        extra = bearer(token)
    else:
        client.cookies["sRefreshToken"] = token

    response = client.refresh(**extra)

    assert message(response) == (401, "unauthorised")
    assert cleared(response) == {HEADER, COOKIE}
    assert front_token(response) == "remove"
    assert not SessionFamily.objects.exclude(revoked_at=None).exists()


@MODES
def test_refresh_token_that_was_replaced_is_theft(user, clock, mode):
    """A superseded token revokes the session, and says so."""
    client = FrontEnd(mode)
    client.sign_in(user)
    thief = FrontEnd(mode)
    thief.tokens, thief.cookies = dict(client.tokens), client.cookies.copy()
    client.refresh()
    client.get("/api/whoami")
    clock.forward(W)

    response = thief.refresh()

    assert message(response) == (401, "token theft detected")
    assert cleared(response) == {HEADER, COOKIE}
    assert SessionFamily.objects.get().revoked_reason == RevokedReason.REUSED
    assert message(client.get("/api/whoami")) == (401, "unauthorised")


@MODES
def test_ended_session_is_cleared(user, mode):
    """The refresh of a session that staff ended is 401, and the client forgets it."""
    client = FrontEnd(mode)
    client.sign_in(user)
    user.is_active = False
    user.save()

    response = client.refresh()

    assert message(response) == (401, "unauthorised")
    assert cleared(response) == {HEADER, COOKIE}


@MODES
def test_refresh_that_the_database_fails_clears_nothing(user, mode):
    """A 503 has no word on tokens: the same token refreshes later."""
    client = FrontEnd(mode)
    client.sign_in(user)

    with database_down():
        failed = client.refresh()

    assert failed.status_code == 503
    assert cleared(failed) == set()
    assert front_token(failed) is None
    assert client.refresh().status_code == 200


@MODES
def test_throttled_refresh_clears_nothing(user, settings, mode):
    """A 429 has no word on tokens, and counts by session."""
    settings.ROTATING_SESSIONS = {"REFRESH_RATE": "1/min"}
    client, other = FrontEnd(mode), FrontEnd(mode)
    client.sign_in(user)
    other.sign_in(user)
    client.refresh()

    throttled = client.refresh()

    assert throttled.status_code == 429
    assert cleared(throttled) == set()
    assert front_token(throttled) is None
    assert other.refresh().status_code == 200


@MODES
def test_refresh_moves_the_session_to_another_network(user, mode):
    """On a new network a call asks for a refresh, and is served after it."""
    client = FrontEnd(mode)
    client.sign_in(user)

    moved = client.get("/api/whoami", REMOTE_ADDR=TRAIN)
    client.refresh(REMOTE_ADDR=TRAIN)
    served = client.get("/api/whoami", REMOTE_ADDR=TRAIN)

    assert message(moved) == (401, "try refresh token")
    assert front_token(moved) is None
    assert served.status_code == 200


def test_form_of_another_site_signs_nobody_out(user):
    """What a page elsewhere posts is refused, and makes the browser forget nothing."""
    client = FrontEnd()
    client.sign_in(user)
    before = rows()

    response = client.refresh(HTTP_RID=None, HTTP_SEC_FETCH_SITE="cross-site")

    assert response.status_code == 403
    assert cleared(response) == set()
    assert front_token(response) is None
    assert rows() == before


@MODES
@pytest.mark.parametrize("later", [MOMENT, timedelta(hours=1)])
def test_sign_out_ends_the_session(user, clock, mode, later):
    """A sign-out, by an expired token too, revokes, and the client forgets all."""
    client = FrontEnd(mode)
    client.sign_in(user)
    clock.forward(later)

    response = client.sign_out()

    assert (response.status_code, response.json()) == (200, {"status": "OK"})
    assert cleared(response) == {HEADER, COOKIE}
    assert front_token(response) == "remove"
    assert SessionFamily.objects.get().revoked_reason == RevokedReason.LOGOUT


@MODES
def test_second_sign_out_is_no_error(user, mode):
    """Who signs out once more, in another tab, is told the same."""
    client = FrontEnd(mode)
    client.sign_in(user)
    tab = FrontEnd(mode)
    tab.tokens, tab.cookies = dict(client.tokens), client.cookies.copy()
    client.sign_out()

    response = tab.sign_out()

    assert (response.status_code, response.json()) == (200, {"status": "OK"})


def test_sign_out_without_a_session_clears_nothing():
    """Without a token a sign-out is 401: another tab may just have signed in."""
    response = FrontEnd().sign_out()

    assert message(response) == (401, "unauthorised")
    assert cleared(response) == set()
    assert front_token(response) is None


@MODES
def test_sign_out_by_a_token_that_proves_nothing_asks_for_a_refresh(mode):
    """A token that is not genuine ends nothing: the front end refreshes first."""
    client = FrontEnd(mode)
    extra = bearer("a.b.c") if mode == HEADER else {}
    client.cookies["sAccessToken"] = "a.b.c"

    response = client.sign_out(**extra)

    assert message(response) == (401, "try refresh token")
    assert front_token(response) is None


def test_sign_out_by_another_site_ends_nothing(user):
    """A cookie alone signs nobody out."""
    client = FrontEnd()
    client.sign_in(user)

    response = client.sign_out(HTTP_RID=None)

    assert message(response) == (401, "try refresh token")
    assert SessionFamily.objects.get().revoked_at is None


@pytest.mark.parametrize("path", [REFRESH, SIGN_OUT])
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_endpoints_take_post_only(path, method):
    """Any other method is 405, and changes nothing."""
    response = Api().generic(method, path)

    assert response.status_code == 405
    assert front_token(response) is None


@pytest.mark.parametrize("path", [REFRESH, SIGN_OUT])
def test_early_data_changes_nothing(user, path):
    """What an attacker could send again, as TLS early data, is answered 425."""
    client = FrontEnd()
    client.sign_in(user)
    client.get("/api/whoami")
    before = rows()

    response = client.generic("POST", path, HTTP_EARLY_DATA="1")

    assert response.status_code == 425
    assert front_token(response) is None
    assert rows() == before


# Anonymous sessions are none of the contract's: to a front end a session is a login.


@MODES
def test_no_visitor_is_refreshed_into_a_login(rf, mode):
    """A refresh token of an anonymous session makes no front token, and is cleared."""
    pair = start_anonymous_session(rf.get("/", REMOTE_ADDR=HOME), transport=mode)
    client, extra = FrontEnd(mode), {}
    if mode == HEADER:
        extra = bearer(pair.refresh)
    else:
        client.cookies["sRefreshToken"] = pair.refresh

    response = client.refresh(**extra)

    assert message(response) == (401, "unauthorised")
    assert front_token(response) == "remove"
    assert written(response) == set()
    assert SessionFamily.objects.get().revoked_at is None


@MODES
def test_a_sign_in_takes_a_visitors_data_over(rf, user, mode):
    """What a visitor had in our own session goes into the front end's."""
    visit = start_anonymous_session(
        rf.get("/", REMOTE_ADDR=HOME), transport=COOKIE, data={"basket": ["tea"]}
    )
    client = FrontEnd(mode)
    client.cookies[OUR_REFRESH] = visit.refresh

    client.sign_in(user)

    reasons = dict(SessionFamily.objects.values_list("user_pk", "revoked_reason"))
    assert reasons == {"": "logged_in", str(user.pk): ""}
    assert SessionFamily.objects.get(user=user).data == {"basket": ["tea"]}


def test_a_sign_out_ends_the_one_visit(rf):
    """An access token of an anonymous session ends that session, and no other."""
    pair, other = (
        start_anonymous_session(rf.get("/", REMOTE_ADDR=HOME), transport=HEADER)
        for _ in range(2)
    )

    response = FrontEnd(HEADER).sign_out(**bearer(pair.access))

    assert response.status_code == 200
    assert columns(pair)["revoked_reason"] == RevokedReason.LOGOUT
    assert columns(other)["revoked_at"] is None
