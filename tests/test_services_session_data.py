"""Session data: what the site keeps with a session, and changes that are never lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from rotating_sessions.exceptions import NotAuthenticated, SessionEnded, Unavailable
from rotating_sessions.models import SessionFamily
from rotating_sessions.services import (
    change_session_data,
    read_session_data,
    start_session,
)
from rotating_sessions.services.session_data import MAX_SESSION_DATA
from tests.acting import W, claims_of, columns, counted, log_in, present, reads, writes
from tests.browsing import FIREFOX, HOME, bearer, database_down
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db(transaction=True)

DEEPEST: Any = "end"
for _ in range(15):
    DEEPEST = [DEEPEST]


@pytest.fixture
def ask(rf: Any, first: Any) -> Any:
    """Return a new request of the session, at each call."""

    def request() -> Any:
        found = rf.get("/")
        found.session_family = claims_of(first)
        return found

    return request


def stored() -> Any:
    return SessionFamily.objects.get().data


def test_a_session_begins_without_data(ask):
    """Nothing is kept with a session that nobody has asked to keep something with."""
    assert read_session_data(ask()) == {}
    assert stored() is None


def test_what_is_kept_is_there_at_the_next_request(ask):
    """What one request keeps, every later one of the session reads, of any kind."""
    data = {"basket": [{"sku": "a", "n": 2}], "tour": True, "x": 0.5, "name": "Ada ☕"}

    kept = change_session_data(ask(), data)

    assert kept == data == read_session_data(ask()) == stored()


@pytest.mark.parametrize(
    ("before", "patch", "after"),
    [
        # RFC 7396, appendix A, as far as it is about objects.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"a": "foo"}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": 1}, {}, {"a": 1}),
        ({}, {"gone": None}, {}),
    ],
)
def test_a_patch_is_merged(ask, before, patch, after):
    """RFC 7396: What a patch names is replaced, objects are merged, None removes."""
    change_session_data(ask(), before)

    assert change_session_data(ask(), patch) == after
    assert (stored() or {}) == after


def test_a_patch_may_depend_on_what_there_is(ask):
    """A function gets the data as it is, and changes it by what it returns alone."""

    def count(data: Any) -> Any:
        visits = data.get("visits", 0)
        data["stray"] = True
        return {"visits": visits + 1}

    for _ in range(3):
        data = change_session_data(ask(), count)

    assert data == {"visits": 3}


def test_what_was_read_is_the_callers_own(ask):
    """A request that changes what it has read changes nothing that others read."""
    request = ask()
    change_session_data(request, {"list": [1]})
    read_session_data(request)["list"].append(2)

    assert read_session_data(request) == {"list": [1]} == stored()


def test_no_change_of_two_at_once_is_lost(rf, first):
    """I-2: Eight requests that change the same object at once all leave their mark."""
    claims, line = claims_of(first), Barrier(8)

    def work(number: int) -> None:
        request = rf.get("/")
        request.session_family = claims
        try:
            line.wait(10)
            change_session_data(request, {"marks": {str(number): True}})
            change_session_data(request, lambda data: {"n": data.get("n", 0) + 1})
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))

    assert stored() == {"marks": {str(n): True for n in range(8)}, "n": 8}


def test_a_refresh_leaves_the_data_alone(ask, first, clock):
    """A rotation, and an answer of access only, keep what the site keeps."""
    change_session_data(ask(), {"a": 1})

    present(first)
    clock.forward(W / 2)
    present(first)

    assert read_session_data(ask()) == {"a": 1}


def test_each_session_has_its_own(rf, ask, first):
    """The data of one session is no other's, not even of the same user."""
    change_session_data(ask(), {"a": 1})
    user = SessionFamily.objects.get().user
    other = rf.get("/")
    other.session_family = claims_of(log_in(rf, user))

    assert read_session_data(other) == {}
    assert change_session_data(other, {"a": 2}) == {"a": 2}
    assert read_session_data(ask()) == {"a": 1}


def test_a_login_may_bring_data(rf, user):
    """What an anonymous visitor had gathered goes with the login into its session."""
    request = rf.post("/login/", REMOTE_ADDR=HOME, HTTP_USER_AGENT=FIREFOX)

    pair = start_session(request, user, transport="header", data={"basket": ["a"]})

    request.session_family = claims_of(pair)
    assert read_session_data(request) == {"basket": ["a"]}
    assert columns(pair)["data"] == {"basket": ["a"]}


@pytest.mark.parametrize("data", [{"x": "y" * 5000}, {"x": {1, 2}}, ["x"]])
def test_a_login_with_data_that_cannot_be_kept_begins_nothing(rf, user, data):
    """A login is refused its data before there is a session."""
    request = rf.post("/login/", REMOTE_ADDR=HOME)

    with pytest.raises(ValueError, match="Session data"):
        start_session(request, user, data=data)

    assert not SessionFamily.objects.exists()


# What can be kept.


@pytest.mark.parametrize(("length", "taken"), [(4096, True), (4097, False)])
@pytest.mark.parametrize("letter", ["y", "é"])
def test_session_data_has_four_kilobytes(ask, length, taken, letter):
    """All that is kept with a session has at most 4,096 bytes as JSON."""
    count, odd = divmod(length - len('{"x":""}'), len(letter.encode()))
    data = {"x": letter * count + "z" * odd}

    assert MAX_SESSION_DATA == 4096
    if taken:
        assert change_session_data(ask(), data) == data == stored()
    else:
        with pytest.raises(ValueError, match="4096 bytes"):
            change_session_data(ask(), data)
        assert stored() is None


