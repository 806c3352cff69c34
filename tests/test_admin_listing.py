"""The list of sessions stays quick: few queries, and none that reads all of them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.templatetags.admin_list import date_hierarchy
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from rotating_sessions.admin import listing
from rotating_sessions.models import RevokedReason
from tests.factories import SessionFamilyFactory
from tests.staffing import LIST, REVOKE, VIEW, shown, staff

pytestmark = pytest.mark.django_db(transaction=True)


def ask(params: dict[str, Any] | None = None) -> tuple[Any, list[str]]:
    """Return the list, and its queries: those for who is asking are Django's own."""
    browser = staff(VIEW, REVOKE)
    with CaptureQueriesContext(connection) as queries:
        response = browser.get(LIST, params)
    own = [
        query["sql"]
        for query in queries.captured_queries
        if query["sql"].startswith("SELECT")
        and not re.search(r"(django_session|auth_permission)\b", query["sql"])
    ]
    return response, own[1:]


@pytest.mark.parametrize(
    ("params", "most"),
    [
        ({}, 3),
        ({"state": "live"}, 3),
        ({"state": "expired", "revoked_reason__exact": "reused"}, 3),
        ({"q": "user"}, 4),
        ({"created_at__year": "2026"}, 3),
        ({"created_at__year": "2026", "created_at__month": "3"}, 3),
    ],
)
def test_list_takes_few_queries(params, most):
    """
    The list takes three queries and a search one more, however many sessions it has.

    They count up to a limit, read the page with its users, and ask for the first and
    the last session. Those that read who asks, and what they may, come before.
    """
    SessionFamilyFactory.create_batch(9)

    response, queries = ask(params)

    assert response.status_code == 200
    assert len(queries) <= most


@pytest.mark.parametrize(
    "params",
    [{}, {"state": "idle"}, {"revoked_reason__exact": "reused"}, {"q": "user"}],
)
def test_no_query_of_the_list_is_without_bound(monkeypatch, params):
    """Each query of the list ends after so many rows, or asks an index for one."""
    monkeypatch.setattr("django.contrib.admin.ModelAdmin.list_per_page", 1)
    idle = {"idle_at": timezone.now(), "revoked_reason": "reused"}
    SessionFamilyFactory.create_batch(2, **idle)

    _, queries = ask(params)

    assert queries
    for sql in queries:
        bounded = "LIMIT" in sql
        first_and_last = re.match(
            r"SELECT MIN\(\S+\) AS \S+, MAX\(\S+\) AS \S+ FROM", sql
        )
        assert bounded or (first_and_last and "WHERE" not in sql)
        assert "DISTINCT" not in sql


@pytest.mark.parametrize(("rows", "more"), [(4, False), (5, True)])
def test_list_ends_at_a_limit_and_says_so(monkeypatch, rows, more):
    """Beyond the limit nothing is counted or listed, and the page says so."""
    monkeypatch.setattr(listing, "MAX_COUNT", 4)
    monkeypatch.setattr("django.contrib.admin.ModelAdmin.list_per_page", 2)
    SessionFamilyFactory.create_batch(rows)

    response, _ = ask({"p": "2"})
    beyond, _ = ask({"p": "3"})

    html = response.content.decode()
    assert "4 sessions" in html
    assert ("There are more sessions than are listed" in html) is more
    assert len(shown(response)) == 2
    assert beyond.status_code == 302


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("live", {"live"}),
        ("revoked", {"revoked", "revoked and old"}),
        ("idle", {"idle", "idle, then old"}),
        ("expired", {"old", "old, then idle", "at once"}),
        ("nonsense", None),
        ("", None),
    ],
)
def test_sessions_are_filtered_by_state(clock, state, expected):
    """Each session is in one state, at both edges, and found by it as it is shown."""
    now = timezone.now()
    hour, tick = timedelta(hours=1), timedelta(microseconds=1)
    fields = {
        "live": {"idle_at": now + tick, "expires_at": now + 2 * tick},
        "revoked": {"revoked_at": now - hour},
        "revoked and old": {"revoked_at": now - 2 * hour, "expires_at": now - hour},
        "idle": {"idle_at": now},
        "idle, then old": {"idle_at": now - 2 * hour, "expires_at": now - hour},
        "old": {"expires_at": now},
        "old, then idle": {"idle_at": now - hour, "expires_at": now - 2 * hour},
        "at once": {"idle_at": now - hour, "expires_at": now - hour},
    }
    families = {
        name: SessionFamilyFactory.create(**values) for name, values in fields.items()
    }

    response, _ = ask({"state": state} if state else {})

    names = families if expected is None else expected
    assert shown(response) == {families[name].pk for name in names}
    labels = set(re.findall(r"</span>&nbsp;(\w+)", response.content.decode()))
    assert len(labels) == (1 if expected else 4)
    assert {state.title()} == labels or expected is None


