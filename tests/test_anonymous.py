"""Anonymous sessions: nobody's, until a login takes over what the site kept in one."""

from __future__ import annotations

import json
import re
import sys
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import AnonymousUser, User
from django.db import connection, transaction
from django.test import Client as DjangoClient
from django.utils import timezone

from rotating_sessions import revocations
from rotating_sessions.exceptions import (
    InvalidToken,
    NotAuthenticated,
    RefreshTokenReused,
    SessionEnded,
    SessionHandedOn,
)
from rotating_sessions.models import RefreshToken, RevokedReason, SessionFamily
from rotating_sessions.services import (
    change_session_data,
    keep_session_after_password_change,
    keep_session_as_django,
    purge_sessions,
    read_session_data,
    reauthenticate_session,
    reauthenticate_with_password,
    refresh_session,
    revoke_all_sessions,
    start_anonymous_session,
    start_session,
    survey_sessions,
)
from rotating_sessions.services.session_data import MAX_SESSION_DATA
from rotating_sessions.signals import session_revoked, session_started
from rotating_sessions.transports import TokenPair
from tests.acting import (
    MOMENT,
    W,
    claims_of,
    client_at,
    columns,
    counted,
    heard,
    log_in,
    present,
    reads,
    rows_of,
    use,
    writes,
)
from tests.browsing import (
    ACCESS,
    FIREFOX,
    HOME,
    REFRESH,
    TRAIN,
    bearer,
    clears_cookies,
    refusal,
    touches_cookies,
)
from tests.claiming import SETTING
from tests.factories import PASSWORD, SessionFamilyFactory, UserFactory

pytestmark = pytest.mark.django_db(transaction=True)

BASKET = {"basket": {"tea": 2}}


def visit(rf: Any, transport: str = "header", **wishes: Any) -> TokenPair:
    """Start an anonymous session, from HOME."""
    request = rf.get("/", REMOTE_ADDR=HOME, HTTP_USER_AGENT=FIREFOX)
    return start_anonymous_session(request, transport=transport, **wishes)


def asking(rf: Any, pair: TokenPair | None) -> Any:
    """Return a request that the middleware has found to be of this session."""
    request = rf.post("/login/", REMOTE_ADDR=HOME, HTTP_USER_AGENT=FIREFOX)
    request.session_family = None if pair is None else claims_of(pair)
    return request


def put_cookies(api: Any, pair: TokenPair) -> None:
    api.cookies[ACCESS], api.cookies[REFRESH] = pair.access, pair.refresh


@pytest.fixture
def visitor(rf: Any, clock: Any) -> TokenPair:
    """Return the pair of a visitor with a basket, who came a moment ago."""
    pair = visit(rf, data=BASKET)
    clock.forward(MOMENT)
    return pair


@pytest.fixture
def browser(api: Any, rf: Any) -> Any:
    """Return a browser with the cookies of an anonymous session, with a basket."""
    put_cookies(api, visit(rf, "cookie", data=BASKET))
    api.get("/auth/login/")
    return api


# It is a session like any other.


def test_an_anonymous_session_is_nobodys(visitor):
    """It has no user, an empty key for one, and a token that names nobody."""
    family = rows_of(visitor).get()

    assert (family.user_id, family.user_pk, family.auth_hash) == (None, "", "")
    assert family.is_anonymous
    assert (claims_of(visitor).user_pk, dict(claims_of(visitor).claims)) == ("", {})
    assert claims_of(visitor).is_anonymous


def test_a_deleted_users_session_is_not_anonymous(rf, user, clock):
    """I-23: What a deleted user leaves keeps the key, and no token of it serves."""
    pair = log_in(rf, user)
    clock.forward(W)
    user.delete()
    # As if the deletion had not ended it.
    rows_of(pair).update(revoked_at=None)

    with pytest.raises(SessionEnded):
        present(pair)

    assert not rows_of(pair).get().is_anonymous
    assert not SessionFamily.objects.anonymous().exists()


def test_a_users_row_that_is_made_anonymous_serves_nobody(rf, user, clock):
    """Who can write to the database makes no anonymous session of a user's."""
    pair = log_in(rf, user)
    rows_of(pair).update(user=None, user_pk="", auth_hash="")
    clock.forward(W)

    with pytest.raises(SessionEnded):
        read_session_data(asking(rf, pair))
    with pytest.raises(InvalidToken):
        present(pair)


def test_an_anonymous_row_that_is_given_a_user_serves_nobody(rf, user, visitor, clock):
    """Who can write to the database makes no login of an anonymous session."""
    rows_of(visitor).update(user=user, user_pk=str(user.pk))
    clock.forward(W)

    with pytest.raises(SessionEnded):
        read_session_data(asking(rf, visitor))
    with pytest.raises(InvalidToken):
        present(visitor)


