"""What every request meets: who is told to refresh, who is out, who passes."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64encode
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import uuid4

import jwt
import pytest
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from rotating_sessions import revocations
from rotating_sessions.exceptions import Unavailable
from rotating_sessions.middleware import RotatingSessionMiddleware
from rotating_sessions.models import RevokedReason, SessionFamily
from rotating_sessions.tokens.access import decode_access
from rotating_sessions.tokens.keys import get_key_ring
from tests.acting import calls_into
from tests.browsing import (
    ACCESS,
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
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db(transaction=True)

SHORT = {"ACCESS_LIFETIME": timedelta(0)}
FOREIGN_KEY = "a key that is not this site's " * 2


@pytest.mark.parametrize("path", ["/plain/", "/plain-async/"])
@pytest.mark.parametrize("transport", ["header", "cookie"])
def test_warm_request_costs_no_query(api, user, path, transport):
    """A request of a session that this process knows does no SQL, as I-19 says."""
    body = api.log_in(user, transport)
    credentials = bearer(body["access"]) if transport == "header" else {}
    api.get(path, **credentials)

    with CaptureQueriesContext(connection) as queries:
        response = api.get(path, **credentials)

    assert count(queries) == (0, 0)
    assert response.content == b"plain"


def test_user_is_read_in_one_query(api, user):
    """A view that touches `request.user` costs one query, for session and user."""
    access = api.log_in(user)["access"]
    api.get("/plain/", **bearer(access))

    with CaptureQueriesContext(connection) as queries:
        response = api.get("/whoami/", **bearer(access))

    assert count(queries) == (1, 0)
    assert response.json()["user"] == user.username


def test_session_family_holds_what_the_token_says(api, user):
    """`request.session_family` tells family, generation, expiry and time of login."""
    access = api.log_in(user)["access"]
    claims = jwt.decode(access, options={"verify_signature": False})

    response = api.get("/whoami/", **bearer(access))

    family = SessionFamily.objects.get()
    assert response.json()["session"] == {
        "id": str(family.pk),
        "generation": 0,
        "expires_at": claims["exp"],
        "auth_time": int(family.auth_time.timestamp()),
    }


def test_request_without_a_token_is_anonymous(api):
    """Whoever carries no token passes as anonymous, at no cost."""
    with CaptureQueriesContext(connection) as queries:
        response = api.get("/whoami/")

    assert count(queries) == (0, 0)
    assert response.json() == {"user": "", "session": None}


@pytest.mark.parametrize("transport", ["header", "cookie"])
@pytest.mark.parametrize("path", ["/plain/", "/no/such/page/"])
def test_expired_token_calls_for_a_refresh(api, user, settings, path, transport):
    """An expired access token is answered `refresh_required`, and no cookie goes."""
    settings.ROTATING_SESSIONS = SHORT
    body = api.log_in(user, transport)
    credentials = bearer(body["access"]) if transport == "header" else {}

    response = api.get(path, **credentials)

    assert refusal(response) == (401, "refresh_required")
    assert response["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert response["Cache-Control"] == "no-store"
    assert not touches_cookies(response)


@pytest.mark.parametrize("transport", ["header", "cookie"])
def test_other_network_calls_for_a_refresh_and_changes_nothing(api, user, transport):
    """Another network is answered `refresh_required`, and no row changes, I-24."""
    body = api.log_in(user, transport)
    credentials = bearer(body["access"]) if transport == "header" else {}
    before = rows()

    response = api.get("/whoami/", REMOTE_ADDR=TRAIN, **credentials)

    assert refusal(response) == (401, "refresh_required")
    assert not touches_cookies(response)
    assert rows() == before


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("address", "refresh_required"),
        ("revocation", "session_ended"),
        ("clock", "refresh_required"),
    ],
)
def test_known_token_is_checked_at_each_request(api, user, clock, change, code):
    """A token verified before is refused for network and revocation unread, or age."""
    credentials = bearer(api.log_in(user)["access"])
    before = api.get("/plain/", **credentials)
    address = {"REMOTE_ADDR": TRAIN} if change == "address" else {}
    if change == "revocation":
        revocations.add(SessionFamily.objects.values_list("pk", flat=True), clock.now)
    if change == "clock":
        clock.forward(timedelta(minutes=30))

    with calls_into(jwt) as calls:
        response = api.get("/plain/", **credentials, **address)

    assert before.content == b"plain"
    assert refusal(response) == (401, code)
    # An expired one is read for what it says: logging out by it is welcome.
    assert bool(calls) == (change == "clock")


def test_unbound_session_is_used_from_anywhere(api, user, settings):
    """Where BIND_NETWORK is off, no network is compared."""
    settings.ROTATING_SESSIONS = {"BIND_NETWORK": False}
    access = api.log_in(user)["access"]

    response = api.get("/whoami/", REMOTE_ADDR=TRAIN, **bearer(access))

    assert response.json()["user"] == user.username


@pytest.mark.parametrize("transport", ["header", "cookie"])
def test_session_revoked_here_ends_at_once(api, user, transport):
    """The process that revokes a session refuses its access token at once."""
    body = api.log_in(user, transport)
    credentials = bearer(body["access"]) if transport == "header" else {}
    api.get("/plain/", **credentials)
    user.delete()

    response = api.get("/plain/", **credentials)

    assert refusal(response) == (401, "session_ended")
    assert response["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert response["Cache-Control"] == "no-store"
    assert clears_cookies(response) is (transport == "cookie")


class _RevokedAfterTheLook(dict[Any, Any]):
    """What is revoked, where the next session asked for is revoked just afterwards."""

    def __contains__(self, family_id: object) -> bool:
        if super().__contains__(family_id):
            return True
        revocations.add([family_id], timezone.now())
        return False


def test_session_revoked_while_a_request_looks_ends_with_the_next(
    api, user, monkeypatch
):
    """I-1: What is found out of a session does not outlive a revocation beside it."""
    access = api.log_in(user)["access"]
    api.get("/plain/", **bearer(access))
    # So that it is asked for once more.
    revocations.add([uuid4()], timezone.now())
    monkeypatch.setattr(revocations._known, "revoked_at", _RevokedAfterTheLook())

    beside = api.get("/plain/", **bearer(access))
    response = api.get("/plain/", **bearer(access))

    assert beside.status_code == 200
    assert refusal(response) == (401, "session_ended")


@pytest.mark.parametrize("warm", [False, True])
def test_session_revoked_elsewhere_ends_with_the_poll(api, user, settings, warm):
    """A revocation by another process is known with the next poll, as I-18 says."""
    settings.ROTATING_SESSIONS = {"POLL_INTERVAL": timedelta(0)}
    access = api.log_in(user)["access"]
    if warm:
        api.get("/plain/", **bearer(access))
    SessionFamily.objects.update(
        revoked_at=timezone.now(), revoked_reason=RevokedReason.STAFF
    )

    response = api.get("/plain/", **bearer(access))

    assert refusal(response) == (401, "session_ended")


GARBAGE = {
    "nothing": "",
    "word": "abc",
    "two words": "abc def",
    "dots": "..",
    "NUL": "a\x00b.c.d",
    "long": "a" * 5000,
    "foreign": jwt.encode({"sub": "1"}, FOREIGN_KEY),
    "unsigned": jwt.encode({"sub": "1"}, None, algorithm="none"),
    "refresh": "rsrt_" + "a" * 120,
}


@pytest.mark.parametrize("value", GARBAGE.values(), ids=GARBAGE.keys())
def test_bearer_token_that_is_not_ours_is_invalid(api, value):
    """A bearer token that nothing of ours signed is `invalid_token`, without SQL."""
    with CaptureQueriesContext(connection) as queries:
        response = api.get("/plain/", HTTP_AUTHORIZATION=f"Bearer {value}")

    assert count(queries) == (0, 0)
    assert refusal(response) == (401, "invalid_token")
    assert response["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert response["Cache-Control"] == "no-store"


def test_all_that_does_not_verify_is_answered_alike(api, user):
    """JV-11: Whatever is wrong with a token, status, body and headers are the same."""
    token = api.log_in(user)["access"]
    header, payload, tag = token.split(".")
    wrong = [
        *(value for value in GARBAGE.values() if value),
        *(token[:at] + "~" + token[at + 1 :] for at in range(len(token))),
        *(token[:length] for length in range(1, len(token), 7)),
        *(f"{payload}.{header}.{tag}", f"{header}.{payload}", f"{token}.{tag}"),
        *(token.swapcase(), token[::-1], "é" * 40, "\ud7ff" * 9, "=" * 999),
    ]

    responses = [
        api.get("/plain/", HTTP_AUTHORIZATION=f"Bearer {value}") for value in wrong
    ]

    assert len(responses) > 400
    answers = {(r.status_code, r.content, str(r.headers)) for r in responses}
    [(status, content, _)] = answers
    assert (status, json.loads(content)["code"]) == (401, "invalid_token")


@pytest.mark.parametrize("transport", ["header", "cookie"])
@pytest.mark.parametrize(
    ("payload", "size"),
    [
        pytest.param(b"[" * 100_000, 100_000, id="nested 100,000 deep"),
        pytest.param(b'{"a":"' + b"a" * 11_250_000, 15_000_000, id="15 MB"),
    ],
)
def test_large_token_reaches_no_parser(api, transport, payload, size):
    """JV-08, JV-12: Beyond 4096 characters a token is refused, signed by us or not."""
    key = get_key_ring().first
    head = json.dumps({"alg": "HS256", "kid": key.kid_text, "typ": "at+jwt"}).encode()
    parts = [urlsafe_b64encode(part).rstrip(b"=") for part in (head, payload)]
    signed = b".".join(parts)
    tag = urlsafe_b64encode(hmac.digest(key.access, signed, "sha256")).rstrip(b"=")
    token = b".".join([signed, tag]).decode()
    carried = {
        "header": {"HTTP_AUTHORIZATION": f"Bearer {token}"},
        "cookie": {"HTTP_COOKIE": f"{ACCESS}={token}"},
    }[transport]

    with calls_into(jwt) as calls:
        response = api.get("/plain/", **carried)

    code = {"header": "invalid_token", "cookie": "refresh_required"}[transport]
    assert len(token) > size
    assert refusal(response) == (401, code)
    assert not calls


@pytest.mark.parametrize("respell", ["{}=", "{}==", " {}", "{} "])
def test_respelled_token_of_an_ended_session_is_no_way_back(api, user, respell):
    """TF-07: A revoked session's token is refused in every spelling that it has."""
    token = api.log_in(user)["access"]
    respelled = {"HTTP_AUTHORIZATION": f"Bearer {respell.format(token)}"}
    before = api.get("/whoami/", **respelled)
    user.session_families.update(revoked_at=timezone.now())
    revocations.reset()

    response = api.get("/plain/", **respelled)

    served = before.status_code == 200
    ended, never = (401, "session_ended"), (401, "invalid_token")
    assert refusal(response) == (ended if served else never)


