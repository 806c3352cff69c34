"""Refresh: every row of the protocol's table, carried out on a real row."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import override_settings
from django.utils import timezone

from rotating_sessions.clients import Client
from rotating_sessions.exceptions import (
    InvalidToken,
    RefreshTokenReused,
    SessionEnded,
    SessionError,
    SessionExpired,
    Unavailable,
)
from rotating_sessions.models import RefreshToken, SessionFamily
from rotating_sessions.services.reading import password_state
from rotating_sessions.signals import (
    lost_commit,
    network_changed,
    refresh_token_reused,
    session_refreshed,
    session_revoked,
)
from rotating_sessions.transports import TokenPair
from tests.acting import (
    MOMENT,
    SKEW,
    START,
    TICK,
    Clock,
    W,
    claims_of,
    client_at,
    columns,
    counted,
    digest_of,
    heard,
    log_in,
    overtaken,
    present,
    reads,
    restore,
    rows_of,
    twin_of,
    use,
    writes,
)
from tests.browsing import FIREFOX, HOME, TRAIN
from tests.factories import SessionFamilyFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def second(first: TokenPair, clock: Clock) -> TokenPair:
    """Return the pair of the first refresh, a moment ago and not confirmed."""
    pair = present(first)
    clock.forward(MOMENT)
    return pair


# Current.


def test_first_refresh_rotates_however_soon_after_the_login(first, clock):
    """The first refresh rotates: a login has no rotation to keep a distance from."""
    before = columns(first)

    answer = present(first)

    assert columns(first) == before | {
        "generation": 1,
        "previous": 0,
        "current_digest": digest_of(answer),
        "previous_digest": digest_of(first),
        "rotated_at": clock.now,
        "idle_at": clock.now + timedelta(days=14),
    }


def test_current_token_outside_the_grace_period_rotates(second, clock):
    """A rotation moves the row on by one, and forgets confirmation and losses."""
    rows_of(second).update(confirmed_at=clock.now, displaced=2)
    before = columns(second)
    clock.forward(W)

    answer = present(second)

    assert columns(second) == before | {
        "generation": 2,
        "previous": 1,
        "current_digest": digest_of(answer),
        "previous_digest": digest_of(second),
        "confirmed_at": None,
        "displaced": 0,
        "rotated_at": clock.now,
        "idle_at": clock.now + timedelta(days=14),
    }


@pytest.mark.parametrize(
    ("elapsed", "rotates"),
    [(timedelta(), False), (W - TICK, False), (W, True), (W + TICK, True)],
)
def test_rotations_are_a_grace_period_apart(first, clock, elapsed, rotates):
    """I-14: The newest token rotates from W after the last rotation on, not before."""
    newest = present(first)
    clock.forward(elapsed)

    answer = present(newest)

    assert (answer.refresh is not None) == rotates


def test_current_token_inside_the_grace_period_confirms(second, clock):
    """The newest token, back within W, proves that its answer arrived."""
    rows_of(second).update(displaced=2)
    before = columns(second)

    answer = present(second)

    assert answer.refresh is None
    assert claims_of(answer).generation == 1
    assert columns(second) == before | {"confirmed_at": clock.now, "displaced": 0}


def test_confirmed_token_inside_the_grace_period_changes_nothing(second, clock):
    """A confirmed token that comes back within W is answered without a write."""
    present(second)
    before = columns(second)
    clock.forward(MOMENT)

    answer = present(second)

    assert answer.refresh is None
    assert columns(second) == before


def test_hundred_refreshes_within_a_second_rotate_once(first):
    """RT-08, I-14: However often a client refreshes within W, it rotates once."""
    answers = [present(first) for _ in range(100)]

    assert [answer.refresh is None for answer in answers] == [False, *[True] * 99]
    assert columns(first)["generation"] == 1


# Previous.


@pytest.mark.parametrize("elapsed", [timedelta(), W - TICK])
def test_previous_token_inside_the_grace_period_is_forgiven(first, clock, elapsed):
    """RT-03, I-10: The predecessor, within W, gets access of its own generation."""
    present(first)
    before = columns(first)
    clock.forward(elapsed)

    answer = present(first)

    assert answer.refresh is None
    assert claims_of(answer).generation == 0
    assert columns(first) == before


def test_access_only_answer_never_confirms_the_successor(first):
    """I-10: Using what the predecessor was given leaves the successor unconfirmed."""
    present(first)
    answer = present(first)

    use(answer)

    assert columns(first)["confirmed_at"] is None


@pytest.mark.parametrize("elapsed", [timedelta(), W - TICK])
def test_superseded_token_is_forgiven_within_the_grace_period(first, clock, elapsed):
    """RT-03, I-9: Within W a predecessor, its successor confirmed, gets access only."""
    use(present(first))
    clock.forward(elapsed)

    answer = present(first)

    assert answer.refresh is None
    assert claims_of(answer).generation == 0


@pytest.mark.parametrize("elapsed", [W, W + TICK, timedelta(days=13)])
def test_superseded_token_is_reuse_after_the_grace_period(first, clock, elapsed):
    """RT-05, I-9: From W on, a predecessor, its successor confirmed, is theft."""
    use(present(first))
    clock.forward(elapsed)

    with pytest.raises(RefreshTokenReused):
        present(first)

    row = columns(first)
    assert (row["revoked_at"], row["revoked_reason"]) == (clock.now, "reused")


@pytest.mark.parametrize("elapsed", [W, timedelta(days=13)])
def test_lost_answer_is_replaced_after_the_grace_period(first, clock, elapsed):
    """RT-04: A predecessor whose successor was never confirmed gets another one."""
    present(first)
    before = columns(first)
    clock.forward(elapsed)

    answer = present(first)

    assert claims_of(answer).generation == 2
    assert columns(first) == before | {
        "generation": 2,
        "current_digest": digest_of(answer),
        "displaced": 1,
        "rotated_at": clock.now,
        "idle_at": clock.now + timedelta(days=14),
        "ends_on": (clock.now + timedelta(days=14)).date(),
    }


def test_three_answers_in_a_row_may_be_lost(first, clock):
    """RT-04, I-13: A successor is replaced three times, then the session ends."""
    for _ in range(4):
        assert present(first).refresh is not None
        clock.forward(W)

    with pytest.raises(SessionEnded) as refusal:
        present(first)

    assert not isinstance(refusal.value, RefreshTokenReused)
    row = columns(first)
    assert (row["generation"], row["displaced"]) == (4, 3)
    assert (row["revoked_at"], row["revoked_reason"]) == (
        clock.now,
        "unconfirmed_limit",
    )


@pytest.mark.parametrize("prove", [use, present])
def test_losses_are_forgotten_once_the_client_proves_itself(first, clock, prove):
    """I-13: A confirmation, by either token, sets the count of losses back."""
    present(first)
    clock.forward(W)
    newest = present(first)

    prove(newest)

    assert columns(first)["displaced"] == 0


def test_losses_are_forgotten_by_a_rotation(first, clock):
    """I-13: A rotation sets the count of losses back."""
    present(first)
    clock.forward(W)
    newest = present(first)
    clock.forward(W)

    present(newest)

    assert columns(first)["displaced"] == 0


# Reuse.


@override_settings(ROTATING_SESSIONS={"GRACE_PERIOD": timedelta()})
def test_rotations_of_one_moment_are_told_apart(rf, user, clock):
    """RT-02: Tokens are ordered by generation, though all were issued at one moment."""
    first = newest = log_in(rf, user)
    for _ in range(3):
        newest = present(newest)

    issued = RefreshToken.objects.values_list("issued_at", flat=True).distinct()
    assert list(issued) == [clock.now]
    assert columns(first)["generation"] == 3
    assert present(newest).refresh is not None
    with pytest.raises(RefreshTokenReused):
        present(first)


def test_token_of_the_login_is_theft_to_the_end(first, clock, settings):
    """RT-06: 29 days, 29 rotations and a new key later the first token is theft."""
    newest = first
    for day in range(29):
        if day == 14:
            settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
            settings.SECRET_KEY = "the-key-that-comes-after-it-" + "fedcba98" * 6
        clock.forward(timedelta(days=1))
        newest = present(newest)

    with pytest.raises(RefreshTokenReused):
        present(first)

    assert columns(first)["revoked_reason"] == "reused"


@pytest.mark.parametrize("elapsed", [timedelta(), W, timedelta(days=13)])
def test_refresh_with_an_orphan_ends_the_session(first, clock, elapsed):
    """RT-07, I-11: Nobody held a displaced successor, so whoever has it stole it."""
    orphan = present(first)
    clock.forward(W)
    present(first)
    clock.forward(elapsed)

    with pytest.raises(RefreshTokenReused):
        present(orphan)

    assert columns(first)["revoked_reason"] == "reused"


@pytest.mark.parametrize("elapsed", [timedelta(), W, timedelta(days=13)])
def test_token_older_than_the_predecessor_ends_the_session(
    first, second, clock, elapsed
):
    """RT-06: A token two generations old is theft, also within W of a rotation."""
    clock.forward(W)
    present(second)
    clock.forward(elapsed)

    with pytest.raises(RefreshTokenReused):
        present(first)

    assert columns(first)["revoked_reason"] == "reused"


@pytest.mark.parametrize("generation", [0, 1])
def test_other_token_of_a_known_generation_ends_the_session(second, generation):
    """RT-13, I-16: A generation has one token; a second, though genuine, is theft."""
    twin = twin_of(second, generation)

    with pytest.raises(RefreshTokenReused):
        present(twin)

    assert columns(second)["revoked_reason"] == "reused"


def test_reuse_marks_the_token_that_came_back(first, second, clock):
    """The ledger tells staff which of the tokens was replayed, when and by whom."""
    clock.forward(W)
    present(second)
    thief = replace(client_at("192.0.2.66"), user_agent="curl/8")

    with pytest.raises(RefreshTokenReused):
        present(first, thief)

    marks = RefreshToken.objects.order_by("generation").values_list(
        "reused_at", "reused_ip_address", "reused_user_agent"
    )
    assert list(marks) == [
        (clock.now, "192.0.2.66", "curl/8"),
        (None, None, ""),
        (None, None, ""),
    ]


@pytest.mark.django_db(transaction=True)
def test_theft_is_announced_once(first, clock, caplog):
    """RT-10: The first replay is announced and logged, and later ones are not."""
    use(present(first))
    clock.forward(W)
    caplog.set_level(logging.WARNING, "rotating_sessions.security")

    with heard(refresh_token_reused, session_revoked) as events:
        for _ in range(3):
            with pytest.raises(SessionEnded):
                present(first)

    family = rows_of(first).get()
    who = {"family_id": family.pk, "user_pk": family.user_pk}
    assert events == [who | {"reason": "reused"}, who | {"generation": 0}]
    assert [record.getMessage() for record in caplog.records] == [
        "refresh_token_reused"
    ]


# Lost commits.


@pytest.mark.parametrize("lost", [1, 2])
def test_failover_that_lost_commits_is_forgiven(first, clock, lost):
    """RT-13, I-15: A token newer than the row by two at most counts as the newest."""
    saved = columns(first)
    newest = first
    for _ in range(lost):
        newest = present(newest)
        clock.forward(W)
    restore(first, saved)

    answer = present(newest)

    assert columns(first) == saved | {
        "generation": lost + 1,
        "previous": lost,
        "current_digest": digest_of(answer),
        "previous_digest": digest_of(newest),
        "rotated_at": clock.now,
        "idle_at": clock.now + timedelta(days=14),
    }


@pytest.mark.django_db(transaction=True)
def test_lost_commits_are_announced(second, clock, caplog):
    """I-15: A jump over lost commits is an event of its own, and logged as an error."""
    rows_of(second).update(generation=0, current_digest=b"0" * 32, rotated_at=None)

    with heard(lost_commit) as events:
        RefreshToken.objects.filter(generation=1).delete()
        present(second)

    (event,) = events
    assert event["generation"] == 1
    assert "lost_commit" in [
        record.getMessage()
        for record in caplog.records
        if record.levelno == logging.ERROR
    ]


@pytest.mark.parametrize("generation", [2**63 - 1, 2**63, 2**64 - 1])
def test_generation_that_no_column_holds_changes_nothing(first, generation):
    """TF-06: The largest generations, genuinely signed, are refused like any ahead."""
    before = columns(first)

    with pytest.raises(SessionEnded):
        present(twin_of(first, generation))

    assert columns(first) == before


def test_token_further_ahead_is_refused_and_nothing_else(first, clock, caplog):
    """RT-13, I-15: What no failover explains is refused, and changes nothing."""
    saved = columns(first)
    newest = first
    for _ in range(3):
        newest = present(newest)
        clock.forward(W)
    restore(first, saved)
    caplog.set_level(logging.ERROR, "rotating_sessions.security")

    with pytest.raises(SessionEnded):
        present(newest)

    assert columns(first) == saved
    (record,) = caplog.records
    assert (record.getMessage(), record.generation) == ("generation_ahead", 3)


def test_failover_does_not_revive_a_revoked_session(first, second, clock):
    """RT-13, I-15: A token ahead of a revoked row gets nothing, and moves nothing."""
    rows_of(second).update(
        generation=0, current_digest=digest_of(first), revoked_at=clock.now
    )
    before = columns(second)

    with pytest.raises(SessionEnded):
        present(second)

    assert columns(second) == before


@pytest.mark.parametrize(
    ("behind", "forgiven"),
    [
        (timedelta(), True),
        (timedelta(seconds=5), True),
        (timedelta(seconds=5, microseconds=999_999), False),
        (timedelta(seconds=6), False),
    ],
)
def test_token_of_a_lost_branch_is_theft_once_the_row_rotated_anew(
    first, clock, behind, forgiven
):
    """I-15: A token ahead that is older than the row's rotation is a fork: revoke."""
    present(first)
    rotated_at = clock.now.replace(microsecond=0)
    rows_of(first).update(rotated_at=rotated_at)
    fork = twin_of(first, 2, issued_at=rotated_at - behind)
    clock.forward(W)

    try:
        outcome: object = present(fork).refresh
    except RefreshTokenReused as error:
        outcome = error

    assert isinstance(outcome, str) == forgiven
    assert (columns(first)["revoked_reason"] == "reused") != forgiven