def test_it_rotates(visitor, clock):
    """I-4, I-9: A refresh makes a new generation, and within W another one does not."""
    use(visitor)
    clock.forward(W)
    pair = present(visitor)
    use(pair)
    clock.forward(MOMENT)
    again = present(visitor)

    assert (claims_of(pair).generation, pair.refresh is None) == (1, False)
    assert (claims_of(again).generation, again.refresh) == (0, None)
    assert claims_of(pair).is_anonymous
    assert columns(visitor)["data"] == BASKET
    assert columns(visitor)["auth_hash"] == ""


def test_its_theft_is_found(visitor, clock):
    """I-8: A superseded token that comes back ends it, as it would end any other."""
    clock.forward(W)
    use(present(visitor))
    clock.forward(W)

    with pytest.raises(RefreshTokenReused):
        present(visitor)

    assert columns(visitor)["revoked_reason"] == RevokedReason.REUSED


def test_a_refresh_costs_what_a_users_does(visitor, clock):
    """I-20: One read, and two writes in one commit."""
    clock.forward(W)

    with counted() as verbs:
        present(visitor)

    assert (reads(verbs), writes(verbs)) == (1, 2)


def test_a_second_pass_needs_no_user(visitor, clock):
    """I-2: Where another request was first, the row is locked and read without one."""
    clock.forward(W)
    line = Barrier(4)

    def work(_number: int) -> TokenPair:
        try:
            line.wait(10)
            return present(visitor)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        pairs = list(pool.map(work, range(4)))

    assert sum(pair.refresh is not None for pair in pairs) == 1


def test_it_is_bound_to_its_network(api, rf):
    """I-24: On another network its access token asks for a refresh."""
    access = visit(rf).access

    assert api.get("/plain/", **bearer(access)).status_code == 200
    elsewhere = api.get("/plain/", REMOTE_ADDR=TRAIN, **bearer(access))

    assert refusal(elsewhere) == (401, "refresh_required")


def test_the_site_says_nothing_of_nobody(settings, rf, visitor, clock):
    """CLAIMS takes a user, and is not asked where there is none."""
    settings.ROTATING_SESSIONS = {"CLAIMS": SETTING}
    clock.forward(W)

    pairs = [visit(rf), present(visitor)]

    assert [dict(claims_of(pair).claims) for pair in pairs] == [{}, {}]


def test_it_may_last_for_less(rf, settings):
    """A lifetime shortens it, and as any session it ends when it sat idle."""
    short = visit(rf, lifetime=timedelta(hours=1))
    settings.ROTATING_SESSIONS = {"IDLE_TIMEOUT": timedelta(minutes=40)}
    idle = visit(rf)

    assert short.refresh_lifetime == timedelta(hours=1)
    assert idle.refresh_lifetime == timedelta(minutes=40)


@pytest.mark.parametrize(
    "wishes",
    [
        {"transport": "pigeon"},
        {"lifetime": timedelta(0)},
        {"data": {"x": "y" * 5000}},
        {"data": ["x"]},
    ],
)
def test_what_cannot_be_is_not_begun(rf, wishes):
    """A transport, lifetime or data that no session can have begin none."""
    with pytest.raises(ValueError):  # noqa: PT011 - each has words of its own
        visit(rf, **{"transport": "header", **wishes})

    assert not SessionFamily.objects.exists()


def test_a_request_with_a_session_begins_no_other(rf, user, visitor):
    """A second session would make the browser forget the first one, and its data."""
    for pair in (visitor, log_in(rf, user)):
        with pytest.raises(ValueError, match="already"):
            start_anonymous_session(asking(rf, pair))

    assert SessionFamily.objects.count() == 2


def test_its_signals_name_nobody(rf, user):
    """What is announced of it has an empty key, and its device is never new."""
    with heard(session_started, session_revoked) as found:
        pair = visit(rf)
        start_session(asking(rf, pair), user)

    key, pk = claims_of(pair).family_id, str(user.pk)
    assert found[0] == {"family_id": key, "user_pk": "", "new_device": False}
    assert {"family_id": key, "user_pk": "", "reason": "logged_in"} in found
    assert [each["user_pk"] for each in found].count(pk) == 1


def test_a_visitors_device_is_new_to_the_user(rf, user):
    """Anonymous sessions, from which others may have come, make no device known."""
    visit(rf)

    with heard(session_started) as found:
        log_in(rf, user)

    assert [each["new_device"] for each in found] == [True]


def test_the_session_limit_does_not_count_visitors(settings, rf, user):
    """Visitors have no limit, and count in nobody's."""
    settings.ROTATING_SESSIONS = {"SESSION_LIMIT": 1}
    for _ in range(3):
        visit(rf)

    log_in(rf, user)
    log_in(rf, user)

    live = SessionFamily.objects.live(timezone.now())
    assert (live.anonymous().count(), live.filter(user=user).count()) == (3, 1)


def test_it_is_purged(rf, clock):
    """Once it has ended for long enough, a purge takes the row and its records."""
    visit(rf)
    clock.forward(timedelta(days=90))

    list(purge_sessions())

    assert (SessionFamily.objects.count(), RefreshToken.objects.count()) == (0, 0)


