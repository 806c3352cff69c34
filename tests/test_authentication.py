"""Who is asking: `request.user`, the first use of a token, Django REST framework."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.db import ProgrammingError
from django.utils import timezone
from django.views.debug import ExceptionReporter

from rotating_sessions.authentication import identify
from rotating_sessions.exceptions import RefreshRequired
from rotating_sessions.models import RevokedReason, SessionFamily
from tests.browsing import (
    ACCESS,
    REFRESH,
    TRAIN,
    Api,
    bearer,
    clears_cookies,
    database_down,
    refusal,
    touches_cookies,
)
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db(transaction=True)

CHANGES = {
    "deactivated": ("user", {"is_active": False}),
    "another password": ("user", {"password": "another"}),
    "deleted": ("family", {"user": None}),
    "revoked": ("family", {"revoked_at": timezone.now()}),
    "idle too long": ("family", {"idle_at": timezone.now() - timedelta(seconds=1)}),
    "too old": ("family", {"expires_at": timezone.now() - timedelta(seconds=2)}),
    "of another user": ("family", {"user_pk": "12345"}),
}


def error_reports(caplog: Any) -> str:
    """Return what Django mails to the admins about the errors logged."""
    reports = [
        ExceptionReporter(record.request, *record.exc_info, is_email=True)
        for record in caplog.records
        if record.name == "django.request"
    ]
    assert reports
    return "".join(
        report.get_traceback_text() + report.get_traceback_html() for report in reports
    )


def change(what: str) -> None:
    """Change a row of the only session, where no service sees it."""
    model, values = CHANGES[what]
    manager = SessionFamily.objects if model == "family" else get_user_model().objects
    manager.update(**values)


@pytest.mark.parametrize("what", CHANGES)
def test_user_is_anonymous_where_the_session_no_longer_serves(api, user, what):
    """`request.user` knows at once of a change, whatever its route, I-23."""
    access = api.log_in(user)["access"]
    api.get("/plain/", **bearer(access))
    change(what)

    response = api.get("/whoami/", **bearer(access))

    assert response.status_code == 200
    assert response.json()["user"] == ""


def test_user_who_took_the_key_of_another_inherits_nothing(api, user):
    """A session that the database points at another user is nobody's (AC-04)."""
    access = api.log_in(user)["access"]
    api.get("/plain/", **bearer(access))
    SessionFamily.objects.update(user=UserFactory.create())

    response = api.get("/whoami/", **bearer(access))

    assert response.json()["user"] == ""


def test_promotion_is_seen_without_a_new_token(api, user):
    """A token carries no permission: who becomes staff is staff at once (AC-05)."""
    access = api.log_in(user)["access"]
    get_user_model().objects.update(is_staff=True)

    response = api.get("/api/staff/", **bearer(access))

    assert response.status_code == 200


@pytest.mark.parametrize("path", ["/whoami/", "/api/profile/"])
def test_user_who_cannot_be_read_is_unavailable(api, user, path):
    """A database that fails under `request.user` is answered 503, never 401, I-6."""
    api.log_in(user, "cookie")
    api.get("/plain/")

    with database_down("rotating_sessions"):
        response = api.get(path)

    assert refusal(response) == (503, "unavailable")
    assert response["Retry-After"] == "1"
    assert response["Cache-Control"] == "no-store"
    assert not touches_cookies(response)
    assert api.get(path).json()["user"] == user.username


def test_first_use_confirms_the_generation(api, user):
    """The first use of an access token proves that the client holds its generation."""
    access = api.log_in(user)["access"]

    api.get("/plain/", **bearer(access))

    family = SessionFamily.objects.get()
    assert family.confirmed_at is not None
    assert family.displaced == 0


