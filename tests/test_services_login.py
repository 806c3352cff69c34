"""Login: what a new session is, what it replaces, and how many a user may have."""

from __future__ import annotations

import logging
from datetime import date, timedelta
from typing import Any

import pytest
from django.contrib.auth import authenticate, get_user_model, login
from django.contrib.sessions.backends.db import SessionStore
from django.db import OperationalError, ProgrammingError, connection, transaction
from django.test import override_settings

from rotating_sessions import revocations
from rotating_sessions.exceptions import (
    InvalidCredentials,
    SessionExpired,
    Unavailable,
)
from rotating_sessions.models import RefreshToken, SessionFamily
from rotating_sessions.services import (
    announce_login,
    purge_sessions,
    start_session,
)
from rotating_sessions.services.reading import password_state
from rotating_sessions.signals import session_revoked, session_started
from rotating_sessions.tokens.refresh import decode_refresh
from rotating_sessions.transports import TokenPair, refresh_cookie_name
from tests.acting import (
    MOMENT,
    START,
    W,
    claims_of,
    client_at,
    columns,
    counted,
    digest_of,
    heard,
    log_in,
    present,
    rows_of,
    twin_of,
    use,
)
from tests.browsing import FIREFOX, HOME, database_down
from tests.factories import PASSWORD, SessionFamilyFactory, UserFactory

pytestmark = pytest.mark.django_db(transaction=True)

CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/126.0.0.0 Safari/537.36"


def log_in_again(
    rf: Any, user: Any, cookie: str, transport: str = "cookie"
) -> TokenPair:
    """Log in from a browser that still holds a refresh cookie."""
    request = rf.post("/login/", REMOTE_ADDR=HOME, HTTP_USER_AGENT=FIREFOX)
    request.META["HTTP_COOKIE"] = f"{refresh_cookie_name()}={cookie}"
    return start_session(request, user, transport=transport)


# What a new session is.


def test_login_starts_a_family(rf, user, clock):
    """A login makes one family of generation 0, with nothing rotated or confirmed."""
    pair = log_in(rf, user)

    row = columns(pair)
    assert len(bytes(row.pop("secret"))) == 32
    assert row.pop("networks") == claims_of(pair).networks[0]
    assert row == {
        "id": claims_of(pair).family_id,
        "user_id": user.pk,
        "user_pk": str(user.pk),
        "transport": "header",
        "device": "Firefox on Linux",
        "generation": 0,
        "previous": None,
        "current_digest": digest_of(pair),
        "previous_digest": None,
        "confirmed_at": None,
        "displaced": 0,
        "auth_hash": password_state(user),
        "auth_time": START,
        "created_at": START,
        "rotated_at": None,
        "expires_at": START + timedelta(days=30),
        "idle_at": START + timedelta(days=14),
        "ends_on": date(2031, 3, 18),
        "revoked_at": None,
        "revoked_reason": "",
        "ip_address": HOME,
        "user_agent": FIREFOX,
        "data": None,
    }


def test_login_answers_with_both_tokens(rf, user, clock):
    """The first pair names the user and the login, and says how long each serves."""
    pair = log_in(rf, user)

    claims = claims_of(pair)
    assert (claims.user_pk, claims.generation) == (str(user.pk), 0)
    assert claims.auth_time == claims.issued_at == START.replace(microsecond=0)
    assert pair.access_lifetime == timedelta(minutes=30)
    assert pair.refresh_lifetime == timedelta(days=14)
    assert decode_refresh(pair.refresh or "").generation == 0


def test_first_token_is_recorded(rf, user, clock):
    """The ledger begins with the token of the login."""
    pair = log_in(rf, user)

    token = RefreshToken.objects.get()
    assert (token.family_id, token.generation) == (claims_of(pair).family_id, 0)
    assert (bytes(token.digest), token.issued_at) == (digest_of(pair), START)
    assert (token.ip_address, token.user_agent) == (HOME, FIREFOX)


def test_every_login_starts_a_session_of_its_own(rf, user):
    """Two logins share neither family nor secret nor token."""
    pairs = [log_in(rf, user) for _ in range(2)]

    rows = [columns(pair) for pair in pairs]
    for name in ("id", "secret", "current_digest"):
        assert rows[0][name] != rows[1][name]