@pytest.mark.parametrize("pk", [None, "", " "])
def test_nobody_logs_in_with_no_key(rf, pk):
    """A user whose primary key spells nothing would be taken for nobody."""
    user = User(pk=pk, username="nobody")

    with pytest.raises(ValueError, match="primary key"):
        start_session(rf.post("/"), user)

    assert not SessionFamily.objects.exists()


# What a request of it may do.


def test_a_request_has_a_session_and_no_user(api, rf):
    """I-19: `request.user` is anonymous with no query; the data takes one."""
    access = visit(rf, data=BASKET).access
    api.get("/plain/", **bearer(access))
    request = api.get("/plain/", **bearer(access)).wsgi_request

    with counted() as verbs:
        user = request.user
        known = (user.is_authenticated, user.pk, isinstance(user, AnonymousUser))
        async_user = async_to_sync(request.auser)()
    with counted() as data_verbs:
        data = read_session_data(request)

    assert known == (False, None, True)
    assert not async_user.is_authenticated
    assert verbs.total() == 0
    assert data == BASKET
    assert (reads(data_verbs), writes(data_verbs)) == (1, 0)


def test_a_warm_request_costs_nothing(api, rf):
    """I-19: Once it was seen, a request of it does no query."""
    access = visit(rf).access
    api.get("/whoami/", **bearer(access))

    with counted() as verbs:
        response = api.get("/whoami/", **bearer(access))

    assert verbs.total() == 0
    assert response.json()["user"] == ""
    assert response.json()["session"]["generation"] == 0


def test_its_data_is_changed_as_any(rf, visitor):
    """A change is merged, and is there for the next request."""
    change_session_data(asking(rf, visitor), {"basket": {"milk": 1}})

    assert read_session_data(asking(rf, visitor)) == {"basket": {"tea": 2, "milk": 1}}


def test_nobody_is_logged_in_by_it(browser):
    """A view that asks for a login sends its visitor to log in; the cookies stay."""
    page = browser.get("/page/", HTTP_ACCEPT="text/html")
    api = browser.get("/api/profile/")

    assert (page.status_code, page["Location"]) == (302, "/sign-in/?next=/page/")
    assert api.status_code == 401
    assert api.json() == {"detail": "Authentication credentials were not provided."}
    assert not touches_cookies(page)
    assert not touches_cookies(api)


def test_another_way_to_log_in_is_asked(api, rf, user):
    """Beside an anonymous session a view's other authenticators have their say."""
    name = f"{user.username}:{PASSWORD}"
    basic = f"Basic {b64encode(name.encode()).decode()}"
    put_cookies(api, visit(rf, "cookie"))

    # It authenticates, and is no recent login of ours.
    response = api.get("/api/codes/open/", HTTP_AUTHORIZATION=basic)

    assert response.status_code == 401


def test_an_unsafe_request_by_cookie_needs_a_csrf_token(browser):
    """CS-01: Whoever changes a visitor's data has to show that it is the visitor."""
    refused = browser.post("/api/leave/")
    taken = browser.send("/api/leave/")

    assert (refused.status_code, taken.status_code) == (403, 204)


PROTECTED = [
    *("/codes/", "/codes/fresh/", "/codes/async/", "/codes/class/"),
    *("/codes/class-async/", "/codes/method-async/", "/codes/exempt/"),
    *("/verified/", "/edit/", "/edit/async/", "/edit/class/", "/edit/exempt/"),
]


@pytest.mark.parametrize("path", PROTECTED)
def test_what_takes_a_login_refuses_it(api, rf, path):
    """AC-11: Neither a recent login nor a claim is ever a visitor's, to be told 403."""
    access = visit(rf).access

    assert refusal(api.get(path, **bearer(access))) == (401, "not_authenticated")


@pytest.mark.parametrize(
    "path",
    [
        *("/api/profile/", "/api/staff/", "/api/codes/", "/api/codes/open/"),
        *("/api/verified/", "/api/edit/"),
    ],
)
@pytest.mark.parametrize("transport", ["header", "cookie"])
def test_no_permission_of_drf_takes_it(api, rf, path, transport):
    """No view of DRF lets a visitor in who has to be somebody."""
    pair, extra = visit(rf, transport), {}
    if transport == "cookie":
        put_cookies(api, pair)
    else:
        extra = bearer(pair.access)

    assert api.get(path, **extra).status_code == 401


def test_a_visitor_is_sent_to_log_in(browser):
    """A browser that asks for what takes a login is sent there, and comes back."""
    for path in ("/codes/", "/verified/"):
        response = browser.get(path, HTTP_ACCEPT="text/html")
        assert response["Location"] == f"/sign-in/?next={path}"
        assert not touches_cookies(response)