# Ended.


@pytest.mark.parametrize("deadline", ["expires_at", "idle_at"])
@pytest.mark.parametrize(("late", "ends"), [(-TICK, False), (timedelta(), True)])
def test_session_ends_at_its_deadline(first, clock, deadline, late, ends):
    """RT-09: A session idle too long or too old is over, from that moment on."""
    rows_of(first).update(**{deadline: clock.now - late})
    before = columns(first)

    try:
        outcome: object = present(first)
    except SessionExpired as error:
        outcome = error

    assert isinstance(outcome, SessionExpired) == ends
    assert (columns(first) == before) == ends


@pytest.mark.parametrize("elapsed", [timedelta(), -timedelta(days=9), W])
def test_revoked_session_yields_nothing(second, clock, elapsed):
    """I-1: A revoked session refuses its newest token, whatever the clock says."""
    rows_of(second).update(revoked_at=clock.now, revoked_reason="staff")
    before = columns(second)
    clock.forward(elapsed)

    with pytest.raises(SessionEnded) as refusal:
        present(second)

    assert not isinstance(refusal.value, SessionExpired)
    assert columns(second) == before


def test_rotation_moves_the_idle_deadline_and_not_the_absolute_one(first, clock):
    """RT-09: Refreshing keeps a session from idling out, and never from growing old."""
    expires_at = columns(first)["expires_at"]
    clock.forward(timedelta(days=10))

    present(first)

    row = columns(first)
    assert row["expires_at"] == expires_at
    assert row["idle_at"] == clock.now + timedelta(days=14)