COOKIE_VALUES = {
    "empty": "",
    "quoted": '"abc"',
    "control": "\x00\x01\x7f\x1b[31m",
    "line end": "a\r\nSet-Cookie: a=b",
    "beyond ASCII": "é\u2028\U0001f36a".encode().decode("latin-1"),
    "no UTF-8": b"\xff\xfe\xed\xa0\x80".decode("latin-1"),
    "dots": "..",
    "escaped": "%00%0d%0a",
    "octal": '"\\073\\054"',
    "long": "a" * 100_000,
    "access of another site": jwt.encode({"sub": "1"}, FOREIGN_KEY),
    "refresh of nobody": "rsrt_" + "A" * 120,
    "of another alphabet": "rsrt_" + "!" * 120,
    "of none": "rsrt_" + b"\xff".decode("latin-1") * 120,
}


@pytest.mark.parametrize("value", COOKIE_VALUES.values(), ids=COOKIE_VALUES.keys())
def test_cookie_of_any_value_is_refused_without_a_query(api, value):
    """CK-09: No value of either cookie is an error, or worth a query."""
    api.get("/auth/login/")
    csrf = api.cookies["csrftoken"].value
    pairs = [f"csrftoken={csrf}", f"{ACCESS}={value}", f"{REFRESH}={value}"]
    raw = {"HTTP_COOKIE": "; ".join(pairs), "HTTP_X_CSRFTOKEN": csrf}

    with CaptureQueriesContext(connection) as queries:
        used = api.get("/plain/", **raw)
        refreshed = api.send("/auth/refresh/", **raw)

    assert count(queries) == (0, 0)
    assert refusal(used) == (401, "refresh_required")
    assert refusal(refreshed) == (401, "invalid_token")
    assert clears_cookies(refreshed)


