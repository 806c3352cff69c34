"""The shipped rules, explored through every state that clients can bring them to."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from rotating_sessions.rotation import (
    Decision,
    FamilyState,
    Policy,
    PresentedToken,
    Successor,
    Verdict,
    decide,
)
from tests.model.explore import find_coexistence, find_false_revocation
from tests.model.server import Decide


def without_minimum_interval(
    family: FamilyState, presented: PresentedToken, now: datetime, policy: Policy
) -> Decision:
    """Rotate the newest token whenever it comes."""
    if presented.digest == family.current_digest:
        family = replace(family, rotated_at=None)
    return decide(family, presented, now, policy)


def without_limit(
    family: FamilyState, presented: PresentedToken, now: datetime, policy: Policy
) -> Decision:
    """Replace unconfirmed successors for ever."""
    return decide(replace(family, displaced=0), presented, now, policy)


def with_idempotent_delivery(
    family: FamilyState, presented: PresentedToken, now: datetime, policy: Policy
) -> Decision:
    """Hand the same successor out again to whoever holds its predecessor."""
    decision = decide(family, presented, now, policy)
    if decision.verdict is not Verdict.KEEP or family.previous != presented.generation:
        return decision
    same = Successor(
        generation=family.generation,
        previous=presented.generation,
        previous_digest=presented.digest,
        displaced=0,
    )
    return replace(decision, generation=family.generation, successor=same)


def with_access_only_confirming(
    family: FamilyState, presented: PresentedToken, now: datetime, policy: Policy
) -> Decision:
    """Stamp the newest generation into every access token."""
    decision = decide(family, presented, now, policy)
    if decision.verdict is Verdict.KEEP:
        return replace(decision, generation=family.generation)
    return decision


def test_an_honest_browser_is_never_logged_out() -> None:
    """
    I-7: No lost, late or reordered answer ever revokes an honest browser's family.

    Two refreshes in flight, up to three full answers lost in a row, one lost commit.
    """
    story, states = find_false_revocation(decide)

    assert not story
    assert states > 30_000


def test_thief_and_victim_never_share_a_session_for_ever() -> None:
    """I-8: However well a thief plays, in no endless run do both make requests."""
    shared, states = find_coexistence(decide)

    assert not shared
    assert states > 1_000


@pytest.mark.parametrize(
    "mutant", [without_minimum_interval, with_access_only_confirming]
)
def test_a_rule_that_logs_honest_browsers_out_is_caught(mutant: Decide) -> None:
    """The model finds the story in which a careless rule revokes an honest family."""
    story, _states = find_false_revocation(mutant)

    assert story[-1].row.revoked


@pytest.mark.parametrize("mutant", [without_limit, with_idempotent_delivery])
def test_a_rule_that_lets_a_thief_stay_is_caught(mutant: Decide) -> None:
    """The model finds the states that thief and victim share for ever."""
    shared, _states = find_coexistence(mutant)

    assert shared
