"""`sessions/`: what a user sees of the own sessions, and ends."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from rotating_sessions.models import RevokedReason, SessionFamily
from tests.browsing import (
    HOME,
    Api,
    bearer,
    clears_cookies,
    count,
    database_down,
    refusal,
    touches_cookies,
)
from tests.factories import SessionFamilyFactory, UserFactory

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/auth/sessions/"


@pytest.fixture
def session(api, user):
    """Return the family that `api` speaks for, and what it has to send along."""
    credentials = bearer(api.log_in(user)["access"])
    api.get("/plain/", **credentials)
    return SessionFamily.objects.get(), credentials


def test_session_is_shown_with_these_fields_and_no_other(api, user, session, settings):
    """A session shows device, network, times and whether it asks (AD-06)."""
    settings.TIME_ZONE = "UTC"
    family, credentials = session
    other = SessionFamilyFactory.create(user=user, ip_address=None)
    SessionFamily.objects.filter(pk=family.pk).update(
        created_at=datetime(2035, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
    )
    SessionFamily.objects.filter(pk=other.pk).update(
        created_at=datetime(2034, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        rotated_at=datetime(2034, 6, 7, 8, 59, 59, 999999, tzinfo=UTC),
    )

    response = api.get(URL, **credentials)

    # Random, so that no id leads to another.
    assert family.pk.version == other.pk.version == 4
    assert response.json() == {
        "next": None,
        "previous": None,
        "results": [
            {
                "id": str(family.pk),
                "device": "Firefox on Linux",
                "network": HOME,
                "created_at": "2035-05-06T07:08:09.123456Z",
                "last_active": "2035-05-06T07:00:00Z",
                "current": True,
            },
            {
                "id": str(other.pk),
                "device": "Firefox on Linux",
                "network": None,
                "created_at": "2034-01-02T03:04:05.678901Z",
                "last_active": "2034-06-07T08:00:00Z",
                "current": False,
            },
        ],
    }


def test_list_takes_one_query_beside_that_of_the_user(api, session):
    """However many sessions there are, one query reads them, and one the user."""
    family, credentials = session
    SessionFamilyFactory.create_batch(9, user=family.user)

    with CaptureQueriesContext(connection) as queries:
        response = api.get(URL, **credentials)

    assert count(queries) == (2, 0)
    assert len(response.json()["results"]) == 10
    assert response["Cache-Control"] == "no-store"
    assert response["X-Content-Type-Options"] == "nosniff"


def test_list_holds_own_live_sessions_only(api, session):
    """Sessions that are over, or another user's, are not shown (RV-03)."""
    family, credentials = session
    past = timezone.now() - timedelta(hours=3)
    SessionFamilyFactory.create()
    SessionFamilyFactory.create(user=family.user, revoked_at=past)
    SessionFamilyFactory.create(user=family.user, idle_at=past)
    SessionFamilyFactory.create(user=family.user, expires_at=past)

    response = api.get(URL, **credentials)

    assert [row["id"] for row in response.json()["results"]] == [str(family.pk)]


def test_list_is_paged_by_cursor(api, session):
    """Pages of fifty show each session once, the newest first, while sessions come."""
    family, credentials = session
    SessionFamilyFactory.create_batch(119, user=family.user)
    pages = [api.get(URL, **credentials).json()]
    SessionFamilyFactory.create(user=family.user, created_at=timezone.now())

    while pages[-1]["next"]:
        pages.append(api.get(pages[-1]["next"], **credentials).json())

    sizes = [len(page["results"]) for page in pages]
    shown = [UUID(row["id"]) for page in pages for row in page["results"]]
    newest_first = SessionFamily.objects.order_by("-created_at", "-id")
    assert sizes == [50, 50, 20]
    assert shown[1:] == list(newest_first.values_list("pk", flat=True))[2:]
    back = api.get(pages[-1]["previous"], **credentials).json()
    assert back["results"] == pages[1]["results"]


BAD_POSITIONS = ["soon", "\x00", "9" * 50, "0001-01-01T00:00:00+14:00", "2030-01-01"]


@pytest.mark.parametrize(
    "cursor",
    [
        pytest.param("abc", id="no base64"),
        pytest.param("%00", id="NUL"),
        *(b64encode(f"p={quote(text)}".encode()).decode() for text in BAD_POSITIONS),
        b64encode(b"p=%ff").decode(),
        b64encode(b"o=-5").decode(),
    ],
)
def test_cursor_that_is_not_ours_is_refused(api, session, cursor):
    """A cursor made up by the client is answered 4xx with a code, and never 500."""
    _family, credentials = session

    response = api.get(URL, {"cursor": cursor}, **credentials)

    assert refusal(response) == (404, "not_found")
    assert response["Cache-Control"] == "no-store"


def test_far_offset_is_no_error(api, session):
    """An offset beyond all sessions leads to an empty page, not to a long search."""
    _family, credentials = session
    cursor = b64encode(b"o=99999999999999999999").decode()

    response = api.get(URL, {"cursor": cursor}, **credentials)

    assert response.json()["results"] == []