def test_access_cookie_that_is_not_ours_calls_for_a_refresh(api):
    """A browser cannot mend a cookie: the refresh beside it can, or ends in a login."""
    api.cookies[ACCESS] = "abc"

    response = api.get("/plain/")

    assert refusal(response) == (401, "refresh_required")
    assert not touches_cookies(response)


@pytest.mark.parametrize("scheme", ["Basic", "Token", "Digest", "Bearerx", "JWT"])
def test_foreign_scheme_is_not_disturbed(api, scheme):
    """An Authorization header of another scheme passes as if it were not there."""
    response = api.get("/whoami/", HTTP_AUTHORIZATION=f"{scheme} YW5uOnB3")

    assert response.json() == {"user": "", "session": None}


def test_header_wins_over_the_cookie(api, user):
    """Where header and cookie name two users, the header's is asked for (CS-04)."""
    other = UserFactory.create()
    access = Api().log_in(other)["access"]
    api.log_in(user, "cookie")

    response = api.get("/whoami/", **bearer(access))

    assert response.json()["user"] == other.username


def test_refresh_cookie_does_not_authenticate(api, user):
    """Whoever carries the refresh cookie alone is anonymous (CK-03)."""
    api.log_in(user, "cookie")
    del api.cookies[ACCESS]

    page, data = api.get("/whoami/"), api.get("/api/profile/")

    assert page.json()["user"] == ""
    assert data.status_code == 401