def test_sessions_are_filtered_by_reason():
    """The thefts are one click away."""
    stolen = SessionFamilyFactory.create(
        revoked_at=timezone.now(), revoked_reason=RevokedReason.REUSED
    )
    SessionFamilyFactory.create()

    response, _ = ask({"revoked_reason__exact": "reused"})

    assert shown(response) == {stolen.pk}


@pytest.mark.parametrize(
    "term",
    ["morg", "morgaine", "the user's id", "the session's id", "203.0.113.77", " morg "],
)
def test_sessions_are_searched(term):
    """A session is found by the beginning of its user's name, an id or an address."""
    family = SessionFamilyFactory.create(
        user__username="morgaine", ip_address="203.0.113.77"
    )
    SessionFamilyFactory.create(user__username="elaine", user_pk="no such id")
    ids = {"the user's id": family.user_pk, "the session's id": str(family.pk)}

    response, _ = ask({"q": ids.get(term, term)})

    assert shown(response) == {family.pk}


@pytest.mark.parametrize("term", ["orgaine", "nobody", "203.0.113.78", "-1", "2e5"])
def test_what_is_not_there_is_not_found(term):
    """A search for something else finds nothing."""
    SessionFamilyFactory.create(user__username="morgaine")

    response, _ = ask({"q": term})

    assert shown(response) == set()


def test_sessions_of_a_deleted_user_are_found_by_the_id():
    """Who knows the id of a deleted user finds what is left of their sessions."""
    family = SessionFamilyFactory.create()
    SessionFamilyFactory.create(user=None, user_pk="another", auth_hash="")
    family.user.delete()

    response, _ = ask({"q": family.user_pk})

    assert shown(response) == {family.pk}


@pytest.mark.parametrize(
    ("params", "choices"),
    [
        ({}, ["2024", "2025", "2026"]),
        ({"created_at__month": "2"}, ["2024", "2025", "2026"]),
        ({"created_at__year": "2024"}, ["November 2024", "December 2024"]),
        ({"created_at__year": "2026"}, ["January 2026", "February 2026"]),
        (
            {"created_at__year": "2026", "created_at__month": "2"},
            ["February 1", "February 2", "February 3"],
        ),
        (
            {
                "created_at__year": "2026",
                "created_at__month": "2",
                "created_at__day": "3",
            },
            ["February 3"],
        ),
    ],
)
def test_dates_lead_from_the_first_session_to_the_last(settings, params, choices):
    """The dates go from the first session to the last, as years, months or days."""
    settings.TIME_ZONE = "Asia/Tokyo"
    # In Tokyo it is the third of February by then.
    for at in ((2024, 11, 30, 12), (2026, 2, 2, 15)):
        SessionFamilyFactory.create(created_at=datetime(*at, tzinfo=UTC))

    response, _ = ask(params)

    dates = date_hierarchy(response.context["cl"])
    assert [choice["title"] for choice in dates["choices"]] == choices


def test_dates_of_one_year_are_months_at_once():
    """Where all sessions are of one year the list offers its months, or its days."""
    for day in (3, 5):
        SessionFamilyFactory.create(created_at=datetime(2026, 2, day, 12, tzinfo=UTC))

    response, _ = ask()

    html = response.content.decode()
    assert "February 3" in html
    assert "February 4" in html
    assert "February 6" not in html


def test_list_without_sessions_has_no_dates():
    """An empty list is a page, too."""
    response, queries = ask()

    assert response.status_code == 200
    assert "0 sessions" in response.content.decode()
    assert len(queries) <= 3


def test_no_column_can_be_clicked_to_sort_by_it():
    """TH-09: Columns without an index sort nothing, and none that is shown has one."""
    SessionFamilyFactory.create()

    response, queries = ask()

    assert "sortable" not in response.content.decode()
    assert any(re.search(r"ORDER BY \S*created_at\S* DESC", sql) for sql in queries)