def test_nobody_can_confirm_a_password(rf, user, visitor):
    """There is no login to confirm: a session of nobody becomes nobody's."""
    for work in (
        lambda: reauthenticate_session(asking(rf, visitor), user),
        lambda: reauthenticate_with_password(asking(rf, visitor), PASSWORD),
    ):
        with pytest.raises(NotAuthenticated):
            work()

    assert rows_of(visitor).get().is_anonymous


ENDPOINTS = [
    ("GET", "/auth/sessions/"),
    ("DELETE", "/auth/sessions/{own}/"),
    ("DELETE", "/auth/sessions/{other}/"),
    ("POST", "/auth/logout-everywhere/"),
    ("POST", "/auth/reauthenticate/"),
]


@pytest.mark.parametrize("transport", ["header", "cookie"])
@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_no_endpoint_takes_it_for_a_login(api, rf, method, path, transport):
    """AC-11: It lists no sessions and ends none, neither all nor its own."""
    other = SessionFamilyFactory.create()
    pair = visit(rf, transport)
    path = path.format(own=claims_of(pair).family_id, other=other.pk)
    extra = bearer(pair.access)
    if transport == "cookie":
        put_cookies(api, pair)
        api.get("/auth/login/")
        extra = {"HTTP_X_CSRFTOKEN": api.cookies["csrftoken"].value}
    body = json.dumps({"password": PASSWORD} if "reauth" in path else {})

    response = api.generic(method, path, body, "application/json", **extra)

    assert refusal(response) == (401, "not_authenticated")
    assert not touches_cookies(response)
    assert not SessionFamily.objects.exclude(revoked_at=None).exists()


PAGES = [
    ("GET", ""),
    ("GET", "log-out-everywhere/"),
    ("POST", "log-out-everywhere/"),
    ("POST", "end-others/"),
    ("POST", "{own}/end/"),
    ("POST", "{other}/end/"),
    ("GET", "reauthenticate/"),
    ("POST", "reauthenticate/"),
    ("POST", "dismiss/"),
]


@pytest.mark.parametrize(("method", "path"), PAGES)
def test_no_page_takes_it_for_a_login(browser, method, path):
    """AC-11: The pages for users send a visitor to log in, and end nothing."""
    other = SessionFamilyFactory.create()
    own = SessionFamily.objects.anonymous().get()
    path = f"/account/sessions/{path.format(own=own.pk, other=other.pk)}"

    if method == "GET":
        response = browser.get(path)
    else:
        response = browser.submit(path, {"password": PASSWORD})

    assert response.status_code == 302
    assert response["Location"].startswith("/sign-in/?next=/")
    assert not touches_cookies(response)
    assert not SessionFamily.objects.exclude(revoked_at=None).exists()


def test_nobody_is_not_everybody(user):
    """AC-11: What ends or lists a user's sessions refuses a key that is empty."""
    SessionFamilyFactory.create(user=user)

    for nobody in (None, ""):
        with pytest.raises(ValueError, match="primary key"):
            revoke_all_sessions(nobody, reason=RevokedReason.STAFF)
        with pytest.raises(ValueError, match="primary key"):
            survey_sessions(user_pk=nobody)

    assert SessionFamily.objects.get().revoked_at is None


def test_a_new_password_leaves_visitors_alone(rf, user, visitor):
    """Whoever resets a password as a visitor ends the user's sessions, and no other."""
    other = SessionFamilyFactory.create()
    mine = SessionFamilyFactory.create(user=user)

    keep_session_after_password_change(asking(rf, visitor), user)

    ended = SessionFamily.objects.exclude(revoked_at=None)
    assert [family.pk for family in ended] == [mine.pk]
    assert rows_of(visitor).get().is_anonymous
    assert not SessionFamily.objects.get(pk=other.pk).revoked_at


def test_a_hash_that_django_notes_is_no_visitors(rf, user, visitor):
    """Where a view changes a password as Django does, a visitor's session stays."""
    request = asking(rf, visitor)
    read_session_data(request)

    keep_session_as_django(request, user.get_session_auth_hash())

    assert columns(visitor)["revoked_at"] is None
    assert rows_of(visitor).get().is_anonymous


def test_deleting_a_user_leaves_visitors_alone(user, visitor):
    """A user who is deleted takes the own sessions along, and no visitor's."""
    SessionFamilyFactory.create(user=user)

    user.delete()

    assert columns(visitor)["revoked_at"] is None


@pytest.mark.parametrize("way", ["access", "refresh", "page", "django"])
def test_logging_out_ends_the_one_session(api, rf, way):
    """Its own tokens end it, by every way to log out, and end no other visitor's."""
    other, pair = visit(rf), visit(rf, "cookie")
    api.get("/auth/login/")
    if way == "access":
        response = api.send("/auth/logout/", **bearer(pair.access))
    elif way == "refresh":
        response = api.send("/auth/logout/", {"refresh": pair.refresh})
    else:
        put_cookies(api, pair)
        path = {"page": "/account/sessions/log-out/", "django": "/leave/"}[way]
        response = api.submit(path)
        assert clears_cookies(response)

    assert response.status_code in {200, 204, 302}
    assert columns(pair)["revoked_reason"] == RevokedReason.LOGOUT
    assert columns(other)["revoked_at"] is None