def test_tokens_never_outlive_the_session(first, clock):
    """The answer's lifetimes end with the session, however long they are set."""
    rows_of(first).update(expires_at=clock.now + timedelta(seconds=90))

    answer = present(first)

    assert answer.access_lifetime == timedelta(seconds=90)
    assert answer.refresh_lifetime == timedelta(seconds=90)
    ends_at = (clock.now + timedelta(seconds=90)).replace(microsecond=0)
    assert claims_of(answer).expires_at == ends_at


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"is_active": False}, "user_inactive"),
        ({"password": "md5$salt$another"}, "password_changed"),
    ],
)
def test_change_of_the_user_ends_the_session(first, user, clock, change, reason):
    """I-23: A deactivated user, or another password, ends a session at its refresh."""
    type(user).objects.filter(pk=user.pk).update(**change)

    with pytest.raises(SessionEnded):
        present(first)

    row = columns(first)
    assert (row["revoked_at"], row["revoked_reason"]) == (clock.now, reason)


def test_token_of_a_deleted_user_is_refused(first, user):
    """I-23: Nothing is issued in the name of a user who is gone."""
    rows_of(first).update(user=None)
    type(user).objects.filter(pk=user.pk).delete()

    with pytest.raises(SessionEnded):
        present(first)

    assert columns(first)["revoked_reason"] == "user_inactive"