def test_data_may_be_nested(ask):
    """Sixteen levels are kept by every database."""
    assert change_session_data(ask(), {"x": DEEPEST}) == {"x": DEEPEST} == stored()


@pytest.mark.parametrize(
    "patch",
    [
        {"x": [DEEPEST]},
        {"x": float("nan")},
        {"x": float("inf")},
        {"x": b"bytes"},
        {"x": {"a"}},
        {"x": ("a",)},
        {"x": timezone.now()},
        {1: "x"},
        {"x": {None: "y"}},
        {"x": "a\0b"},
        {"a\0b": "x"},
        {"x": "\ud800"},
        ["x"],
        None,
        lambda _data: ["x"],
        lambda _data: None,
    ],
)
def test_what_not_every_database_can_keep_is_refused(ask, patch):
    """What is no JSON, or none that all databases take, is an error and not kept."""
    change_session_data(ask(), {"kept": 1})

    with pytest.raises(ValueError):  # noqa: PT011 - each has words of its own
        change_session_data(ask(), patch)

    assert stored() == {"kept": 1}


# What it costs, and when there is none.


def test_reading_costs_the_query_of_the_user(api, user):
    """Who has read `request.user` reads the data without another query."""
    access = api.log_in(user)["access"]
    api.get("/plain/", **bearer(access))
    request = api.get("/plain/", **bearer(access)).wsgi_request

    with counted() as verbs:
        name = request.user.get_username()
        data = read_session_data(request)

    assert (name, data) == (user.username, {})
    assert (reads(verbs), writes(verbs)) == (1, 0)


def test_changing_costs_two_reads_and_a_write(ask):
    """The row is locked, then read with its user, then written."""
    with counted() as verbs:
        change_session_data(ask(), {"a": 1})

    assert (reads(verbs), writes(verbs)) == (2, 1)


def test_a_number_is_no_boolean(ask):
    """What Python takes for equal is not the same in JSON, and is changed."""
    change_session_data(ask(), {"a": 1, "b": 1})

    change_session_data(ask(), {"a": True, "b": 1.5})

    assert (stored()["a"] is True, stored()["b"]) == (True, 1.5)


def test_the_request_that_changes_reads_its_change(api, user):
    """After a change the same request reads the new data with no query."""
    access = api.log_in(user)["access"]
    request = api.get("/plain/", **bearer(access)).wsgi_request
    read_session_data(request)
    change_session_data(request, {"a": 1})

    with counted() as verbs:
        data = read_session_data(request)

    assert data == {"a": 1}
    assert verbs.total() == 0


def test_what_is_given_to_nobody(ask, api):
    """No token, and no page of ours, says what the site keeps with a session."""
    change_session_data(ask(), {"secret of the site": "9183"})
    user = UserFactory.create(is_staff=True, is_superuser=True)
    api.force_login(user)
    pk = SessionFamily.objects.get().pk
    admin = "/admin/rotating_sessions/sessionfamily/"

    pages = [api.get(admin), api.get(f"{admin}{pk}/change/")]

    assert {page.status_code for page in pages} == {200}
    assert not any(b"9183" in page.content for page in pages)
    assert api.get(f"{admin}?data__contains=9183").status_code in {302, 400}


def test_without_a_session_there_is_no_data(rf):
    """Who is not logged in, or by Django's own session, has no data of ours."""
    request = rf.get("/")
    request.session_family = None

    for work in (read_session_data, lambda each: change_session_data(each, {})):
        with pytest.raises(NotAuthenticated):
            work(request)


@pytest.mark.parametrize("state", ["revoked", "gone", "inactive"])
def test_an_ended_session_keeps_nothing_any_more(ask, state):
    """I-1: What is over, by its row, is neither read nor changed."""
    families = SessionFamily.objects
    user = families.get().user
    {
        "revoked": lambda: families.update(revoked_at=timezone.now()),
        "gone": families.all().delete,
        "inactive": lambda: type(user).objects.update(is_active=False),
    }[state]()

    for work in (read_session_data, lambda each: change_session_data(each, {"a": 1})):
        with pytest.raises(SessionEnded):
            work(ask())

    assert [family.data for family in families.all()] in ([None], [])


def test_a_session_that_ends_meanwhile_keeps_nothing(ask):
    """I-2: Where the row cannot be locked, a revocation in between is noticed."""

    def end(data: Any) -> Any:
        SessionFamily.objects.update(revoked_at=timezone.now())
        return {"a": 1}

    with pytest.raises(SessionEnded):
        change_session_data(ask(), end)

    assert stored() is None


def test_a_change_is_undone_with_the_callers_transaction(ask):
    """I-26: Inside a transaction of the site's, a change is a part of it."""
    change_session_data(ask(), {"a": 1})

    with transaction.atomic():
        change_session_data(ask(), {"a": 2})
        transaction.set_rollback(True)

    assert stored() == {"a": 1}


def test_a_database_that_fails_is_unavailable(ask):
    """I-6: Neither reading nor changing takes a failure for an ended session."""
    for work in (read_session_data, lambda each: change_session_data(each, {"a": 1})):
        with database_down("rotating_sessions"), pytest.raises(Unavailable):
            work(ask())

    assert stored() is None