def test_confirmation_waits_for_the_database(api, user):
    """A confirmation that cannot be written is left to the next request."""
    first, access = (api.log_in(user)["access"] for _ in range(2))
    api.get("/plain/", **bearer(first))

    with database_down("UPDATE"):
        response = api.get("/plain/", **bearer(access))

    assert response.content == b"plain"
    assert SessionFamily.objects.filter(confirmed_at=None).count() == 1
    api.get("/plain/", **bearer(access))
    assert not SessionFamily.objects.filter(confirmed_at=None).exists()


def test_access_token_of_an_orphan_reveals_the_theft(api, user, settings):
    """An access token minted with a displaced generation revokes the session, I-11."""
    settings.ROTATING_SESSIONS = {"GRACE_PERIOD": timedelta(0)}
    refresh = api.log_in(user)["refresh"]
    stolen = api.send("/auth/refresh/", {"refresh": refresh}).json()["access"]
    api.send("/auth/refresh/", {"refresh": refresh})

    response = api.get("/plain/", **bearer(stolen))

    assert refusal(response) == (401, "session_ended")
    assert SessionFamily.objects.get().revoked_reason == RevokedReason.REUSED


def test_drf_knows_user_and_claims(api, user):
    """A DRF view has the user in `request.user` and the claims in `request.auth`."""
    access = api.log_in(user)["access"]

    response = api.get("/api/profile/", **bearer(access))

    assert response.json() == {"user": user.username, "generation": 0}


def test_drf_challenges_whoever_has_no_token(api):
    """Without a token DRF answers 401 with a challenge, and not 403 (JV-13, HC-04)."""
    response = api.get("/api/profile/")

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"


def test_drf_forbids_what_the_user_may_not(api, user):
    """Who is logged in and lacks a permission gets 403: no refresh would help."""
    access = api.log_in(user)["access"]

    response = api.get("/api/staff/", **bearer(access))

    assert response.status_code == 403


def test_reader_of_another_protocol_may_refuse(rf):
    """What a `session_reader` raises is the answer, and nothing is proven by it."""
    request, refusal = rf.post("/plain/", HTTP_COOKIE="a=b"), RefreshRequired()

    def read(_request: Any) -> None:
        raise refusal

    request.session_reader = read
    visit = identify(request, timezone.now())

    assert (visit.claims, visit.refusal) == (None, refusal)