# Not ours.


def test_garbage_costs_no_query(django_assert_num_queries):
    """TH-01: What has not the shape, key id or filter of our tokens costs no I/O."""
    with django_assert_num_queries(0), pytest.raises(InvalidToken):
        present("rsrt_" + "A" * 120)


@pytest.mark.parametrize(
    "forged",
    [{"secret": b"\x07" * 32}, {"user_pk": "4711"}],
    ids=["without the family's secret", "for another user"],
)
def test_token_with_a_wrong_tag_is_refused(first, forged):
    """KM-06: Neither the key nor the database alone is enough to mint a token."""
    before = columns(first)
    value = twin_of(first, **forged)

    with pytest.raises(InvalidToken):
        present(value)

    assert columns(first) == before


def test_token_of_an_unknown_family_is_refused(first):
    """Once its family is purged, a token proves nothing."""
    rows_of(first).delete()

    with pytest.raises(InvalidToken):
        present(first)


@pytest.mark.parametrize(("kept", "came"), [("header", "cookie"), ("cookie", "header")])
def test_session_keeps_the_transport_of_its_login(rf, user, kept, came):
    """A token that comes by the other transport is refused, and changes nothing."""
    pair = log_in(rf, user, transport=kept)
    before = columns(pair)

    with pytest.raises(InvalidToken):
        present(pair, transport=came)

    assert columns(pair) == before


