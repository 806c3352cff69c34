"""Read sessions: by token, by claims, by state; always where they are written."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError, connection
from django.utils import timezone

from rotating_sessions.exceptions import InvalidToken, Unavailable
from rotating_sessions.models import SessionFamily
from rotating_sessions.services import select_sessions
from rotating_sessions.services.reading import (
    families,
    family_state,
    find_family,
    find_session,
    lock_family,
    prove_refresh,
    read_key_batches,
)
from rotating_sessions.transports import TokenPair
from tests.acting import claims_of, log_in, rows_of, twin_of
from tests.factories import SessionFamilyFactory, UserFactory

pytestmark = pytest.mark.django_db

MOMENT = timedelta(minutes=1)


@pytest.fixture
def pair(rf: Any, user: Any) -> TokenPair:
    """Return the pair of a login."""
    return log_in(rf, user)


def broken(execute: Any, *args: Any) -> Any:
    raise OperationalError("The server went away.")


def test_user_is_found_with_the_session_in_one_query(
    pair, user, django_assert_num_queries
):
    """request.user costs one joined query."""
    with django_assert_num_queries(1):
        found = find_session(claims_of(pair))

    assert found is not None
    assert found.user == user


@pytest.mark.parametrize(
    "ended",
    [
        {"revoked_at": MOMENT},
        {"expires_at": -MOMENT},
        {"idle_at": -MOMENT},
    ],
    ids=["revoked", "too old", "idle"],
)
def test_session_that_is_over_has_no_user(pair, ended):
    """Whoever reads request.user learns at once that the session is over."""
    moments = {name: timezone.now() + span for name, span in ended.items()}
    rows_of(pair).update(**moments)

    found = find_session(claims_of(pair))

    assert found is None


@pytest.mark.parametrize("change", [{"is_active": False}, {"password": "md5$s$other"}])
def test_user_who_changed_is_not_found(pair, user, change):
    """I-23: request.user ends at once for a deactivated user or another password."""
    get_user_model().objects.filter(pk=user.pk).update(**change)

    found = find_session(claims_of(pair))

    assert found is None


def test_deleted_user_is_not_found(pair, user):
    """I-23: request.user ends at once for a deleted user."""
    user.delete()

    found = find_session(claims_of(pair))

    assert found is None


def test_session_that_is_purged_has_no_user(pair):
    """Claims of a session that is gone name nobody."""
    rows_of(pair).delete()

    found = find_session(claims_of(pair))

    assert found is None


def test_reused_primary_key_finds_nobody(pair, user):
    """AC-04, I-23: A new user with the old primary key is not whom the token means."""
    key = user.pk
    user.delete()
    UserFactory.create(pk=key)

    found = find_session(claims_of(pair))

    assert found is None


def test_row_pointed_at_another_user_finds_nobody(pair):
    """A row whose user does not fit its user id serves neither of them."""
    rows_of(pair).update(user=UserFactory.create())

    found = find_session(claims_of(pair))

    assert found is None


def test_row_handed_to_another_user_finds_nobody(pair):
    """A row that belongs to another user than the token does not serve the token."""
    other = UserFactory.create()
    rows_of(pair).update(user=other, user_pk=str(other.pk))

    found = find_session(claims_of(pair))

    assert found is None


def test_database_failure_is_not_the_end_of_a_session(pair):
    """While the database is down nobody is taken for logged out."""
    claims = claims_of(pair)

    with connection.execute_wrapper(broken), pytest.raises(Unavailable) as refusal:
        find_session(claims)

    assert isinstance(refusal.value.__cause__, OperationalError)


def test_refresh_token_proves_its_family(pair, user):
    """A genuine refresh token leads to its family and its user in one query."""
    family = prove_refresh(pair.refresh or "")

    assert family.pk == claims_of(pair).family_id
    assert family.user == user


def test_forged_refresh_token_proves_nothing(pair):
    """A token that was not made with the family's secret proves nothing."""
    forged = twin_of(pair, secret=b"\x01" * 32)

    with pytest.raises(InvalidToken):
        prove_refresh(forged)