@pytest.mark.parametrize("transport", ["header", "cookie"])
def test_login_picks_the_transport(rf, user, transport):
    """The session keeps the transport that its login asks for."""
    pair = log_in(rf, user, transport=transport)

    assert (pair.transport, columns(pair)["transport"]) == (transport, transport)


def test_site_sets_the_transport_of_a_login_that_names_none(rf, user):
    """DEFAULT_TRANSPORT serves a login that does not choose."""
    with override_settings(ROTATING_SESSIONS={"DEFAULT_TRANSPORT": "cookie"}):
        pair = start_session(rf.post("/login/"), user)

    assert pair.transport == "cookie"


def test_transport_that_the_site_does_not_allow_starts_nothing(rf, user):
    """A transport outside TRANSPORTS is the caller's mistake."""
    with (
        override_settings(ROTATING_SESSIONS={"TRANSPORTS": ["header"]}),
        pytest.raises(ValueError, match="does not allow 'cookie'"),
    ):
        log_in(rf, user, transport="cookie")

    assert not SessionFamily.objects.exists()


def test_login_from_an_unknown_address_is_bound_to_none(rf, user, caplog):
    """A login whose address nobody knows remembers no network, and is reported."""
    caplog.set_level(logging.WARNING, "rotating_sessions.security")

    pair = start_session(rf.post("/login/", REMOTE_ADDR=""), user)

    row = columns(pair)
    assert (row["networks"], row["ip_address"]) == ("", None)
    assert claims_of(pair).networks == ()
    assert [record.getMessage() for record in caplog.records] == ["address_unknown"]


def test_login_is_bound_to_nothing_while_binding_is_off(rf, user):
    """Without BIND_NETWORK a session knows no network."""
    with override_settings(ROTATING_SESSIONS={"BIND_NETWORK": False}):
        pair = log_in(rf, user)

    assert columns(pair)["networks"] == ""


# What is announced.


def test_login_is_announced(rf, user):
    """session_started names the family and the user, and nothing secret."""
    with heard(session_started) as events:
        pair = log_in(rf, user)

    assert events == [
        {
            "family_id": claims_of(pair).family_id,
            "user_pk": str(user.pk),
            "new_device": True,
        }
    ]


@pytest.mark.parametrize(
    ("agent", "new"), [(FIREFOX, False), (CHROME, True)], ids=["known", "new"]
)
def test_device_is_new_until_a_session_of_the_user_had_it(rf, user, agent, new):
    """new_device is true for a device that no session of the user ever had."""
    log_in(rf, user)
    request = rf.post("/login/", REMOTE_ADDR=HOME, HTTP_USER_AGENT=agent)

    with heard(session_started) as events:
        start_session(request, user)

    assert [event["new_device"] for event in events] == [new]


def test_device_of_another_user_is_no_known_device(rf, user):
    """A device counts as known for the user who had it, and for nobody else."""
    log_in(rf, UserFactory.create())

    with heard(session_started) as events:
        log_in(rf, user)

    assert [event["new_device"] for event in events] == [True]


def test_device_stays_known_after_its_session_ended(rf, user):
    """An ended session that is not purged yet still vouches for its device."""
    rows_of(log_in(rf, user)).update(revoked_at=START, revoked_reason="logout")

    with heard(session_started) as events:
        log_in(rf, user)

    assert [event["new_device"] for event in events] == [False]


def test_login_that_the_caller_rolls_back_leaves_nothing(rf, user):
    """A login inside a transaction that fails was never made, nor announced."""
    with heard(session_started, session_revoked) as events, transaction.atomic():
        log_in(rf, user)
        transaction.set_rollback(True)

    assert events == []
    assert not SessionFamily.objects.exists()
    assert not RefreshToken.objects.exists()


def test_replacement_that_the_caller_rolls_back_did_not_happen(rf, user):
    """The old session of a login that is rolled back goes on, also in this process."""
    old = log_in(rf, user, transport="cookie")

    with heard(session_revoked) as events, transaction.atomic():
        log_in_again(rf, user, old.refresh or "")
        transaction.set_rollback(True)

    assert events == []
    assert columns(old)["revoked_at"] is None
    assert not revocations.is_revoked(claims_of(old).family_id)