@pytest.mark.parametrize(
    "cookies",
    [
        pytest.param(f"{ACCESS}={{}}; {ACCESS}={{}}", id="twice"),
        pytest.param(f"{ACCESS}=x; {ACCESS}={{}}", id="another first"),
        pytest.param(f"\u2000{ACCESS}={{}}", id="U+2000"),
        pytest.param(f"\xa0{ACCESS}={{}}", id="U+00A0"),
    ],
)
def test_cookie_tossed_by_a_sibling_domain_is_no_cookie(user, cookies):
    """Two cookies of our name, or one that strips to it, are none (CK-07, CK-08)."""
    access = Api()
    access.log_in(user, "cookie")
    raw = cookies.replace("{}", access.cookies[ACCESS].value)

    response = Api().get("/whoami/", HTTP_COOKIE=raw.encode().decode("latin-1"))

    assert response.json()["user"] == ""


def test_good_cookie_does_not_stand_in_for_a_bad_header(api, user):
    """CS-04: A header that is refused is refused, whoever the cookie beside it is."""
    api.log_in(user, "cookie")

    response = api.get("/whoami/", **bearer("abc"))

    assert refusal(response) == (401, "invalid_token")
    assert not touches_cookies(response)


@pytest.mark.parametrize("token", ["abc", "expired"])
@pytest.mark.parametrize("path", ["/hooks/whoami/", "/status/"])
def test_exempt_view_is_reached_with_any_token(api, user, settings, token, path):
    """Under EXEMPT_PATHS, and in a view marked exempt, a bad token means no session."""
    settings.ROTATING_SESSIONS = {**SHORT, "EXEMPT_PATHS": ["/hooks/"]}
    access = api.log_in(user)["access"] if token == "expired" else token

    response = api.get(path, **bearer(access))

    assert response.json() == {"user": "", "session": None}


def test_exempt_path_knows_no_session(api, user, settings):
    """Under EXEMPT_PATHS even a good token is not read."""
    settings.ROTATING_SESSIONS = {"EXEMPT_PATHS": ["/hooks/"]}
    api.log_in(user, "cookie")

    response = api.get("/hooks/whoami/")

    assert response.json() == {"user": "", "session": None}


def test_exempt_view_knows_a_good_session(api, user):
    """A view marked exempt sees the user of a good token."""
    access = api.log_in(user)["access"]

    response = api.get("/status/", **bearer(access))

    assert response.json()["user"] == user.username


@pytest.mark.parametrize("path", ["/plain/", "/auth/login/", "/auth/refresh/"])
def test_preflight_is_never_refused(api, path):
    """OPTIONS passes, whatever the token is worth."""
    response = api.options(path, **bearer("abc"))

    assert response.status_code == 200


@pytest.mark.parametrize("token", [None, "abc"])
def test_admin_keeps_its_own_session(api, token):
    """Staff logged in by Django's session stay so, beside a token of ours."""
    staff = UserFactory.create(is_staff=True, is_superuser=True)
    api.force_login(staff)
    if token:
        api.cookies[ACCESS] = token

    response = api.get("/admin/")

    assert response.status_code == 200
    assert not touches_cookies(response)


def test_django_session_serves_where_no_token_is(api, user):
    """Without a token `request.user` is that of Django's own session."""
    api.force_login(user)

    response = api.get("/whoami/")

    assert response.json() == {"user": user.username, "session": None}


def test_django_session_outlives_a_session_of_ours(api, user):
    """Logging in and out here leaves Django's own session as it was."""
    api.force_login(user)
    api.log_in(user, "cookie")
    api.send("/auth/logout/")
    del api.cookies[ACCESS], api.cookies[REFRESH]

    response = api.get("/whoami/")

    assert response.json()["user"] == user.username