@pytest.mark.parametrize(
    ("change", "live"),
    [
        ({}, True),
        ({"revoked_at": timedelta(days=-3)}, False),
        ({"expires_at": timedelta(seconds=-1)}, False),
        ({"idle_at": timedelta(seconds=-2)}, False),
    ],
)
def test_sessions_selected_are_live(change, live):
    """A session that is revoked, expired or idle too long is listed nowhere."""
    now = timezone.now()
    moments = {name: now + span for name, span in change.items()}
    family = SessionFamilyFactory.create(**moments)

    found = list(select_sessions())

    assert (family in found) == live


def test_sessions_are_selected_by_user_and_by_id():
    """A user's sessions are their own; an id that is another's finds none of them."""
    own, other = SessionFamilyFactory.create(), SessionFamilyFactory.create()

    found = {
        "user": list(select_sessions(user_pk=own.user_pk)),
        "id": list(select_sessions(family_id=other.pk)),
        "both": list(select_sessions(user_pk=own.user_pk, family_id=other.pk)),
    }

    assert found == {"user": [own], "id": [other], "both": []}


@pytest.mark.parametrize("deadline", ["expires_at", "idle_at"])
def test_session_is_live_until_its_deadline(deadline):
    """At the very moment of its deadline a session is over."""
    moment = timezone.now() + timedelta(days=1)
    family = SessionFamilyFactory.create(**{deadline: moment})
    before = moment - timedelta(microseconds=1)

    live = [list(families().live(at)) == [family] for at in (before, moment)]

    assert live == [True, False]


@pytest.mark.parametrize("ended", ["revoked_at", "expires_at", "idle_at"])
def test_session_has_ended_before_any_later_moment(ended):
    """Of the ways to end, the first that came to pass counts, the moment excluded."""
    moment = timezone.now() - timedelta(days=40)
    SessionFamilyFactory.create(**{ended: moment})
    after = moment + timedelta(microseconds=1)

    found = [families().ended_before(at).count() for at in (moment, after)]

    assert found == [0, 1]


def test_rules_see_the_row_as_it_is():
    """What the rules decide on are the row's own values, byte for byte."""
    family = find_family(SessionFamilyFactory.create().pk)
    assert family is not None

    state = family_state(family)

    row = SessionFamily.objects.values().get()
    same = (
        *("generation", "previous", "confirmed_at", "displaced", "rotated_at"),
        *("expires_at", "idle_at", "revoked_at"),
    )
    assert {name: getattr(state, name) for name in same} == {
        name: row[name] for name in same
    }
    assert state.current_digest == bytes(row["current_digest"])
    assert state.previous_digest == bytes(row["previous_digest"])
    assert (state.user_active, state.password_unchanged) == (True, True)


def test_session_of_nobody_is_active_for_nobody():
    """A family whose user is gone has neither an active user nor a password."""
    family = SessionFamilyFactory.create()
    SessionFamily.objects.update(user=None)
    found = find_family(family.pk)
    assert found is not None

    state = family_state(found)

    assert (state.user_active, state.password_unchanged) == (False, False)


def test_password_hashed_with_a_fallback_key_is_unchanged(settings):
    """AC-03, I-22: A session from before a new key goes on while the old one serves."""
    pk = SessionFamilyFactory.create().pk
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the-key-that-comes-after-it-" + "fedcba9876543210" * 3
    family = find_family(pk)
    assert family is not None

    state = family_state(family)

    assert state.password_unchanged


def test_other_password_is_told_under_a_fallback_key(settings):
    """AC-03: A key that is rotated hides no change of the password."""
    stored = SessionFamilyFactory.create()
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the-key-that-comes-after-it-" + "fedcba9876543210" * 3
    stored.user.set_password("another one")
    stored.user.save()
    family = find_family(stored.pk)
    assert family is not None

    state = family_state(family)

    assert state.user_active
    assert not state.password_unchanged