# What a login makes of it.


def test_a_login_takes_the_data_over(rf, user, visitor):
    """The user's session goes on with the basket; the visitor's ends, and says why."""
    request = asking(rf, visitor)

    pair = start_session(request, user)

    assert read_session_data(asking(rf, pair)) == BASKET
    assert columns(visitor)["revoked_reason"] == RevokedReason.LOGGED_IN
    assert claims_of(pair).family_id != claims_of(visitor).family_id
    assert rows_of(pair).get().user == user


def test_nothing_of_the_visitors_session_serves_after_the_login(rf, user, visitor):
    """AC-12, I-1: No token that was planted before the login is good after it."""
    start_session(asking(rf, visitor), user)

    with pytest.raises(SessionEnded):
        present(visitor)
    with pytest.raises(SessionEnded):
        use(visitor)
    with pytest.raises(SessionEnded):
        change_session_data(asking(rf, visitor), {"late": True})


@pytest.mark.parametrize(
    ("patch", "after"),
    [
        ({}, {"basket": {"tea": 2}}),
        ({"basket": {"milk": 1}}, {"basket": {"tea": 2, "milk": 1}}),
        ({"basket": None, "x": 1}, {"x": 1}),
        (lambda found: {"n": len(found["basket"])}, {"basket": {"tea": 2}, "n": 1}),
    ],
)
def test_what_the_login_brings_is_merged(rf, user, visitor, patch, after):
    """RFC 7396: The login's data is a patch of what was there, or a function of it."""
    pair = start_session(asking(rf, visitor), user, data=patch)

    assert columns(pair)["data"] == after


def test_a_patch_means_the_same_without_a_visit(rf, user):
    """What a login brings is merged into nothing where there is nothing before it."""
    patches = [{"a": 1, "b": None}, lambda found: {"n": len(found)}]

    pairs = [start_session(asking(rf, None), user, data=patch) for patch in patches]

    assert [columns(pair)["data"] for pair in pairs] == [{"a": 1}, {"n": 0}]


def test_too_much_data_begins_nothing(rf, user):
    """
    Where both together are too large, nothing is written, and nothing lost.

    The site may log in without its own data, or bring a function that makes room.
    """
    visitor = visit(rf, data={"a": "x" * (MAX_SESSION_DATA - 100)})
    more = {"b": "y" * 200}

    with pytest.raises(ValueError, match="4096 bytes"):
        start_session(asking(rf, visitor), user, data=more)

    assert columns(visitor)["revoked_at"] is None
    assert SessionFamily.objects.count() == RefreshToken.objects.count() == 1
    made = start_session(
        asking(rf, visitor), user, data=lambda _found: {**more, "a": None}
    )
    assert columns(made)["data"] == more


def test_a_login_without_data_always_fits(rf, user):
    """As much as a visitor may have, a session of a user may."""
    data = {"a": "x" * (MAX_SESSION_DATA - len('{"a":""}'))}
    visitor = visit(rf, data=data)

    assert columns(start_session(asking(rf, visitor), user))["data"] == data


def test_the_refresh_cookie_will_do(rf, user):
    """Where the access token has expired, a login finds the session by the other."""
    visitor = visit(rf, "cookie", data=BASKET)
    request = rf.post("/login/", REMOTE_ADDR=HOME)
    request.META["HTTP_COOKIE"] = f"{REFRESH}={visitor.refresh}"

    pair = start_session(request, user, transport="cookie")

    assert columns(pair)["data"] == BASKET
    assert columns(visitor)["revoked_reason"] == RevokedReason.LOGGED_IN


def test_a_refresh_cookie_that_was_replaced_reads_nothing(rf, user, clock):
    """AC-12: Who kept an old refresh token gets no data by it, and ends no visit."""
    visitor = visit(rf, "cookie", data=BASKET)
    request = rf.post("/login/", REMOTE_ADDR=HOME)
    request.META["HTTP_COOKIE"] = f"{REFRESH}={visitor.refresh}"
    clock.forward(W)
    newer = present(visitor, transport="cookie")
    use(newer)
    clock.forward(W)

    pair = start_session(request, user, transport="cookie")

    assert columns(pair)["data"] is None
    assert columns(visitor)["data"] == BASKET
    assert columns(visitor)["revoked_at"] is None


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_refresh_cookie_that_was_just_replaced_will_do(rf, user, clock, confirmed):
    """Where a refresh would still be answered, be it that of another tab, so here."""
    visitor = visit(rf, "cookie", data=BASKET)
    request = rf.post("/login/", REMOTE_ADDR=HOME)
    request.META["HTTP_COOKIE"] = f"{REFRESH}={visitor.refresh}"
    clock.forward(W)
    newer = present(visitor, transport="cookie")
    if confirmed:
        use(newer)
    clock.forward(MOMENT if confirmed else W)

    pair = start_session(request, user, transport="cookie")

    assert columns(pair)["data"] == BASKET