def test_login_inside_a_transaction_is_announced_at_its_commit(rf, user):
    """Signals of a login wait for the commit of the transaction that it is part of."""
    with heard(session_started) as events, transaction.atomic():
        log_in(rf, user)
        before = list(events)

    assert (before, len(events)) == ([], 1)


def test_no_session_begins_before_the_site_says_so(rf, user):
    """AC-08: A password, and Django's own login, are no session: the call makes one."""
    request = rf.post("/first-factor/")
    request.session = SessionStore()
    known = authenticate(request, username=user.username, password=PASSWORD)
    login(request, known)
    before = SessionFamily.objects.count()

    start_session(request, known)

    assert (before, SessionFamily.objects.count()) == (0, 1)


# What it replaces.


def test_login_ends_the_session_that_the_browser_had(rf, user):
    """AC-01: A second login in a browser ends the first one's session, here at once."""
    old = log_in(rf, user, transport="cookie")

    new = log_in_again(rf, user, old.refresh or "")

    assert columns(old)["revoked_reason"] == "replaced"
    assert revocations.is_revoked(claims_of(old).family_id)
    assert columns(new)["revoked_at"] is None


def test_superseded_cookie_still_ends_its_session(rf, user):
    """Any genuine token of the family is proof enough to end it."""
    old = log_in(rf, user, transport="cookie")
    present(old, transport="cookie")

    log_in_again(rf, user, old.refresh or "")

    assert columns(old)["revoked_reason"] == "replaced"


def test_session_of_another_user_is_left_alone(rf, user):
    """Someone else's login on a shared browser does not end the session it finds."""
    other = log_in(rf, UserFactory.create(), transport="cookie")

    log_in_again(rf, user, other.refresh or "")

    assert columns(other)["revoked_at"] is None


@pytest.mark.parametrize("forged", [{"secret": b"\x02" * 32}, {"user_pk": "4711"}])
def test_forged_cookie_ends_nothing(rf, user, forged):
    """A cookie whose MAC does not verify ends no session and hinders no login."""
    old = log_in(rf, user, transport="cookie")

    new = log_in_again(rf, user, twin_of(old, **forged))

    assert columns(old)["revoked_at"] is None
    assert columns(new)["revoked_at"] is None


@pytest.mark.parametrize("cookie", ["", "nonsense", "rsrt_" + "A" * 120])
def test_garbage_in_the_cookie_is_no_hindrance(rf, user, cookie):
    """AC-01: Whatever the browser carried, the login starts a session of its own."""
    pair = log_in_again(rf, user, cookie)

    assert present(pair, transport="cookie").refresh is not None


def test_session_that_was_over_stays_as_it_ended(rf, user):
    """A cookie of a session that was revoked before changes no reason."""
    old = log_in(rf, user, transport="cookie")
    rows_of(old).update(revoked_at=START, revoked_reason="staff")

    with heard(session_revoked) as events:
        log_in_again(rf, user, old.refresh or "")

    assert events == []
    assert columns(old)["revoked_reason"] == "staff"


# How many a user may have.


@pytest.fixture
def limited(settings: Any) -> int:
    """Let each user have two sessions."""
    settings.ROTATING_SESSIONS = {"SESSION_LIMIT": 2}
    return 2


def reasons(*pairs: TokenPair) -> list[str]:
    return [columns(pair)["revoked_reason"] for pair in pairs]


def test_session_limit_ends_the_one_idle_for_longest(rf, user, limited, clock):
    """AC-07: Beyond the limit the session that was used least recently goes."""
    pairs = []
    for _ in range(2):
        pairs.append(log_in(rf, user))
        clock.forward(MOMENT)
    use(present(pairs[0]))
    clock.forward(MOMENT)

    pairs.append(log_in(rf, user))

    assert reasons(*pairs) == ["", "session_limit", ""]
    assert revocations.is_revoked(claims_of(pairs[1]).family_id)


def test_flood_of_logins_fills_nothing(rf, user, limited, clock):
    """TH-07: The 40th login costs what the 4th does, and in time a purge takes all."""
    costs = []
    for _ in range(40):
        with counted() as verbs:
            log_in(rf, user)
        costs.append(dict(verbs))
        clock.forward(MOMENT)
    live = SessionFamily.objects.live(clock.now).count()
    clock.forward(timedelta(days=31))

    list(purge_sessions())

    assert live == limited
    assert costs[39] == costs[3]
    assert SessionFamily.objects.count() == limited