@pytest.mark.parametrize("method", ["get", "delete"])
def test_sessions_are_for_whoever_has_one(api, method):
    """Without a token the sessions are answered 401 with a challenge (HC-04)."""
    path = URL if method == "get" else f"{URL}{uuid4()}/"

    response = getattr(api, method)(path)

    assert refusal(response) == (401, "not_authenticated")
    assert response["WWW-Authenticate"] == "Bearer"
    assert response["Cache-Control"] == "no-store"


def test_another_session_is_ended(api, user, session):
    """A user ends another of the own sessions; the one that asks goes on."""
    _family, credentials = session
    access = Api().log_in(user)["access"]
    other = SessionFamily.objects.order_by("-created_at").first()

    response = api.delete(f"{URL}{other.pk}/", **credentials)

    assert (response.status_code, response.content) == (204, b"")
    assert response["Cache-Control"] == "no-store"
    other.refresh_from_db()
    assert other.revoked_reason == RevokedReason.ENDED_BY_USER
    assert refusal(api.get("/plain/", **bearer(access))) == (401, "session_ended")
    assert api.get("/plain/", **credentials).status_code == 200


@pytest.mark.parametrize("own", [True, False])
def test_ending_the_session_that_asks_clears_its_cookies(api, user, own):
    """Cookies go with the session they are of, and with no other."""
    api.log_in(user, "cookie")
    family = SessionFamily.objects.get()
    ended = family if own else SessionFamilyFactory.create(user=user)
    extra = {"HTTP_X_CSRFTOKEN": api.cookies["csrftoken"].value}

    response = api.delete(f"{URL}{ended.pk}/", **extra)

    assert response.status_code == 204
    assert clears_cookies(response) is own
    assert touches_cookies(response) is own


def test_session_that_is_not_the_users_is_not_found(api, user, session):
    """Foreign, unknown, ended and malformed ids are all answered 404 (RV-03)."""
    _family, credentials = session
    foreign = SessionFamilyFactory.create(user=UserFactory.create())
    ended = SessionFamilyFactory.create(user=user, revoked_at=timezone.now())
    ids = [foreign.pk, uuid4(), ended.pk, "abc", "1", "%00", "0" * 300, "é"]

    responses = [api.delete(f"{URL}{key}/", **credentials) for key in ids]

    assert {refusal(response) for response in responses} == {(404, "not_found")}
    assert len({response.content for response in responses}) == 1
    assert len({str(response.headers) for response in responses}) == 1
    foreign.refresh_from_db()
    assert foreign.revoked_at is None


@pytest.mark.parametrize(
    "spell",
    [str.upper, lambda key: key.replace("-", ""), "{{{}}}".format],
    ids=["in capitals", "without hyphens", "in braces"],
)
def test_id_is_a_number_in_whichever_spelling(api, user, session, spell):
    """A session is found by the bits of its id, and so is no other (DB-08)."""
    _family, credentials = session
    chosen = SessionFamilyFactory.create(user=user)
    SessionFamilyFactory.create(user=user, pk=UUID(int=chosen.pk.int ^ 1))

    response = api.delete(f"{URL}{spell(str(chosen.pk))}/", **credentials)

    ended = SessionFamily.objects.exclude(revoked_at=None)
    assert response.status_code == 204
    assert [family.pk for family in ended] == [chosen.pk]


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param({}, id="no token"),
        pytest.param({"HTTP_SEC_FETCH_SITE": "cross-site"}, id="cross-site"),
    ],
)
def test_session_is_not_ended_from_another_site(api, user, extra):
    """In cookie transport ending a session needs a CSRF token (CS-01)."""
    api.log_in(user, "cookie")
    family = SessionFamily.objects.get()

    response = api.delete(f"{URL}{family.pk}/", **extra)

    assert refusal(response) == (403, "csrf_failed")
    assert not touches_cookies(response)
    family.refresh_from_db()
    assert family.revoked_at is None


@pytest.mark.parametrize("statement", ["", "rotating_sessions_sessionfamily"])
@pytest.mark.parametrize("method", ["get", "delete"])
def test_sessions_without_a_database_are_unavailable(api, session, method, statement):
    """A database that fails is 503, and the token serves afterwards (RT-12)."""
    family, credentials = session
    path = URL if method == "get" else f"{URL}{family.pk}/"

    with database_down(statement):
        response = getattr(api, method)(path, **credentials)

    assert refusal(response) == (503, "unavailable")
    assert response["Retry-After"] == "1"
    assert response["Cache-Control"] == "no-store"
    assert getattr(api, method)(path, **credentials).status_code in {200, 204}


def test_list_that_fails_after_the_user_is_unavailable(api, session):
    """A database that goes away between two queries is answered 503 as well."""
    _family, credentials = session

    with database_down("ORDER BY"):
        response = api.get(URL, **credentials)

    assert refusal(response) == (503, "unavailable")
    assert response["Retry-After"] == "1"