@pytest.mark.parametrize("end", ["revoked", "expired", "idle", "gone"])
def test_an_ended_session_hands_nothing_on(rf, user, visitor, clock, end):
    """I-1: What is over, by its row, is over for a login as well."""
    rows, past = rows_of(visitor), clock.now
    {
        "revoked": lambda: rows.update(revoked_at=past, revoked_reason="staff"),
        "expired": lambda: rows.update(expires_at=past),
        "idle": lambda: rows.update(idle_at=past),
        "gone": rows.delete,
    }[end]()

    pair = start_session(asking(rf, visitor), user, data={"new": 1})

    assert columns(pair)["data"] == {"new": 1}
    assert not SessionFamily.objects.filter(revoked_reason="logged_in").exists()


@pytest.mark.parametrize("by", ["access", "refresh"])
@pytest.mark.parametrize("who", ["same", "other"])
def test_no_user_hands_anything_on(rf, user, by, who):
    """AC-12: Who logs in on a device of another user, or again, inherits nothing."""
    owner = user if who == "same" else UserFactory.create()
    request = rf.post("/login/", REMOTE_ADDR=HOME)
    before = start_session(request, owner, transport="cookie", data=BASKET)
    if by == "access":
        request.session_family = claims_of(before)
    else:
        request.META["HTTP_COOKIE"] = f"{REFRESH}={before.refresh}"

    pair = start_session(request, user, transport="cookie")

    assert columns(pair)["data"] is None
    assert columns(before)["data"] == BASKET
    replaced = (by, who) == ("refresh", "same")
    assert columns(before)["revoked_reason"] == ("replaced" if replaced else "")


def test_a_row_that_is_given_a_user_hands_nothing_on(rf, user, visitor):
    """AC-12: What the row says counts, and not what the token said once."""
    rows_of(visitor).update(user=user, user_pk=str(user.pk))

    pair = start_session(asking(rf, visitor), UserFactory.create())

    assert columns(pair)["data"] is None
    assert columns(visitor)["revoked_at"] is None


def test_a_users_token_hides_no_visit(rf, user):
    """Beside a user's access token a visitor's refresh cookie still hands on."""
    visitor = visit(rf, "cookie", data=BASKET)
    request = asking(rf, log_in(rf, user))
    request.META["HTTP_COOKIE"] = f"{REFRESH}={visitor.refresh}"

    pair = start_session(request, user, transport="cookie")

    assert columns(pair)["data"] == BASKET


def test_who_has_logged_in_takes_nothing_twice(rf, user, visitor):
    """AC-12: Of two logins from one visit the second begins with nothing of it."""
    first, second = (start_session(asking(rf, visitor), user) for _ in range(2))

    assert (columns(first)["data"], columns(second)["data"]) == (BASKET, None)


def test_a_login_that_is_rolled_back_ends_no_visit(rf, user, visitor):
    """I-26: Within a transaction of the site's, taking over is a part of it."""
    with transaction.atomic():
        start_session(asking(rf, visitor), user)
        transaction.set_rollback(True)

    assert columns(visitor)["data"] == BASKET
    assert columns(visitor)["revoked_at"] is None
    assert SessionFamily.objects.count() == 1


def test_a_visit_that_ends_meanwhile_hands_nothing_on(rf, user, visitor):
    """I-2: Where the row cannot be locked, a revocation in between is noticed."""

    def end(_found: Any) -> Any:
        rows_of(visitor).update(revoked_at=timezone.now(), revoked_reason="staff")
        return {"new": 1}

    pair = start_session(asking(rf, visitor), user, data=end)

    assert columns(pair)["data"] == {"new": 1}
    assert columns(visitor)["revoked_reason"] == "staff"


def test_a_login_with_a_visit_costs_a_read_and_a_write(rf, user, visitor):
    """The row is locked and ended; a login without a visit costs neither."""
    with counted() as plain:
        start_session(asking(rf, None), user)
    with counted() as verbs:
        start_session(asking(rf, visitor), user)

    again = asking(rf, None)
    again.META["HTTP_COOKIE"] = f"{REFRESH}={visit(rf, 'cookie').refresh}"
    old = start_session(again, user, transport="cookie").refresh
    again.META["HTTP_COOKIE"] = f"{REFRESH}={old}"
    with counted() as replacing:
        start_session(again, user, transport="cookie")

    # The limit takes a read of its own, after the commit.
    assert (reads(plain), writes(plain)) == (2, 2)
    assert (reads(verbs), writes(verbs)) == (3, 3)
    # The cookie is read, and no row locked for it.
    assert (reads(replacing), writes(replacing)) == (3, 3)