def test_session_limit_itself_is_allowed(rf, user, limited, clock):
    """As many sessions as the limit says live side by side."""
    pairs = []
    for _ in range(limited):
        pairs.append(log_in(rf, user))
        clock.forward(MOMENT)

    assert reasons(*pairs) == ["", ""]


def test_logins_of_one_moment_are_still_limited(rf, user, limited, clock):
    """Sessions that began at the same moment are limited like any others."""
    pairs = [log_in(rf, user) for _ in range(4)]

    assert sorted(reasons(*pairs)) == ["", "", "session_limit", "session_limit"]


def test_sessions_that_are_over_count_for_nothing(rf, user, limited, clock):
    """An ended session takes no place."""
    over = log_in(rf, user)
    rows_of(over).update(idle_at=clock.now)
    clock.forward(MOMENT)

    pairs = [log_in(rf, user) for _ in range(2)]

    assert reasons(over, *pairs) == ["", "", ""]


def test_sessions_of_others_count_for_nothing(rf, user, limited):
    """The limit is each user's own."""
    others = [log_in(rf, UserFactory.create()) for _ in range(3)]

    pair = log_in(rf, user)

    assert reasons(*others, pair) == ["", "", "", ""]


def test_lowered_limit_applies_at_the_next_login(rf, user, settings, clock):
    """A limit that is lowered ends as many of the oldest as it takes."""
    pairs = []
    for _ in range(4):
        pairs.append(log_in(rf, user))
        clock.forward(MOMENT)
    settings.ROTATING_SESSIONS = {"SESSION_LIMIT": 1}

    pairs.append(log_in(rf, user))

    assert reasons(*pairs) == [*["session_limit"] * 4, ""]


def test_login_is_good_though_the_limit_could_not_be_enforced(rf, user, limited):
    """AC-07: The session is committed: what fails after that fails no login."""
    pairs = [log_in(rf, user) for _ in range(2)]

    with database_down(only="COALESCE"):
        pairs.append(log_in(rf, user))

    assert reasons(*pairs) == ["", "", ""]
    assert present(pairs[2]).refresh


def test_no_limit_ends_nothing(rf, user, settings):
    """With SESSION_LIMIT None a user may have any number of sessions."""
    settings.ROTATING_SESSIONS = {"SESSION_LIMIT": None}

    pairs = [log_in(rf, user) for _ in range(5)]

    assert reasons(*pairs) == [""] * 5


def test_limit_is_announced_as_a_revocation(rf, user, limited, clock):
    """Who is logged out by the limit is told by session_revoked, once each."""
    pairs = []
    with heard(session_revoked) as events:
        for _ in range(4):
            pairs.append(log_in(rf, user))
            clock.forward(MOMENT)

    ended = [claims_of(pair).family_id for pair in pairs[:2]]
    assert [event["family_id"] for event in events] == ended
    assert {event["reason"] for event in events} == {"session_limit"}


# What fails.


def test_login_while_the_database_is_down_is_unavailable(rf, user):
    """A login that cannot be written answers 503 and hands out nothing."""

    def broken(execute: Any, sql: str, *args: Any) -> Any:
        if sql.startswith("INSERT"):
            raise OperationalError("The disk is full.")
        return execute(sql, *args)

    with connection.execute_wrapper(broken), pytest.raises(Unavailable):
        log_in(rf, user)

    assert not SessionFamily.objects.exists()


def test_caller_of_a_transaction_gets_the_error_of_the_database(rf, user):
    """Inside a caller's transaction a failure is the caller's, unwrapped."""

    def broken(execute: Any, sql: str, *args: Any) -> Any:
        if sql.startswith("INSERT"):
            raise OperationalError("The disk is full.")
        return execute(sql, *args)

    with (
        connection.execute_wrapper(broken),
        pytest.raises(OperationalError),
        transaction.atomic(),
    ):
        log_in(rf, user)

    assert not SessionFamily.objects.exists()


def test_receiver_that_raises_undoes_no_login(rf, user):
    """RT-11: A receiver's error is its own: the session is committed and answered."""

    def fail(**fields: Any) -> None:
        raise LookupError

    session_started.connect(fail)
    try:
        pair = log_in(rf, user)
    finally:
        session_started.disconnect(fail)

    assert present(pair).refresh is not None