def test_row_pointed_at_another_user_is_refused(first):
    """Write access to the table does not hand a session over to another user."""
    rows_of(first).update(user=UserFactory.create())
    before = columns(first)

    with pytest.raises(InvalidToken):
        present(first)

    assert columns(first) == before


def test_row_handed_to_another_user_altogether_is_refused(first):
    """A row whose user and user id are both replaced no longer fits its tokens."""
    other = UserFactory.create()
    rows_of(first).update(user=other, user_pk=str(other.pk))
    before = columns(first)

    with pytest.raises(InvalidToken):
        present(first)

    assert columns(first) == before


def test_user_with_a_used_primary_key_inherits_no_session(first, user):
    """AC-04, I-23: A new user with a deleted one's primary key gets no session."""
    key = user.pk
    user.delete()
    UserFactory.create(pk=key)

    with pytest.raises(SessionEnded):
        present(first)

    assert columns(first)["revoked_reason"] == "user_deleted"


# Networks.


def networks_of(pair: TokenPair) -> list[str]:
    return columns(pair)["networks"].split()


@pytest.mark.parametrize("within_grace", [False, True])
def test_refresh_adds_the_network_it_comes_from(first, clock, within_grace):
    """I-25: Every answer makes the client's network good for its access token."""
    if within_grace:
        present(first)
    (home,) = networks_of(first)

    answer = present(first, client_at(TRAIN))

    known = networks_of(first)
    assert (len(known), known[0]) == (2, home)
    assert claims_of(answer).networks == tuple(known)


def test_four_networks_are_remembered(first, clock):
    """I-25: The least recently used of more than four networks drops out."""
    present(first)
    (home,) = networks_of(first)
    for number in (1, 2, 3):
        present(first, client_at(f"198.51.100.{number}"))
    known = networks_of(first)
    present(first)

    present(first, client_at("198.51.100.4"))

    *kept, newest = networks_of(first)
    assert len(known) == 4
    assert kept == [*known[2:], home]
    assert newest not in known


def test_client_and_address_of_the_last_new_network_are_kept_for_people(first, clock):
    """The row shows where and with what the session was last refreshed."""
    clock.forward(W)
    elsewhere = Client(ip_address=TRAIN, network=f"{TRAIN}/32", user_agent="curl/8.5")

    present(first, elsewhere)

    row = columns(first)
    assert (row["ip_address"], row["user_agent"]) == (TRAIN, "curl/8.5")


@pytest.mark.parametrize("within_grace", [False, True])
def test_unknown_address_leaves_the_networks_as_they_are(first, within_grace):
    """A client whose address is unknown neither adds a network nor removes one."""
    if within_grace:
        present(first)
    known = networks_of(first)

    present(first, client_at(None))

    assert networks_of(first) == known