def test_no_change_is_lost_to_a_login(rf, user, visitor):
    """I-2: Beside a login each change is in what it takes over, or is refused."""
    line, kept = Barrier(6), set()
    requests = [asking(rf, visitor) for _ in range(6)]

    def change(number: int) -> None:
        try:
            line.wait(10)
            with suppress(SessionEnded):
                change = {"marks": {str(number): True}}
                kept.update(change_session_data(requests[number], change)["marks"])
        finally:
            connection.close()

    def log_in_meanwhile() -> TokenPair:
        try:
            line.wait(10)
            return start_session(requests[5], user)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        changes = [pool.submit(change, number) for number in range(5)]
        pair = pool.submit(log_in_meanwhile).result()
        for each in changes:
            each.result()

    data = columns(pair)["data"]
    assert data["basket"] == BASKET["basket"]
    assert set(data.get("marks", ())) == kept


def test_of_two_logins_at_once_one_takes_the_data(rf, visitor):
    """I-2: Two users who log in from one visit at once do not both get its basket."""
    users = UserFactory.create_batch(4)
    line = Barrier(4)

    def work(user: Any) -> TokenPair:
        request = asking(rf, visitor)
        try:
            line.wait(10)
            return start_session(request, user)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        pairs = list(pool.map(work, users))

    assert [columns(pair)["data"] for pair in pairs].count(BASKET) == 1
    assert [columns(pair)["data"] for pair in pairs].count(None) == 3


# By the endpoints of the package.


def test_the_login_endpoint_takes_over_by_header(api, rf, user):
    """A client that logs in with its visitor's token goes on with the data."""
    body = {"username": user.username, "password": PASSWORD}
    access = visit(rf, data=BASKET).access

    response = api.send("/auth/login/", body, **bearer(access))

    assert response.status_code == 200
    family = SessionFamily.objects.get(user=user)
    assert (family.data, family.transport) == (BASKET, "header")


@pytest.mark.parametrize("left", ["both", "refresh"])
def test_the_login_endpoint_takes_over_by_cookie(browser, user, left):
    """The browser's cookies become the new session's; its basket stays."""
    if left == "refresh":
        del browser.cookies[ACCESS]
    old = browser.cookies[REFRESH].value

    browser.log_in(user, "cookie")

    assert SessionFamily.objects.get(user=user).data == BASKET
    assert browser.cookies[REFRESH].value not in {"", old}
    assert browser.get("/whoami/").json()["user"] == user.username


def test_an_old_token_is_refreshed_before_the_login(api, rf, user, settings):
    """By header nothing else would tell of the basket: refresh, then log in."""
    body = {"username": user.username, "password": PASSWORD}
    pair = visit(rf, data=BASKET)

    elsewhere = {"REMOTE_ADDR": TRAIN}
    refused = api.send("/auth/login/", body, **elsewhere, **bearer(pair.access))
    fresh = api.send("/auth/refresh/", {"refresh": pair.refresh}, **elsewhere).json()
    taken = api.send("/auth/login/", body, **elsewhere, **bearer(fresh["access"]))

    assert refusal(refused) == (401, "refresh_required")
    assert taken.status_code == 200
    assert SessionFamily.objects.get(user=user).data == BASKET


def test_other_old_tokens_are_in_no_logins_way(api, rf, user):
    """What would hand nothing on stops nobody: a user's, an ended one, garbage."""
    body = {"username": user.username, "password": PASSWORD}
    ended = visit(rf)
    rows_of(ended).update(revoked_at=timezone.now())
    revocations.reset()
    tokens = [log_in(rf, user).access, ended.access, "garbage"]

    answers = [
        api.send("/auth/login/", body, REMOTE_ADDR=TRAIN, **bearer(token))
        for token in tokens[::2]
    ]
    answers.append(api.send("/auth/login/", body, **bearer(ended.access)))

    assert {answer.status_code for answer in answers} == {200}


def test_a_request_beside_the_login_leaves_the_new_cookies(browser, user):
    """
    What was under way when its visitor logged in goes on, and clears no cookie.

    The browser may have the new ones by then: it would log out the user.
    """
    old = {name: browser.cookies[name].value for name in (ACCESS, REFRESH)}
    browser.log_in(user, "cookie")
    late = type(browser)()
    late.cookies.update(browser.cookies)
    for name, value in old.items():
        late.cookies[name] = value

    answers = [
        late.get("/whoami/"),
        late.get("/api/profile/"),
        late.get("/page/", HTTP_ACCEPT="text/html"),
        late.send("/auth/refresh/"),
        late.submit("/auth/refresh-page/", {"next": "/"}),
    ]

    assert [each.status_code for each in answers] == [200, 401, 302, 401, 302]
    assert answers[0].json() == {"user": "", "session": None}
    assert not any(touches_cookies(each) for each in answers)


def test_cookies_are_cleared_once_the_login_is_over(browser, rf, user, clock):
    """A browser that never got the answer to its login forgets the old cookies."""
    visitor = visit(rf, "cookie")
    start_session(asking(rf, visitor), user)
    put_cookies(browser, visitor)
    clock.forward(W)

    response = browser.send("/auth/refresh/")

    assert refusal(response) == (401, "session_ended")
    assert clears_cookies(response)


