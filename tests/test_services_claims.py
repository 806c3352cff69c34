"""When the site is asked for its claims, and what becomes of an answer that is none."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks
from django.db import OperationalError

from rotating_sessions.models import SessionFamily
from rotating_sessions.services import reauthenticate_session
from tests import claiming
from tests.acting import W, claims_of, client_at, counted, log_in, present
from tests.browsing import TRAIN, Api, bearer, database_down, refusal, rows
from tests.factories import PASSWORD
from tests.test_checks import ids

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def asked(settings: Any) -> None:
    settings.ROTATING_SESSIONS = {"CLAIMS": claiming.SETTING}


def promote(user: Any, roles: str) -> None:
    type(user).objects.filter(pk=user.pk).update(first_name=roles)


def test_a_login_computes_the_claims(rf, user):
    """The first access token says what the function said; the session is counted."""
    promote(user, "editor author")

    claims = claims_of(log_in(rf, user)).claims

    assert claims == {
        "roles": ("editor", "author"),
        "email_verified": False,
        "sessions": 1,
    }


def test_a_refresh_computes_them_anew(first, user):
    """A full answer says what is so now, and the token before it what was so then."""
    promote(user, "editor")

    pair = present(first)

    assert pair.refresh
    assert claims_of(first).claims["roles"] == ()
    assert claims_of(pair).claims["roles"] == ("editor",)


def test_an_access_only_answer_computes_them_anew(first, user, clock):
    """Where a refresh writes nothing, too, its access token says what is so now."""
    successor = present(first)
    clock.forward(W / 4)
    promote(user, "editor")

    claims = claims_of(present(first)).claims

    assert claims["roles"] == ("editor",)
    assert claims_of(successor).claims["roles"] == ()


def test_a_confirmed_password_computes_them_anew(api, user):
    """The access token of a confirmed password says what is so now."""
    access = api.log_in(user)["access"]
    promote(user, "editor")

    pair = reauthenticate_session(
        api.get("/plain/", **bearer(access)).wsgi_request, user
    )

    assert claims_of(pair).claims["roles"] == ("editor",)


@pytest.mark.parametrize("function", ["broken", "reserved"])
def test_a_function_that_fails_costs_no_session(api, user, clock, settings, function):
    """I-6: What the site's function breaks is a 500, and the token still serves."""
    api.raise_request_exception = False
    tokens = api.log_in(user)
    clock.forward(W)
    before = rows()
    settings.ROTATING_SESSIONS = {"CLAIMS": f"{claiming.__name__}.{function}"}

    failed = api.send("/auth/refresh/", {"refresh": tokens["refresh"]})
    after = rows()
    settings.ROTATING_SESSIONS = {}
    refreshed = api.send("/auth/refresh/", {"refresh": tokens["refresh"]})

    assert (failed.status_code, failed.cookies) == (500, {})
    assert after == before
    assert refreshed.json().keys() == {"access", "refresh", "expires_in"}


def test_a_function_that_fails_confirms_nothing(first, settings):
    """I-6: An answer of access only that breaks has written nothing either."""
    second = present(first)
    before = rows()
    settings.ROTATING_SESSIONS = {"CLAIMS": f"{claiming.__name__}.broken"}

    for held in (first, second):
        with pytest.raises(ZeroDivisionError):
            present(held, client_at(TRAIN))

    assert rows() == before


def test_a_function_that_fails_begins_no_session(api, user, settings):
    """I-5: A login whose claims cannot be computed leaves no session behind."""
    api.raise_request_exception = False
    settings.ROTATING_SESSIONS = {"CLAIMS": f"{claiming.__name__}.broken"}
    body = {"username": user.username, "password": PASSWORD}

    response = api.send("/auth/login/", body)

    assert response.status_code == 500
    assert not SessionFamily.objects.exists()


def test_a_database_that_fails_the_function_is_unavailable(api, user, clock):
    """I-6: A query of the function that fails is 503, as any other of a refresh."""
    tokens = api.log_in(user)
    clock.forward(W)

    with database_down(only="COUNT(", error=OperationalError):
        failed = api.send("/auth/refresh/", {"refresh": tokens["refresh"]})

    assert refusal(failed) == (503, "unavailable")
    assert api.send("/auth/refresh/", {"refresh": tokens["refresh"]}).json()["refresh"]


def test_a_view_reads_them_without_a_query(user):
    """I-19: A warm request that looks at its claims asks no database."""
    promote(user, "editor")
    api = Api()
    access = api.log_in(user)["access"]
    api.get("/plain/", **bearer(access))

    with counted() as verbs:
        family = api.get("/plain/", **bearer(access)).wsgi_request.session_family

    assert not verbs
    assert family.claims["roles"] == ("editor",)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, []),
        (claiming.SETTING, []),
        ("tests.claiming.missing", ["E037"]),
        ("no.such.module", ["E037"]),
        ("nodots", ["E037"]),
        ("", ["E037"]),
        ("tests.claiming.SETTING", ["E037"]),
        ("tests.claiming.late", ["E037"]),
        (claiming.claims, ["E002"]),
    ],
)
def test_a_function_that_cannot_be_called_is_told(settings, value, found):
    """DP-05: CLAIMS names a function that can be imported, and is not asynchronous."""
    settings.ROTATING_SESSIONS = {"CLAIMS": value}

    messages = run_checks(tags=["security"])

    assert ids(messages) == found