def test_nothing_is_remembered_while_binding_is_off(first):
    """Without BIND_NETWORK no network is added."""
    known = networks_of(first)

    with override_settings(ROTATING_SESSIONS={"BIND_NETWORK": False}):
        present(first, client_at(TRAIN))

    assert networks_of(first) == known


def test_tokens_name_no_network_while_binding_is_off(first):
    """Without BIND_NETWORK a token is free, though its session knows a network."""
    with override_settings(ROTATING_SESSIONS={"BIND_NETWORK": False}):
        pair = present(first)

        assert claims_of(pair).networks == ()
    assert networks_of(first)


@pytest.mark.django_db(transaction=True)
def test_network_is_announced_when_it_is_new(first):
    """network_changed tells of a network once, and not of the return to a known one."""
    family = rows_of(first).get()

    with heard(network_changed) as events:
        for address in (None, HOME, TRAIN, HOME, TRAIN, None):
            present(first, client_at(address))

    assert events == [
        {"family_id": family.pk, "user_pk": family.user_pk, "ip_address": TRAIN}
    ]


def test_network_hashed_with_a_retired_key_is_the_same_network(first, settings):
    """A change of the first key makes no known network new."""
    present(first)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the-key-that-comes-after-it-" + "fedcba9876543210" * 3
    (known,) = networks_of(first)

    present(first)

    (renewed,) = networks_of(first)
    assert renewed != known


# The clock.


@pytest.mark.parametrize(
    ("behind", "forgiven"), [(TICK, True), (SKEW, True), (SKEW + TICK, False)]
)
def test_clock_of_another_host_may_be_behind_a_little(first, clock, behind, forgiven):
    """A host behind by CLOCK_SKEW at most sees the rotation as made just now."""
    newest = present(first)
    clock.forward(-behind)

    answer = present(newest)

    assert (answer.refresh is None) == forgiven


@pytest.mark.parametrize(("behind", "revoked"), [(SKEW, False), (SKEW + TICK, True)])
def test_clock_that_ran_back_is_outside_the_grace_period(first, clock, behind, revoked):
    """RT-14, I-9: Before its rotation a superseded token is not forgiven either."""
    use(present(first))
    clock.forward(-behind)

    try:
        outcome: object = present(first)
    except RefreshTokenReused as error:
        outcome = error

    assert isinstance(outcome, RefreshTokenReused) == revoked


def test_answer_given_behind_the_rotation_is_dated_as_the_rotation(first, clock):
    """Within the clocks' skew, a confirmation never comes before its rotation."""
    newest = present(first)
    rotated_at = clock.now
    clock.forward(-SKEW)

    present(newest)

    assert columns(first)["confirmed_at"] == rotated_at


# Others are first.


def rotated_by_another(pair: TokenPair) -> dict[str, Any]:
    """Return the row as another request, that presented the same token, left it."""
    return {
        "generation": 1,
        "previous": 0,
        "previous_digest": digest_of(pair),
        "current_digest": sha256(b"the winner's").digest(),
        "rotated_at": timezone.now(),
    }


def test_loser_of_a_race_gets_access_only(first):
    """I-4: Who presents a token just rotated by another request gets access only."""
    winner = rotated_by_another(first)

    with overtaken(lambda: rows_of(first).update(**winner)):
        answer = present(first)

    assert answer.refresh is None
    assert claims_of(answer).generation == 0
    row = columns(first)
    assert {name: row[name] for name in winner} == winner


@pytest.mark.parametrize("address", [HOME, TRAIN])
def test_loser_of_a_race_costs_no_more_than_a_refresh(first, address):
    """I-20: The losing side takes two reads and two writes at most."""
    winner = rotated_by_another(first)

    with (
        counted() as verbs,
        overtaken(lambda: rows_of(first).update(**winner)),
    ):
        present(first, client_at(address))

    # One of the updates is the winner's, made on the same connection.
    assert reads(verbs) == 2
    assert writes(verbs) - 1 <= 2