def test_a_refresh_knows_that_its_visitor_has_logged_in(rf, user, visitor, clock):
    """For W after the login a refresh tells so, to whoever clears cookies."""
    start_session(asking(rf, visitor), user)

    clock.forward(W - MOMENT)
    with pytest.raises(SessionHandedOn):
        present(visitor)
    clock.forward(MOMENT)
    with pytest.raises(SessionEnded) as refused:
        present(visitor)

    assert type(refused.value) is SessionEnded


def test_an_ended_session_by_header_is_told(api, rf):
    """A client that holds the tokens itself has to know that they are worthless."""
    pair = visit(rf)
    rows_of(pair).update(revoked_at=timezone.now())

    assert refusal(api.get("/whoami/", **bearer(pair.access))) == (401, "session_ended")


def test_the_transport_is_its_own(rf, visitor):
    """As with a user's session, a refresh token serves in its own transport only."""
    with pytest.raises(InvalidToken):
        refresh_session(visitor.refresh, client=client_at(), transport="cookie")


# The page.


@pytest.fixture
def shop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> Iterator[None]:
    """Run the shop of docs/claims.md beside the suite's site."""
    page = Path(__file__).parent.parent / "docs" / "claims.md"
    [program] = re.findall(
        r"```python\n# shop/baskets\.py\n(.*?)```", page.read_text(), re.DOTALL
    )
    (tmp_path / "pasted_baskets.py").write_text(program)
    (tmp_path / "pasted_urls.py").write_text(
        "import pasted_baskets\n"
        "from django.urls import include, path\n"
        "urlpatterns = [\n"
        '    path("put/<sku>/", pasted_baskets.put),\n'
        '    path("basket/", pasted_baskets.BasketView.as_view()),\n'
        '    path("", include("tests.urls")),\n'
        "]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    settings.ROOT_URLCONF = "pasted_urls"
    yield
    for name in ("pasted_baskets", "pasted_urls"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("path", ["/put/tea/", "/basket/"])
def test_the_basket_of_the_page_survives_the_login(api, user, path, settings):
    """docs/claims.md: Pasted, it keeps what visitor and user put in, by cookie."""
    settings.ROTATING_SESSIONS = {"DEFAULT_TRANSPORT": "cookie"}
    api.get("/auth/login/")
    refused = api.post(path)

    for _ in range(2):
        api.send(path, {"sku": "tea"})
    api.log_in(user, "cookie")
    last = api.send(path, {"sku": "tea"})

    assert refused.status_code == 403
    assert last.json() == api.get("/basket/").json() == {"basket": {"tea": 3}}
    assert SessionFamily.objects.get(user=user).data == {"basket": {"tea": 3}}
    assert SessionFamily.objects.count() == 2


@pytest.mark.usefixtures("shop")
def test_the_basket_beside_the_login_leaves_the_new_cookies(api, user, clock):
    """Who has just logged in gets no visitor's cookies: refresh, and put it again."""
    api.get("/auth/login/")
    api.send("/put/tea/")
    old = {name: api.cookies[name].value for name in (ACCESS, REFRESH)}
    token = api.cookies["csrftoken"].value
    api.log_in(user, "cookie")
    late = type(api)()
    for name, value in {**old, "csrftoken": token}.items():
        late.cookies[name] = value

    answer = late.send("/put/tea/")
    clock.forward(W)
    later = late.send("/put/tea/")

    assert refusal(answer) == (401, "refresh_required")
    assert not touches_cookies(answer)
    assert later.status_code == 200


def test_a_visit_that_ended_otherwise_is_in_no_visits_way(rf):
    """Cookies of a session that was ended by staff are replaced by a visitor's."""
    before = visit(rf, "cookie")
    rows_of(before).update(revoked_at=timezone.now(), revoked_reason="staff")
    request = rf.get("/", REMOTE_ADDR=HOME)
    request.META["HTTP_COOKIE"] = f"{REFRESH}={before.refresh}"

    pair = start_anonymous_session(request, transport="cookie", data=BASKET)

    assert columns(pair)["data"] == BASKET


@pytest.mark.usefixtures("shop")
def test_the_basket_of_the_page_serves_by_header(user):
    """docs/claims.md: A client that holds its tokens has no CSRF token to send."""
    api = DjangoClient(REMOTE_ADDR=HOME)
    body = {"username": user.username, "password": PASSWORD}
    empty = api.get("/basket/").json()

    tokens = api.post("/basket/", {"sku": "tea"}).json()
    api.post("/basket/", {"sku": "tea"}, **bearer(tokens["access"]))
    new = api.post("/auth/login/", body, "application/json", **bearer(tokens["access"]))

    answer = api.get("/basket/", **bearer(new.json()["access"]))
    assert empty == {}
    assert answer.json() == {"basket": {"tea": 2}}