def test_password_hashed_with_a_removed_key_has_changed(settings):
    """I-22: Without the old key a session from before the change is over."""
    pk = SessionFamilyFactory.create().pk
    settings.SECRET_KEY = "the-key-that-comes-after-it-" + "fedcba9876543210" * 3
    family = find_family(pk)
    assert family is not None

    state = family_state(family)

    assert not state.password_unchanged


def test_lock_returns_the_row_of_this_moment(django_assert_num_queries):
    """Locking reads the row again, and keeps the user already read."""
    family = find_family(SessionFamilyFactory.create().pk)
    assert family is not None
    SessionFamily.objects.update(generation=5)

    with django_assert_num_queries(1):
        locked = lock_family(family)
        assert locked is not None
        user = locked.user

    assert (locked.generation, user) == (5, family.user)


def test_lock_does_not_hand_the_row_to_the_user_it_had():
    """A row that lost its user meanwhile is locked without one."""
    family = find_family(SessionFamilyFactory.create().pk)
    assert family is not None
    SessionFamily.objects.update(user=None)

    locked = lock_family(family)

    assert locked is not None
    assert locked.user is None


def test_lock_of_a_purged_row_is_none():
    """A row that is gone cannot be locked."""
    family = SessionFamilyFactory.create()
    families().delete()

    locked = lock_family(family)

    assert locked is None


def test_claims_of_another_user_find_nobody(pair):
    """The user of the claims, not only that of the row, decides who is found."""
    claims = replace(claims_of(pair), user_pk="4711")

    found = find_session(claims)

    assert found is None


@pytest.mark.parametrize(
    ("number", "sizes"),
    [(0, []), (1, [1]), (3, [3]), (4, [3, 1]), (6, [3, 3]), (7, [3, 3, 1])],
)
def test_keys_come_in_batches(db, number, sizes):
    """RV-08: Every key of a selection comes once, so many at a time."""
    families = SessionFamilyFactory.create_batch(number)

    batches = list(read_key_batches(SessionFamily.objects.all(), 3))

    assert [len(batch) for batch in batches] == sizes
    keys = [key for batch in batches for key in batch]
    assert sorted(keys) == sorted(family.pk for family in families)


def test_keys_of_a_slice_come_in_its_order(db):
    """A selection may be sorted and cut: it is what it was when it was read."""
    families = SessionFamilyFactory.create_batch(9)
    oldest = SessionFamily.objects.order_by("current_digest")[1:6]
    expected = [family.pk for family in oldest]

    batches = list(read_key_batches(oldest, 2))

    assert batches == [expected[:2], expected[2:4], expected[4:]]
    assert len(families) == 9


def test_selection_is_read_before_the_first_batch(db):
    """What is done to one batch takes nothing out of the next."""
    SessionFamilyFactory.create_batch(5)
    rows = SessionFamily.objects.filter(revoked_at=None)

    batches = []
    for batch in read_key_batches(rows, 2):
        SessionFamily.objects.update(revoked_at=timezone.now())
        batches.append(batch)

    assert [len(batch) for batch in batches] == [2, 2, 1]


@pytest.mark.parametrize("after", [0, 1])
def test_keys_that_cannot_be_read_are_unavailable(db, after):
    """RV-09: A database that fails at the first keys, or at all, says so."""
    SessionFamilyFactory.create_batch(3)
    seen = []

    def fail(execute: Any, sql: str, *args: Any) -> Any:
        seen.extend([sql] * sql.startswith("SELECT"))
        if len(seen) > after:
            raise OperationalError("The server went away.")
        return execute(sql, *args)

    with connection.execute_wrapper(fail), pytest.raises(Unavailable):
        list(read_key_batches(SessionFamily.objects.all(), 2))