def test_refresh_overtaken_by_a_revocation_gets_nothing(first, clock):
    """I-2: A revocation that commits before the rotation is written wins."""
    revoked = {"revoked_at": clock.now, "revoked_reason": "logout"}

    with (
        overtaken(lambda: rows_of(first).update(**revoked)),
        pytest.raises(SessionEnded),
    ):
        present(first)

    row = columns(first)
    assert (row["generation"], row["revoked_reason"]) == (0, "logout")


def test_re_rotation_overtaken_by_a_confirmation_is_reuse(first, clock):
    """I-12: A successor that is confirmed in time is not replaced: it is theft."""
    present(first)
    clock.forward(W)

    with (
        overtaken(lambda: rows_of(first).update(confirmed_at=clock.now)),
        pytest.raises(RefreshTokenReused),
    ):
        present(first)

    row = columns(first)
    assert (row["generation"], row["displaced"]) == (1, 0)
    assert row["revoked_reason"] == "reused"


def test_confirmation_overtaken_by_another_leaves_the_first_moment(second, clock):
    """I-2: Of two confirmations the first counts, and both are answered."""
    earlier = clock.now - TICK

    with overtaken(lambda: rows_of(second).update(confirmed_at=earlier)):
        answer = present(second)

    assert answer.refresh is None
    assert columns(second)["confirmed_at"] == earlier


def test_network_added_by_another_request_is_not_lost(first):
    """I-2: Two networks that come at the same time are both remembered."""
    present(first)
    both = f"{columns(first)['networks']} somewhere"

    with overtaken(lambda: rows_of(first).update(networks=both)):
        present(first, client_at(TRAIN))

    assert networks_of(first)[:2] == both.split()
    assert len(networks_of(first)) == 3


def test_session_purged_before_the_write_is_unknown(first):
    """A family that is deleted between read and write is a family that is gone."""
    with (
        overtaken(lambda: rows_of(first).delete()),
        pytest.raises(InvalidToken),
    ):
        present(first)

    assert not RefreshToken.objects.exists()


def test_session_kept_at_a_password_change_stays_kept(first, user):
    """I-23: A refresh that overlaps the password change does not undo the keeping."""
    user.set_password("another one")

    def keep_session() -> None:
        user.save()
        stamp = SessionFamilyFactory.build(user=user).auth_hash
        rows_of(first).update(auth_hash=stamp)

    with overtaken(keep_session):
        newest = present(first)

    assert present(newest).access


def test_row_that_never_stays_makes_the_client_retry(first):
    """I-6: A row that changes under its lock yields no token; the old one serves."""

    def never_matches(execute: Any, sql: str, *args: Any) -> Any:
        if sql.startswith(("UPDATE", "WITH")) and "sessionfamily" in sql:
            sql = sql.replace("WHERE", "WHERE 1 = 0 AND", 1)
        return execute(sql, *args)

    with connection.execute_wrapper(never_matches), pytest.raises(Unavailable):
        present(first)

    assert present(first).refresh is not None


# The cost and the place.


@pytest.mark.parametrize("address", [HOME, TRAIN, None])
@pytest.mark.parametrize("elapsed", [timedelta(), W])
@pytest.mark.parametrize("presented", [0, 1])
def test_refresh_costs_two_reads_and_two_writes_at_most(
    first, clock, elapsed, presented, address
):
    """I-20: Rotated, re-rotated, confirmed or kept: two reads, two writes at most."""
    pair = [first, present(first)][presented]
    clock.forward(elapsed)

    with counted() as verbs:
        present(pair, client_at(address))

    assert reads(verbs) == 1
    assert writes(verbs) <= 2


def test_lost_commits_cost_no_more_than_a_rotation(first, clock):
    """I-20: A jump over lost commits takes one read and two writes."""
    saved = columns(first)
    newest = present(first)
    restore(first, saved)

    with counted() as verbs:
        present(newest)

    assert (reads(verbs), writes(verbs)) == (1, 2)


@pytest.mark.parametrize("age", [2, 7, 15])
def test_replay_costs_the_same_at_any_age(first, clock, age):
    """TH-06, I-20: A stolen token of any age takes a read and two writes to expose."""
    newest = first
    for _ in range(age):
        newest = present(newest)
        clock.forward(W)

    with counted() as verbs, pytest.raises(RefreshTokenReused):
        present(first)

    assert verbs == {"SELECT": 1, "UPDATE": 2}