@pytest.mark.parametrize("token", [None, "abc", "good", "expired"])
@pytest.mark.parametrize("path", ["/plain/", "/", "/api/profile/", "/auth/sessions/"])
def test_responses_vary_by_what_identifies(api, user, settings, path, token):
    """Caches are told that answers depend on cookie and Authorization (CK-11)."""
    settings.ROTATING_SESSIONS = SHORT if token == "expired" else {}
    access = token if token in {None, "abc"} else api.log_in(user)["access"]

    response = api.get(path, **(bearer(access) if access else {}))

    assert {"Authorization", "Cookie"} <= set(response["Vary"].split(", "))


def test_memory_of_confirmed_sessions_is_bounded(api, user):
    """Beyond 50 000 sessions a process forgets the oldest confirmation (TH-10)."""
    middleware = RotatingSessionMiddleware(lambda _request: HttpResponse("plain"))
    middleware._confirmed.update(((uuid4().int, n), None) for n in range(50_000))
    access = api.log_in(user)["access"]
    request = RequestFactory().get("/", REMOTE_ADDR="203.0.113.5", **bearer(access))

    middleware(request)

    key = (decode_access(access, timezone.now()).family_id.int, 0)
    assert len(middleware._confirmed) == 50_000
    assert key in middleware._confirmed


def test_broken_database_is_no_reason_to_log_out(api, user):
    """What cannot be polled for is answered 503, and the token serves later, I-6."""
    api.log_in(user, "cookie")

    with database_down():
        response = api.get("/whoami/")

    assert refusal(response) == (503, "unavailable")
    assert response["Retry-After"] == "1"
    assert not touches_cookies(response)
    assert api.get("/whoami/").json()["user"] == user.username


@pytest.mark.parametrize("debug", [False, True])
def test_user_unreadable_in_another_middleware_is_503(api, user, settings, debug):
    """A database that fails another middleware's look at the user is 503, RT-12."""
    settings.DEBUG = debug
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "tests.views.name_the_user"]
    api.log_in(user, "cookie")
    api.raise_request_exception = False

    with database_down("auth_user"):
        response = api.get("/plain/")

    assert refusal(response) == (503, "unavailable")
    assert response["Retry-After"] == "1"
    assert not touches_cookies(response)
    assert api.get("/plain/")["X-User"] == user.username


def test_fault_of_another_middleware_is_its_own(api, user, settings):
    """A 500 that has nothing to do with reading the user stays one."""
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "tests.views.name_the_user"]
    api.log_in(user, "cookie")
    api.raise_request_exception = False

    response = api.get("/broken/")

    assert response.status_code == 500


def read_twice(get_response: Any) -> Any:
    """Read the user in a middleware that tries again where the database fails."""

    def middleware(request: HttpRequest) -> HttpResponse:
        with database_down("auth_user"), suppress(Unavailable):
            request.user.get_username()
        request.user.get_username()
        return get_response(request)

    return middleware


def test_fault_after_the_user_was_read_at_last_is_its_own(api, user, settings):
    """A failure that was got over does not turn a later fault into a 503."""
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.read_twice"]
    api.log_in(user, "cookie")
    api.raise_request_exception = False

    response = api.get("/broken/")

    assert response.status_code == 500


def test_overdue_poll_is_one_query(api, user, settings):
    """A request that finds the poll overdue makes it, and confirms nothing twice."""
    settings.ROTATING_SESSIONS = {"POLL_INTERVAL": timedelta(0)}
    access = api.log_in(user)["access"]
    api.get("/plain/", **bearer(access))

    with CaptureQueriesContext(connection) as queries:
        response = api.get("/plain/", **bearer(access))

    assert count(queries) == (1, 0)
    assert response.content == b"plain"


@pytest.mark.parametrize(("staleness", "status"), [(60, 200), (0, 503)])
def test_failed_poll_is_forgiven_for_a_while(api, user, settings, staleness, status):
    """What is known serves on without a database, for MAX_STALENESS, I-18 (RV-07)."""
    settings.ROTATING_SESSIONS = {
        "POLL_INTERVAL": timedelta(0),
        "MAX_STALENESS": timedelta(seconds=staleness),
    }
    access = api.log_in(user)["access"]
    api.get("/plain/", **bearer(access))

    with database_down("rotating_sessions"):
        response = api.get("/plain/", **bearer(access))

    assert response.status_code == status