def test_session_started_from_elsewhere_is_bound_to_where_it_is(rf, user, clock):
    """The first token serves where the login came from: a refresh adds the rest."""
    SessionFamilyFactory.create(user=user, now=clock.now)
    pair = log_in(rf, user)
    clock.forward(W)

    answer = present(pair, client_at("198.51.100.77"))

    assert len(claims_of(pair).networks) == 1
    assert len(claims_of(answer).networks) == 2


def failing_at_the_user(error: Exception, times: int) -> Any:
    """Return a wrapper that fails the first so many writes to users."""
    errors = [error] * times

    def fail(execute: Any, sql: str, *args: Any) -> Any:
        if sql.startswith("UPDATE") and "auth_user" in sql and errors:
            raise errors.pop()
        return execute(sql, *args)

    return fail


def test_time_of_login_is_written_in_spite_of_others(rf, user):
    """Of several logins of a user at once none fails over the row of the user."""
    fault = failing_at_the_user(OperationalError(1213, "deadlock"), 3)

    with connection.execute_wrapper(fault):
        announce_login(rf.post("/login/"), user)

    user.refresh_from_db()
    assert user.last_login is not None


def test_user_deleted_during_the_login_has_no_credentials(rf, user):
    """AC-04: Who is deleted between password check and answer is not logged in."""
    deleted = get_user_model().objects.get(pk=user.pk)
    user.delete()

    with pytest.raises(InvalidCredentials):
        announce_login(rf.post("/login/"), deleted)


def test_fault_of_a_site_that_hears_of_logins_is_not_hidden(rf, user):
    """A database error of a user who exists is a fault, and is raised as it is."""
    fault = failing_at_the_user(ProgrammingError("no such column"), 1)

    with connection.execute_wrapper(fault), pytest.raises(ProgrammingError):
        announce_login(rf.post("/login/"), user)


# For how long.


DAY = timedelta(days=1)


def log_in_for(rf: Any, user: Any, lifetime: timedelta | None) -> TokenPair:
    request = rf.post("/login/", REMOTE_ADDR=HOME, HTTP_USER_AGENT=FIREFOX)
    return start_session(request, user, transport="header", lifetime=lifetime)


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (None, 30 * DAY),
        (DAY, DAY),
        (30 * DAY, 30 * DAY),
        (31 * DAY, 30 * DAY),
        (timedelta.max, 30 * DAY),
    ],
)
def test_lifetime_of_a_login_only_shortens(rf, user, clock, asked, given):
    """A session lasts as long as its login asks for, up to ABSOLUTE_TIMEOUT."""
    pair = log_in_for(rf, user, asked)

    row = columns(pair)
    assert row["expires_at"] == clock.now + given
    assert row["ends_on"] == (clock.now + min(given, 14 * DAY)).date()
    assert pair.refresh_lifetime == min(given, 14 * DAY)


@pytest.mark.parametrize("lifetime", [timedelta(), timedelta(microseconds=-1)])
def test_session_that_would_be_over_is_not_begun(rf, user, lifetime):
    """A lifetime that is none is the caller's mistake."""
    with pytest.raises(ValueError, match="lasts for some time"):
        log_in_for(rf, user, lifetime)

    assert not SessionFamily.objects.exists()


def test_short_session_is_not_prolonged_by_use(rf, user, clock):
    """A refresh puts off the idle deadline, and never the end of a short session."""
    first = log_in_for(rf, user, timedelta(hours=8))
    clock.forward(timedelta(hours=7, minutes=50))

    second = present(first)

    assert second.refresh_lifetime == timedelta(minutes=10)
    assert second.access_lifetime == timedelta(minutes=10)
    clock.forward(timedelta(minutes=10))
    with pytest.raises(SessionExpired):
        present(second)


def test_access_token_ends_with_a_session_shorter_than_its_lifetime(rf, user, clock):
    """An access token never outlives its session, however short that is."""
    pair = log_in_for(rf, user, timedelta(minutes=2))

    assert pair.access_lifetime == timedelta(minutes=2)
    assert claims_of(pair).expires_at <= clock.now + timedelta(minutes=2)