@override_settings(DATABASE_ROUTERS=["tests.routers.EveryReplica"])
def test_authority_is_read_where_it_is_written(rf, clock):
    """DB-03, I-15: Login, refresh, use and replay never read from another database."""
    user = UserFactory.build(pk=1)
    user.save(using="default", force_insert=True)
    first = log_in(rf, user)
    second = present(first)
    use(second)
    clock.forward(W)
    use(present(second))

    with pytest.raises(RefreshTokenReused):
        present(first)

    row = SessionFamily.objects.using("default").get()
    assert (row.generation, row.revoked_reason) == (2, "reused")
    assert SessionFamily.objects.db == "replica-that-nobody-may-ask"


@override_settings(DATABASE_ROUTERS=["tests.routers.EveryReplica"])
def test_user_is_read_anew_where_sessions_are_written(rf, clock):
    """DB-03, I-15: A refresh overtaken by a new password asks no replica for it."""
    user = UserFactory.build(pk=1)
    user.save(using="default", force_insert=True)
    first = log_in(rf, user)
    row = SessionFamily.objects.using("default")

    def change_password() -> None:
        user.set_password("another one")
        user.save(using="default")
        row.update(auth_hash=password_state(user))

    with overtaken(change_password):
        second = present(first)

    assert second.refresh is not None
    assert row.get().generation == 1


@pytest.mark.django_db(transaction=True)
def test_refresh_refuses_to_run_inside_a_transaction(first):
    """I-5: An answer that its caller may still roll back is never given."""
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        present(first)

    assert columns(first)["generation"] == 0


@pytest.mark.django_db(transaction=True)
def test_refusal_never_rolls_its_revocation_back(first, clock):
    """DB-01, I-1: The session is revoked and committed before the error is raised."""
    use(present(first))
    clock.forward(W)

    with pytest.raises(SessionError):
        present(first)
    connection.close()

    assert columns(first)["revoked_reason"] == "reused"


# What is issued.


def test_answer_tells_who_logged_in_when_and_from_where(first, second, user):
    """AC-09: The access token of a refresh names family, user, login and networks."""
    claims = claims_of(second)

    row = columns(first)
    assert (claims.family_id, claims.user_pk) == (row["id"], str(user.pk))
    assert claims.auth_time == START.replace(microsecond=0)
    assert claims.issued_at == (START + MOMENT).replace(microsecond=0)
    assert claims.networks == (row["networks"],)
    assert claims.generation == 1


def test_each_token_issued_is_recorded(first, clock):
    """The ledger has one row for each token issued: when, to whom and its digest."""
    answer = present(first, client_at(TRAIN))

    token = RefreshToken.objects.get(generation=1)
    assert token.family_id == rows_of(first).get().pk
    assert bytes(token.digest) == digest_of(answer)
    assert (token.issued_at, token.reused_at) == (clock.now, None)
    assert (token.ip_address, token.user_agent) == (TRAIN, FIREFOX)


def test_authority_is_one_row_however_often_it_is_refreshed(first, clock):
    """After many refreshes one row decides, without a record of any token."""
    newest = first
    for _ in range(60):
        newest = present(newest)
        clock.forward(W)
    issued = RefreshToken.objects.count()
    RefreshToken.objects.all().delete()

    answer = present(newest)

    assert issued == 61
    assert SessionFamily.objects.count() == 1
    assert claims_of(answer).generation == 61
    with pytest.raises(RefreshTokenReused):
        present(first)


@pytest.mark.django_db(transaction=True)
def test_rotation_is_announced_with_its_generation(first):
    """session_refreshed tells of rotations, and not of answers with access only."""
    family = rows_of(first).get()

    with heard(session_refreshed) as events:
        present(first)
        present(first)

    assert events == [
        {"family_id": family.pk, "user_pk": family.user_pk, "generation": 1}
    ]


def test_rotation_stamps_the_password_with_the_key_in_force(first, clock, settings):
    """KM-03: A rotation moves a session to the new secret key: the old one can go."""
    old = settings.SECRET_KEY
    settings.SECRET_KEY = "the-key-that-comes-after-it-" + "fedcba9876543210" * 3
    settings.SECRET_KEY_FALLBACKS = [old]
    newest = present(first)
    settings.SECRET_KEY_FALLBACKS = []
    clock.forward(W)

    answer = present(newest)

    assert answer.refresh is not None
