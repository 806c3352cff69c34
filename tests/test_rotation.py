"""The rules of rotation: every row of the protocol's table, at every edge."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotating_sessions.rotation import (
    Decision,
    FamilyState,
    Policy,
    PresentedToken,
    Successor,
    Use,
    Verdict,
    decide,
    decide_use,
    still_serves,
)

W = timedelta(seconds=60)
TICK = timedelta(microseconds=1)
POLICY = Policy(grace_period=W)
ROTATED_AT = datetime(2026, 3, 2, 9, 30, 7, 250_000, tzinfo=UTC)
LONG_AFTER = ROTATED_AT + timedelta(hours=3)
# Where the grace period ends, begins, and what lies outside it.
INSIDE = [timedelta(), TICK, W / 2, W - TICK]
OUTSIDE = [W, W + TICK, timedelta(days=2), -TICK, -timedelta(hours=4)]


def digest_of(generation: int) -> bytes:
    return sha256(f"generation {generation}".encode()).digest()


# Generation 4 was rotated; its successors 5 and 6 were lost and displaced; 7 is newest.
FAMILY = FamilyState(
    generation=7,
    previous=4,
    current_digest=digest_of(7),
    previous_digest=digest_of(4),
    confirmed_at=None,
    displaced=2,
    rotated_at=ROTATED_AT,
    expires_at=ROTATED_AT + timedelta(days=21),
    idle_at=ROTATED_AT + timedelta(days=11),
    revoked_at=None,
    user_active=True,
    password_unchanged=True,
)
CONFIRMED_AT = ROTATED_AT + timedelta(seconds=13)
REVOKED_AT = ROTATED_AT + timedelta(minutes=17)


def token(generation: int, **changes: Any) -> PresentedToken:
    issued_at = datetime(2026, 3, 2, 9, 30, 9, tzinfo=UTC)
    value = PresentedToken(
        generation=generation, digest=digest_of(generation), issued_at=issued_at
    )
    return replace(value, **changes)


@pytest.mark.parametrize("confirmed_at", [None, CONFIRMED_AT])
@pytest.mark.parametrize("displaced", range(4))
@pytest.mark.parametrize("waited", OUTSIDE)
def test_the_newest_token_is_rotated_outside_the_grace_period(
    waited, displaced, confirmed_at
):
    """I-13, I-14: The newest token rotates outside W, and displaced starts anew."""
    family = replace(FAMILY, displaced=displaced, confirmed_at=confirmed_at)

    decision = decide(family, token(7), ROTATED_AT + waited, POLICY)

    successor = Successor(
        generation=8, previous=7, previous_digest=digest_of(7), displaced=0
    )
    assert decision == Decision(
        verdict=Verdict.ROTATE, generation=8, successor=successor
    )


@pytest.mark.parametrize(
    "family",
    [
        replace(FAMILY, rotated_at=None),
        replace(
            FAMILY, rotated_at=None, generation=0, previous=None, previous_digest=None
        ),
    ],
)
def test_the_first_refresh_after_a_login_always_rotates(family):
    """A family that never rotated is outside W, however short ago the login was."""
    presented = token(family.generation, digest=family.current_digest)

    decision = decide(family, presented, ROTATED_AT, POLICY)

    assert decision.verdict is Verdict.ROTATE
    assert decision.generation == family.generation + 1


def test_generations_of_an_old_family_are_numbers_like_any_other():
    """A family refreshed thousands of times knows its newest token by value."""
    family = replace(FAMILY, generation=70_000, current_digest=digest_of(70_000))

    decision = decide(family, token(int("70000")), LONG_AFTER, POLICY)

    assert decision.verdict is Verdict.ROTATE
    assert decision.generation == 70_001


@pytest.mark.parametrize("waited", INSIDE)
@pytest.mark.parametrize(
    ("confirmed_at", "verdict"),
    [(None, Verdict.CONFIRM), (CONFIRMED_AT, Verdict.KEEP)],
)
def test_the_newest_token_is_kept_inside_the_grace_period(
    confirmed_at, verdict, waited
):
    """I-14: Inside W the newest token is confirmed if need be, and answered access."""
    family = replace(FAMILY, confirmed_at=confirmed_at)

    decision = decide(family, token(7), ROTATED_AT + waited, POLICY)

    assert decision == Decision(verdict=verdict, generation=7)


@pytest.mark.parametrize("confirmed_at", [None, CONFIRMED_AT])
@pytest.mark.parametrize("displaced", range(4))
@pytest.mark.parametrize("waited", INSIDE)
def test_the_predecessor_is_forgiven_inside_the_grace_period(
    waited, displaced, confirmed_at
):
    """I-9, I-10: Inside W the predecessor gets access of its own generation only."""
    family = replace(FAMILY, displaced=displaced, confirmed_at=confirmed_at)

    decision = decide(family, token(4), ROTATED_AT + waited, POLICY)

    assert decision == Decision(verdict=Verdict.KEEP, generation=4)


@pytest.mark.parametrize("displaced", range(3))
@pytest.mark.parametrize("waited", OUTSIDE)
def test_the_predecessor_of_a_lost_successor_is_given_another(waited, displaced):
    """I-13: Outside W an unconfirmed successor is displaced, three times at most."""
    family = replace(FAMILY, displaced=displaced)

    decision = decide(family, token(4), ROTATED_AT + waited, POLICY)

    successor = Successor(
        generation=8, previous=4, previous_digest=digest_of(4), displaced=displaced + 1
    )
    assert decision == Decision(
        verdict=Verdict.RE_ROTATE, generation=8, successor=successor
    )


@pytest.mark.parametrize("displaced", [3, 4])
@pytest.mark.parametrize("waited", OUTSIDE)
def test_a_fourth_lost_successor_ends_the_session(waited, displaced):
    """I-13: After three displaced successors in a row the predecessor revokes."""
    family = replace(FAMILY, displaced=displaced)

    decision = decide(family, token(4), ROTATED_AT + waited, POLICY)

    assert decision == Decision(verdict=Verdict.UNCONFIRMED_LIMIT)


@pytest.mark.parametrize("displaced", range(4))
@pytest.mark.parametrize("waited", OUTSIDE)
def test_the_predecessor_of_a_confirmed_successor_is_reuse(waited, displaced):
    """I-9: Outside W a predecessor whose successor is confirmed was stolen."""
    family = replace(FAMILY, displaced=displaced, confirmed_at=CONFIRMED_AT)

    decision = decide(family, token(4), ROTATED_AT + waited, POLICY)

    assert decision == Decision(verdict=Verdict.REUSED)


@pytest.mark.parametrize("waited", [*INSIDE, *OUTSIDE])
@pytest.mark.parametrize("confirmed_at", [None, CONFIRMED_AT])
@pytest.mark.parametrize("generation", [0, 1, 3, 5, 6])
def test_an_orphan_or_an_ancestor_is_reuse_at_any_time(
    generation, confirmed_at, waited
):
    """I-11: No moment forgives a displaced token, or one older than the predecessor."""
    family = replace(FAMILY, confirmed_at=confirmed_at)

    decision = decide(family, token(generation), ROTATED_AT + waited, POLICY)

    assert decision == Decision(verdict=Verdict.REUSED)


@pytest.mark.parametrize("waited", [*INSIDE, *OUTSIDE])
@pytest.mark.parametrize("confirmed_at", [None, CONFIRMED_AT])
@pytest.mark.parametrize("generation", [4, 7])
def test_another_token_of_the_same_generation_is_reuse(
    generation, confirmed_at, waited
):
    """I-16: A generation that the row names by another digest revokes, at any time."""
    family = replace(FAMILY, confirmed_at=confirmed_at)
    twin = token(generation, digest=digest_of(99))

    decision = decide(family, twin, ROTATED_AT + waited, POLICY)

    assert decision == Decision(verdict=Verdict.REUSED)


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, Verdict.ROTATE),
        ({"revoked_at": REVOKED_AT}, Verdict.ENDED),
        ({"revoked_at": LONG_AFTER + timedelta(days=1)}, Verdict.ENDED),
        ({"expires_at": LONG_AFTER + TICK}, Verdict.ROTATE),
        ({"expires_at": LONG_AFTER}, Verdict.ENDED),
        ({"idle_at": LONG_AFTER + TICK}, Verdict.ROTATE),
        ({"idle_at": LONG_AFTER}, Verdict.ENDED),
        ({"user_active": False}, Verdict.USER_INACTIVE),
        ({"password_unchanged": False}, Verdict.PASSWORD_CHANGED),
        ({"user_active": False, "password_unchanged": False}, Verdict.USER_INACTIVE),
        ({"revoked_at": REVOKED_AT, "user_active": False}, Verdict.ENDED),
        ({"idle_at": LONG_AFTER, "password_unchanged": False}, Verdict.ENDED),
    ],
)
def test_what_ends_a_session_is_asked_before_the_token(change, verdict):
    """I-1, I-23: A session that is over, or whose user is, gives nothing any more."""
    family = replace(FAMILY, **change)

    decision = decide(family, token(7), LONG_AFTER, POLICY)

    assert decision.verdict is verdict


@pytest.mark.parametrize(
    ("generation", "use"),
    [
        *((generation, Use.HARMLESS) for generation in (0, 3, 4, 7, 8)),
        *((generation, Use.REUSED) for generation in (5, 6)),
    ],
)
def test_only_the_access_token_of_an_orphan_is_reuse(generation, use):
    """I-11: An access token betrays a theft where previous < gen < generation."""
    assert decide_use(FAMILY, generation) is use


@pytest.mark.parametrize("generation", [3, 5, 7])
def test_no_access_token_of_a_revoked_family_is_of_use(generation):
    """I-1: A revoked family has ended for its access tokens of any generation."""
    family = replace(FAMILY, revoked_at=REVOKED_AT)

    assert decide_use(family, generation) is Use.ENDED


def test_a_family_without_a_predecessor_has_no_orphans():
    """Before the first refresh no access token can be one of an orphan."""
    family = replace(FAMILY, previous=None, previous_digest=None)

    assert decide_use(family, 5) is Use.HARMLESS


FLOOR = ROTATED_AT.replace(microsecond=0)
SKEW = timedelta(seconds=5)


@pytest.mark.parametrize("waited", [*INSIDE, *OUTSIDE])
@pytest.mark.parametrize(
    ("generation", "issued_at", "verdict"),
    [
        (8, FLOOR - SKEW, Verdict.FAST_FORWARD),
        (9, FLOOR - SKEW, Verdict.FAST_FORWARD),
        (9, FLOOR + SKEW, Verdict.FAST_FORWARD),
        (8, FLOOR - SKEW - timedelta(seconds=1), Verdict.REUSED),
        (9, FLOOR - SKEW - timedelta(seconds=1), Verdict.REUSED),
        (10, FLOOR + SKEW, Verdict.AHEAD),
        (10, FLOOR - SKEW - timedelta(seconds=1), Verdict.AHEAD),
        (2**64 - 1, FLOOR + SKEW, Verdict.AHEAD),
    ],
)
def test_a_token_ahead_of_the_row_tells_of_lost_commits(
    generation, issued_at, verdict, waited
):
    """I-15: At most two generations ahead, and as young as the row, is the newest."""
    presented = token(generation, issued_at=issued_at)

    decision = decide(FAMILY, presented, ROTATED_AT + waited, POLICY)

    assert decision.verdict is verdict


def test_lost_commits_are_believed_where_the_row_never_rotated():
    """A row set back to its login has no rotation that a token could be older than."""
    family = replace(
        FAMILY, rotated_at=None, generation=0, previous=None, previous_digest=None
    )

    decision = decide(family, token(2), LONG_AFTER, POLICY)

    assert decision.successor == Successor(
        generation=3, previous=2, previous_digest=digest_of(2), displaced=0
    )


@given(
    generation=st.integers(0, 2**63 - 4),
    ahead=st.integers(-5, 5),
    displaced=st.integers(0, 3),
    waited=st.timedeltas(-timedelta(days=9), timedelta(days=9)),
    revoked=st.booleans(),
)
def test_fast_forward_only_goes_forward(generation, ahead, displaced, waited, revoked):
    """I-15: A fast-forward raises the generation by 2 or 3, on no revoked row."""
    family = replace(
        FAMILY,
        generation=generation,
        previous=None,
        displaced=displaced,
        revoked_at=REVOKED_AT if revoked else None,
    )

    decision = decide(family, token(generation + ahead), ROTATED_AT + waited, POLICY)

    forward = decision.verdict is Verdict.FAST_FORWARD
    assert forward == (ahead in {1, 2} and not revoked)
    if forward:
        assert decision.generation == generation + ahead + 1


# Each presented token that a family can meet, and what it is to FAMILY.
PRESENTED = {
    "ancient": token(1),
    "previous": token(4),
    "previous, other digest": token(4, digest=digest_of(98)),
    "orphan": token(6),
    "current": token(7),
    "current, other digest": token(7, digest=digest_of(97)),
    "one ahead": token(8),
    "two ahead": token(9),
    "two ahead, older than the row": token(9, issued_at=FLOOR - 2 * SKEW),
    "three ahead": token(10),
}
FORGIVEN = {
    # (what, inside W, confirmed, displaced 3)
    **{("current", True, False, last): "CONFIRM" for last in (False, True)},
    **{("current", True, True, last): "KEEP" for last in (False, True)},
    **dict.fromkeys(product(["current"], [False], [0, 1], [0, 1]), "ROTATE"),
    **dict.fromkeys(product(["previous"], [True], [0, 1], [0, 1]), "KEEP"),
    ("previous", False, False, False): "RE_ROTATE",
    ("previous", False, False, True): "UNCONFIRMED_LIMIT",
    **dict.fromkeys(product(["one ahead"], [0, 1], [0, 1], [0, 1]), "FAST_FORWARD"),
    **dict.fromkeys(product(["two ahead"], [0, 1], [0, 1], [0, 1]), "FAST_FORWARD"),
    **dict.fromkeys(product(["three ahead"], [0, 1], [0, 1], [0, 1]), "AHEAD"),
}
ENDS = [
    ({"revoked_at": REVOKED_AT}, "ENDED"),
    ({"expires_at": ROTATED_AT - timedelta(days=3)}, "ENDED"),
    ({"idle_at": ROTATED_AT - timedelta(days=4)}, "ENDED"),
    ({"user_active": False}, "USER_INACTIVE"),
    ({"password_unchanged": False}, "PASSWORD_CHANGED"),
]
ISSUES = {Verdict.ROTATE, Verdict.RE_ROTATE, Verdict.FAST_FORWARD}
KEEPS = {Verdict.KEEP, Verdict.CONFIRM}


def expected(what: str, family: FamilyState, waited: timedelta) -> Verdict:
    """Return the verdict of the protocol's table, written down a second time."""
    for change, verdict in ENDS:
        if all(getattr(family, name) == value for name, value in change.items()):
            return Verdict[verdict]
    inside = timedelta() <= waited < W
    row = (what, inside, family.confirmed_at is not None, family.displaced == 3)
    return Verdict[FORGIVEN.get(row, "REUSED")]


