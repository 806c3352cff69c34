"""`refresh/`: an old token in, a new one out, and every way to be refused."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from rotating_sessions.models import RefreshToken, RevokedReason, SessionFamily
from rotating_sessions.tokens.refresh import decode_refresh, encode_refresh
from tests.browsing import (
    ACCESS,
    HOME,
    REFRESH,
    TRAIN,
    Api,
    bearer,
    clears_cookies,
    count,
    database_down,
    refusal,
    rows,
    touches_cookies,
)

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/auth/refresh/"
ALWAYS_ROTATE = {"GRACE_PERIOD": timedelta(0)}


def present(body: dict[str, Any]) -> dict[str, Any]:
    """Return what a client posts: in cookie transport nothing."""
    return {"refresh": body["refresh"]} if "refresh" in body else {}


def test_refresh_in_header_transport(api, user):
    """The first refresh answers with both tokens, and sets no cookie."""
    refresh = api.log_in(user)["refresh"]

    response = api.send(URL, {"refresh": refresh})

    assert response.status_code == 200
    assert response.json().keys() == {"access", "refresh", "expires_in"}
    assert response.json()["refresh"] != refresh
    assert response["Cache-Control"] == "no-store"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert not touches_cookies(response)


def test_refresh_in_cookie_transport(api, user):
    """With cookies the first refresh sets both anew, with no token in the body."""
    api.log_in(user, "cookie")
    old = api.cookies[REFRESH].value

    response = api.send(URL)

    assert response.json() == {"expires_in": 1800}
    assert response.cookies[ACCESS].value
    assert response.cookies[REFRESH].value not in {"", old}


def seen(response: Any) -> tuple[int, bytes, str]:
    """Return all that an answer tells."""
    return response.status_code, response.content, str(response.headers)


@pytest.mark.parametrize("which", ["predecessor", "newest"])
def test_second_refresh_in_header_transport_is_access_only(api, user, which):
    """Within the grace period no refresh token comes: keep the one you have."""
    first = api.log_in(user)["refresh"]
    newest = api.send(URL, {"refresh": first}).json()["refresh"]
    presented = {"predecessor": first, "newest": newest}[which]

    response = api.send(URL, {"refresh": presented})

    assert response.status_code == 200
    assert response.json().keys() == {"access", "expires_in"}


def test_second_refresh_in_cookie_transport_leaves_the_refresh_cookie(api, user):
    """An access-only answer does not touch the refresh cookie (CK-05)."""
    api.log_in(user, "cookie")
    api.send(URL)

    response = api.send(URL)

    assert response.cookies[ACCESS].value
    assert REFRESH not in response.cookies


def test_cookies_live_as_long_as_their_session(api, user, clock):
    """CK-04: Either cookie goes when the session ends, to the second."""
    api.log_in(user, "cookie")
    SessionFamily.objects.update(expires_at=clock.now + timedelta(hours=2))

    full = api.send(URL)
    clock.forward(timedelta(seconds=30))
    access_only = api.send(URL)

    ages = {name: full.cookies[name]["max-age"] for name in (ACCESS, REFRESH)}
    assert ages == {ACCESS: 7200, REFRESH: 7200}
    assert access_only.cookies[ACCESS]["max-age"] == 7170
    assert REFRESH not in access_only.cookies


@pytest.mark.parametrize("transport", ["header", "cookie"])
def test_refresh_takes_two_reads_and_two_writes_at_most(api, user, transport):
    """A refresh that rotates reads at most twice and writes at most twice, I-20."""
    body = api.log_in(user, transport)
    credentials = bearer(body["access"]) if transport == "header" else {}
    api.get("/plain/", **credentials)

    with CaptureQueriesContext(connection) as queries:
        response = api.send(URL, present(body))

    reads, writes = count(queries)
    assert response.status_code == 200
    assert reads <= 2
    assert writes <= 2


@pytest.mark.parametrize("age", [2, 3, 9])
def test_replay_costs_the_same_at_any_age(api, user, settings, age):
    """The replay of a stolen token takes as many queries, however old it is (TH-06)."""
    settings.ROTATING_SESSIONS = ALWAYS_ROTATE
    stolen = refresh = api.log_in(user)["refresh"]
    for _ in range(age):
        refresh = api.send(URL, {"refresh": refresh}).json()["refresh"]

    with CaptureQueriesContext(connection) as queries:
        response = api.send(URL, {"refresh": stolen})

    assert refusal(response) == (401, "session_ended")
    assert SessionFamily.objects.get().revoked_reason == RevokedReason.REUSED
    assert count(queries) == (1, 2)


def test_replay_ends_the_session_for_good(api, user, settings):
    """A superseded token ends the session, access token included, I-1 (RT-05)."""
    settings.ROTATING_SESSIONS = ALWAYS_ROTATE
    stolen = api.log_in(user)["refresh"]
    newest = api.send(URL, {"refresh": stolen}).json()
    newest = api.send(URL, {"refresh": newest["refresh"]}).json()

    response = api.send(URL, {"refresh": stolen})

    assert refusal(response) == (401, "session_ended")
    assert not touches_cookies(response)
    used = api.get("/plain/", **bearer(newest["access"]))
    assert refusal(used) == (401, "session_ended")
    assert refusal(api.send(URL, present(newest))) == (401, "session_ended")


def test_replayed_cookie_ends_the_session_for_good(api, user, settings):
    """A superseded cookie ends the session: thief and victim are out, I-8."""
    settings.ROTATING_SESSIONS = ALWAYS_ROTATE
    api.log_in(user, "cookie")
    thief = Api()
    thief.get("/auth/login/")
    thief.cookies[REFRESH] = api.cookies[REFRESH].value
    api.send(URL)
    api.send(URL)

    response = thief.send(URL)

    assert refusal(response) == (401, "session_ended")
    assert clears_cookies(response)
    victims = api.send(URL)
    assert refusal(victims) == (401, "session_ended")
    assert clears_cookies(victims)


def forged(family: SessionFamily) -> str:
    """Return a token of the right shape and filter, by one who lacks the secret."""
    return encode_refresh(
        family_id=family.pk,
        generation=0,
        user_pk=family.user_pk,
        secret=b"guessed" * 4,
        issued_at=timezone.now(),
    )


@pytest.mark.parametrize("kind", ["forged", "of no family"])
def test_token_that_proves_nothing_changes_nothing(api, user, kind):
    """A token with a wrong tag, or of an unknown family, is `invalid_token`."""
    api.log_in(user)
    family = SessionFamily.objects.get()
    value = forged(family if kind == "forged" else SessionFamily(pk=uuid4()))
    before = rows()

    response = api.send(URL, {"refresh": value})

    assert refusal(response) == (401, "invalid_token")
    assert response["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert rows() == before


@pytest.mark.parametrize("transport", ["header", "cookie"])
def test_token_of_the_other_transport_is_refused(api, user, transport):
    """A session keeps the transport of its login, in either direction (CS-09)."""
    body = api.log_in(user, transport)
    other = Api()
    other.get("/auth/login/")
    if transport == "header":
        other.cookies[REFRESH] = body["refresh"]
        presented: dict[str, Any] = {}
    else:
        presented = {"refresh": api.cookies[REFRESH].value}
    before = rows()

    response = other.send(URL, presented)

    assert refusal(response) == (401, "invalid_token")
    assert clears_cookies(response) is (transport == "header")
    assert rows() == before


@pytest.mark.parametrize(
    ("model", "values", "reason"),
    [
        pytest.param(SessionFamily, {"revoked_at": timezone.now()}, "", id="revoked"),
        pytest.param(
            SessionFamily, {"idle_at": timezone.now() - timedelta(1)}, "", id="idle"
        ),
        pytest.param(
            SessionFamily, {"expires_at": timezone.now() - timedelta(2)}, "", id="old"
        ),
        pytest.param(
            get_user_model(), {"is_active": False}, "user_inactive", id="inactive"
        ),
        pytest.param(
            get_user_model(), {"password": "x"}, "password_changed", id="password"
        ),
        pytest.param(SessionFamily, {"user": None}, "user_inactive", id="deleted"),
    ],
)
@pytest.mark.parametrize("transport", ["header", "cookie"])
def test_session_that_is_over_is_not_refreshed(  # noqa: PLR0917
    api, user, transport, model, values, reason
):
    """A session that may not go on ends, I-23, and the reason stays, I-26."""
    body = api.log_in(user, transport)
    model.objects.update(**values)

    response = api.send(URL, present(body))

    assert refusal(response) == (401, "session_ended")
    assert response["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert clears_cookies(response) is (transport == "cookie")
    assert SessionFamily.objects.get().revoked_reason == reason


def test_refusals_tell_strangers_nothing(api, user, settings):
    """AD-05: What proves nothing is answered alike, and so is all that has ended."""
    settings.ROTATING_SESSIONS = ALWAYS_ROTATE
    held = api.log_in(user)["refresh"]
    family = SessionFamily.objects.get()
    values = {
        "family_id": family.pk,
        "generation": 0,
        "user_pk": str(user.pk),
        "secret": bytes(family.secret),
        "issued_at": timezone.now(),
    }
    cookie = Api()
    cookie.log_in(user, "cookie")
    unproven = [
        *("abc", "", "rsrt_" + "A" * 120, held[:-1] + "AB"[held[-1] == "A"]),
        encode_refresh(**{**values, "family_id": uuid4()}),
        encode_refresh(**{**values, "user_pk": "12345"}),
        encode_refresh(**{**values, "secret": bytes(32)}),
        cookie.cookies[REFRESH].value,
    ]
    reused = encode_refresh(**values)
    ended = [reused, reused]
    for moment in ("idle_at", "expires_at", "revoked_at"):
        ended.append(api.log_in(user)["refresh"])
        row = SessionFamily.objects.filter(pk=decode_refresh(ended[-1]).family_id)
        row.update(**{moment: timezone.now() - timedelta(seconds=1)})

    strangers = {seen(api.send(URL, {"refresh": value})) for value in unproven}
    owners = {seen(api.send(URL, {"refresh": value})) for value in ended}

    [(_, invalid, _)], [(_, over, _)] = strangers, owners
    assert json.loads(invalid)["code"] == "invalid_token"
    assert json.loads(over)["code"] == "session_ended"


def test_refused_cookie_is_forgotten(api):
    """A refresh cookie that is no token is refused, and cleared."""
    api.get("/auth/login/")
    api.cookies[REFRESH] = "abc"

    response = api.send(URL)

    assert refusal(response) == (401, "invalid_token")
    assert clears_cookies(response)


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param({"HTTP_X_CSRFTOKEN": ""}, id="no token"),
        pytest.param({"HTTP_SEC_FETCH_SITE": "cross-site"}, id="cross-site"),
        pytest.param({"HTTP_ORIGIN": "https://evil.example"}, id="another origin"),
    ],
)
def test_cookie_refresh_from_another_site_is_refused(api, user, extra):
    """Another site cannot make a browser refresh: 403, and no change (CS-02, CS-03)."""
    api.log_in(user, "cookie")
    api.get("/plain/")
    before = rows()

    response = api.send(URL, **extra)

    assert refusal(response) == (403, "csrf_failed")
    assert not touches_cookies(response)
    assert rows() == before


def test_header_refresh_is_open_to_other_sites(api, user):
    """In header transport no CSRF token is asked for (CS-04)."""
    refresh = api.log_in(user)["refresh"]

    response = api.send(URL, {"refresh": refresh}, HTTP_SEC_FETCH_SITE="cross-site")

    assert response.status_code == 200


def test_refresh_takes_no_notice_of_an_expired_access_token(api, user, settings):
    """The middleware never answers for the refresh endpoint."""
    settings.ROTATING_SESSIONS = {"ACCESS_LIFETIME": timedelta(0)}
    body = api.log_in(user)

    response = api.send(URL, {"refresh": body["refresh"]}, **bearer(body["access"]))

    assert response.status_code == 200


@pytest.mark.parametrize("transport", ["header", "cookie"])
def test_refresh_without_a_database_is_unavailable(api, user, transport):
    """A database that fails is 503; the same token serves later, I-6 (RT-12)."""
    body = api.log_in(user, transport)

    with database_down():
        response = api.send(URL, present(body))

    assert refusal(response) == (503, "unavailable")
    assert response["Retry-After"] == "1"
    assert response["Cache-Control"] == "no-store"
    assert not touches_cookies(response)
    assert api.send(URL, present(body)).status_code == 200


@pytest.mark.parametrize("statement", ["UPDATE", "INSERT"])
def test_rotation_that_cannot_be_stored_is_not_answered(api, user, statement):
    """A rotation that fails half-way changes no row, and hands out no token, I-5."""
    refresh = api.log_in(user)["refresh"]
    before = rows()

    with database_down(statement):
        response = api.send(URL, {"refresh": refresh})

    assert refusal(response) == (503, "unavailable")
    assert rows() == before


@pytest.mark.parametrize("transport", ["header", "cookie"])
def test_outage_beside_an_ended_session_clears_nothing(api, user, transport):
    """A 5xx answer never touches a cookie, whatever the access token is worth."""
    body = api.log_in(user, transport)
    everywhere = bearer(Api().log_in(user)["access"])
    api.send("/auth/logout-everywhere/", {"keep_current": True}, **everywhere)

    with database_down():
        response = api.send(URL, present(body))

    assert refusal(response) == (503, "unavailable")
    assert not touches_cookies(response)


def test_client_between_four_networks_refreshes_once_for_each(api, user):
    """A client between four networks is never sent round in a loop, I-25."""
    addresses = [HOME, TRAIN, "192.0.2.9", "2001:db8::1"]
    body = api.log_in(user)
    refresh, access = body["refresh"], body["access"]
    refusals = []

    for address in addresses * 3:
        response = api.get("/plain/", REMOTE_ADDR=address, **bearer(access))
        if response.status_code == 401:
            refusals.append((address, response.json()["code"]))
            answer = api.send(URL, {"refresh": refresh}, REMOTE_ADDR=address).json()
            refresh, access = answer.get("refresh", refresh), answer["access"]
            retried = api.get("/plain/", REMOTE_ADDR=address, **bearer(access))
            assert retried.status_code == 200

    assert refusals == [(address, "refresh_required") for address in addresses[1:]]
    assert RefreshToken.objects.count() == 2