@pytest.mark.parametrize("what", CHANGES)
def test_drf_tells_that_the_session_has_ended(api, user, what):
    """Where the session no longer serves DRF answers 401 `session_ended`, I-23."""
    access = api.log_in(user)["access"]
    api.get("/plain/", **bearer(access))
    change(what)

    response = api.get("/api/profile/", **bearer(access))

    assert refusal(response) == (401, "session_ended")
    assert response["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("transport", ["header", "cookie"])
def test_session_that_drf_ends_leaves_nothing_behind(api, user, transport):
    """DRF's `session_ended` is in no cache and clears the cookies (HC-01)."""
    body = api.log_in(user, transport)
    credentials = bearer(body["access"]) if transport == "header" else {}
    change("deactivated")

    response = api.get("/api/profile/", **credentials)

    assert refusal(response) == (401, "session_ended")
    assert response.get("Cache-Control") == "no-store"
    assert clears_cookies(response) is (transport == "cookie")


CSRF = [
    pytest.param({}, 200, id="with CSRF token"),
    pytest.param({"HTTP_X_CSRFTOKEN": ""}, 403, id="without CSRF token"),
    pytest.param({"HTTP_X_CSRFTOKEN": "x" * 32}, 403, id="with another CSRF token"),
    pytest.param({"HTTP_SEC_FETCH_SITE": "cross-site"}, 403, id="from another site"),
    pytest.param({"HTTP_SEC_FETCH_SITE": "same-origin"}, 200, id="from this site"),
    pytest.param({"HTTP_ORIGIN": "https://evil.example"}, 403, id="of another origin"),
]


@pytest.mark.parametrize(("extra", "expected"), CSRF)
def test_drf_asks_cookies_for_a_csrf_token(api, user, extra, expected):
    """In cookie transport an unsafe method needs the site's CSRF token (CS-01)."""
    api.log_in(user, "cookie")

    response = api.send("/api/profile/", {}, **extra)

    assert response.status_code == expected


def test_drf_says_that_csrf_failed(api, user):
    """A failed CSRF check is answered 403 with a code, and ends nothing."""
    api.log_in(user, "cookie")

    response = api.send("/api/profile/", {}, HTTP_X_CSRFTOKEN="")

    assert refusal(response) == (403, "csrf_failed")
    assert not touches_cookies(response)
    assert api.get("/api/profile/").status_code == 200


def test_drf_asks_no_csrf_token_of_a_header(user):
    """In header transport no unsafe method needs a CSRF token (CS-04)."""
    api = Api()
    access = api.log_in(user)["access"]

    response = api.send("/api/profile/", {}, **bearer(access))

    assert response.status_code == 200


def test_link_from_another_site_is_followed(api, user):
    """A safe method needs no CSRF token, wherever the link was found."""
    api.log_in(user, "cookie")

    response = api.get("/api/profile/", HTTP_SEC_FETCH_SITE="cross-site")

    assert response.status_code == 200


def test_drf_sends_a_moved_client_to_refresh_and_then_serves_it(api, user, settings):
    """A client whose network changed refreshes, and carries on, I-25."""
    body = api.log_in(user)
    away = {"REMOTE_ADDR": TRAIN}
    refused = api.get("/api/profile/", **away, **bearer(body["access"]))
    answer = api.send("/auth/refresh/", {"refresh": body["refresh"]}, **away).json()

    response = api.get("/api/profile/", **away, **bearer(answer["access"]))

    assert refusal(refused) == (401, "refresh_required")
    assert response.status_code == 200


def test_drf_needs_the_middleware(api, settings):
    """Without the middleware the authenticator says so, instead of trusting anybody."""
    ours = "rotating_sessions.middleware.RotatingSessionMiddleware"
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if name != ours]

    with pytest.raises(ImproperlyConfigured, match="RotatingSessionMiddleware"):
        api.get("/api/profile/")


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("transport", ["header", "cookie"])
@pytest.mark.parametrize("path", ["/broken/", "/hooks/broken/"])
def test_error_report_holds_no_token(  # noqa: PLR0917
    api, user, settings, caplog, debug, transport, path
):
    """Neither the error page nor the mail to the admins has a token, I-21 (LG-01)."""
    settings.DEBUG = debug
    settings.ROTATING_SESSIONS = {"EXEMPT_PATHS": ["/hooks/"]}
    body = api.log_in(user, transport)
    tokens = [body.get("access"), body.get("refresh")]
    if transport == "cookie":
        tokens = [api.cookies[ACCESS].value, api.cookies[REFRESH].value]
    credentials = bearer(body["access"]) if transport == "header" else {}
    api.raise_request_exception = False

    response = api.get(path, **credentials)

    assert response.status_code == 500
    assert not [token for token in tokens if token in response.content.decode()]
    assert not [token for token in tokens if token in error_reports(caplog)]


@pytest.mark.parametrize("statement", ["SELECT", "UPDATE", "INSERT"])
def test_error_report_of_a_refresh_holds_no_token(api, user, caplog, statement):
    """A refresh that meets a fault of ours mails no token, I-21 (LG-01)."""
    refresh = api.log_in(user)["refresh"]
    api.raise_request_exception = False

    with database_down(f"{statement} ", error=ProgrammingError):
        response = api.send("/auth/refresh/", {"refresh": refresh})

    report = error_reports(caplog)
    assert response.status_code == 500
    assert refresh not in report
    # A successor that was minted and not stored would be believed: a lost commit.
    assert not re.findall("rsrt_[A-Za-z0-9_-]{120}", report)