@pytest.mark.parametrize("what", PRESENTED)
@pytest.mark.parametrize("ends", list(product([False, True], repeat=len(ENDS))))
def test_every_combination_has_the_one_verdict_of_the_table(ends, what):
    """I-17: Token, row and moment alone decide, and tokens follow from the verdict."""
    presented = PRESENTED[what]
    over = [change for (change, _), on in zip(ENDS, ends, strict=True) if on]
    changes = {name: value for change in over for name, value in change.items()}
    for waited, confirmed_at, displaced in product(
        [*INSIDE, *OUTSIDE], [None, CONFIRMED_AT], range(4)
    ):
        family = replace(
            FAMILY, confirmed_at=confirmed_at, displaced=displaced, **changes
        )

        decision = decide(family, presented, ROTATED_AT + waited, POLICY)

        assert decision.verdict is expected(what, family, waited)
        assert (decision.successor is not None) == (decision.verdict in ISSUES)
        assert (decision.generation is None) == (decision.verdict not in ISSUES | KEEPS)
        if decision.verdict in KEEPS:
            assert decision.generation == presented.generation
        if decision.successor is not None:
            assert decision.generation == decision.successor.generation
            assert decision.generation > family.generation
            assert decision.successor.previous == presented.generation
            assert decision.successor.previous_digest == presented.digest
            assert 0 <= decision.successor.displaced <= 3


@pytest.mark.parametrize(
    "value", [FAMILY, token(7), POLICY, Decision(verdict=Verdict.AHEAD)]
)
def test_values_do_not_change(value):
    """I-17: What the rules look at and answer cannot be changed under their hands."""
    name = next(iter(value.__slots__))

    with pytest.raises(FrozenInstanceError):
        setattr(value, name, None)


@pytest.mark.parametrize("waited", [*INSIDE, *OUTSIDE])
@pytest.mark.parametrize("generation", range(9))
def test_a_generation_has_access_as_long_as_a_refresh_by_it(generation, waited):
    """I-8, I-9: The newest has, and inside the grace period its predecessor."""
    serves = still_serves(FAMILY, generation, ROTATED_AT + waited, POLICY)

    assert serves == (generation == 7 or (generation == 4 and waited in INSIDE))


def test_a_family_that_never_rotated_has_one_generation():
    """Without a predecessor the newest generation has access, and no other."""
    family = replace(FAMILY, generation=0, previous=None, rotated_at=None)

    assert still_serves(family, 0, LONG_AFTER, POLICY)
    assert not still_serves(family, 1, LONG_AFTER, POLICY)
