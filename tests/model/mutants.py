"""
Rules that look as good as the shipped ones, each with one thing wrong.

A model that finds nothing may be one that cannot find anything: it has to find these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from rotating_sessions.rotation import (
    Decision,
    FamilyState,
    Policy,
    PresentedToken,
    Successor,
    Verdict,
    decide,
)
from tests.model.server import Decide, Row, Rules

__all__ = [
    "access_only_confirms",
    "another_digest_is_current",
    "clocks_agree",
    "confirmed_is_replaced",
    "displaced_is_kept",
    "idempotent_delivery",
    "lost_answer_is_theft",
    "lost_commit_is_ahead",
    "no_grace",
    "no_limit",
    "no_minimum_interval",
    "orphan_is_forgiven",
    "shorter_fast_forward",
    "unconditional_fast_forward",
    "window_not_restarted",
]


Holds = Callable[[FamilyState, PresentedToken], bool]


def _where(holds: Holds, **changes: Any) -> Decide:
    """Let the shipped rules decide on a row that is changed, where that holds."""

    def changed(
        family: FamilyState, presented: PresentedToken, now: datetime, policy: Policy
    ) -> Decision:
        if holds(family, presented):
            family = replace(family, **changes)
        return decide(family, presented, now, policy)

    return changed


def _is_newest(family: FamilyState, presented: PresentedToken) -> bool:
    return presented.digest == family.current_digest


def _is_previous(family: FamilyState, presented: PresentedToken) -> bool:
    return presented.digest == family.previous_digest


# The six that the protocol was chosen against.


def _hand_out_again(
    family: FamilyState, presented: PresentedToken, now: datetime, policy: Policy
) -> Decision:
    decision = decide(family, presented, now, policy)
    if decision.verdict is not Verdict.KEEP or not _is_previous(family, presented):
        return decision
    same = Successor(
        generation=family.generation,
        previous=presented.generation,
        previous_digest=presented.digest,
        displaced=family.displaced,
    )
    return replace(decision, generation=family.generation, successor=same)


def _write_nothing_twice(row: Row, issued: Row, verdict: Verdict) -> Row:
    return row if verdict is Verdict.KEEP else issued


# Whoever shows the predecessor within W gets the successor, the very same, once more.
idempotent_delivery = Rules(decide=_hand_out_again, write=_write_nothing_twice)

# The newest token is replaced whenever it comes.
no_minimum_interval = Rules(decide=_where(_is_newest, rotated_at=None))


def _keep_rotated(row: Row, issued: Row, verdict: Verdict) -> Row:
    again = verdict is Verdict.RE_ROTATE
    return issued._replace(rotated=row.rotated) if again else issued


# A re-rotation leaves the moment of the rotation as it was.
window_not_restarted = Rules(write=_keep_rotated)

# Unconfirmed successors are replaced for ever.
no_limit = Rules(decide=_where(_is_previous, displaced=0))


def _trust_whatever_is_ahead(
    family: FamilyState, presented: PresentedToken, now: datetime, policy: Policy
) -> Decision:
    if presented.generation > family.generation:
        presented = replace(presented, issued_at=now)
        policy = replace(policy, lost_commits=presented.generation)
    return decide(family, presented, now, policy)


# Any token ahead of its row is the newest, by however much and whenever it was issued.
unconditional_fast_forward = Rules(decide=_trust_whatever_is_ahead)


def _stamp_newest(
    family: FamilyState, presented: PresentedToken, now: datetime, policy: Policy
) -> Decision:
    decision = decide(family, presented, now, policy)
    if decision.verdict is Verdict.KEEP:
        return replace(decision, generation=family.generation)
    return decision


# Every access token is stamped with the newest generation, held or not.
access_only_confirms = Rules(decide=_stamp_newest)


# What else is easily got wrong.


def _forgive_newest_only(
    family: FamilyState, presented: PresentedToken, now: datetime, policy: Policy
) -> Decision:
    if _is_previous(family, presented):
        policy = replace(policy, grace_period=timedelta())
    return decide(family, presented, now, policy)


# The predecessor is re-rotated at once where it is forgiven at all: no second tab.
no_grace = Rules(decide=_forgive_newest_only)

# A predecessor is never forgiven after W, though its successor may have been lost.
lost_answer_is_theft = Rules(
    decide=_where(_is_previous, confirmed_at=datetime.max.replace(tzinfo=UTC))
)

# A predecessor is forgiven after W, though its successor is in use.
confirmed_is_replaced = Rules(decide=_where(_is_previous, confirmed_at=None))


def _compare_numbers(
    family: FamilyState, presented: PresentedToken, now: datetime, policy: Policy
) -> Decision:
    if presented.generation == family.generation:
        family = replace(family, current_digest=presented.digest)
    return decide(family, presented, now, policy)


# A token counts as the newest by its number alone.
another_digest_is_current = Rules(decide=_compare_numbers)


def _forgive_orphans(
    family: FamilyState, presented: PresentedToken, now: datetime, policy: Policy
) -> Decision:
    decision = decide(family, presented, now, policy)
    older, newest = family.previous, family.generation
    if decision.verdict is not Verdict.REUSED or older is None:
        return decision
    if older < presented.generation < newest:
        return Decision(verdict=Verdict.KEEP, generation=presented.generation)
    return decision


# Whoever shows a successor that was taken for lost gets access tokens for it.
orphan_is_forgiven = Rules(decide=_forgive_orphans)


def _keep_displaced(row: Row, issued: Row, verdict: Verdict) -> Row:
    rotates = verdict is Verdict.ROTATE
    return issued._replace(displaced=row.displaced) if rotates else issued


# A rotation does not begin to count the losses anew.
displaced_is_kept = Rules(write=_keep_displaced)


def _tolerate(lost_commits: int) -> Decide:
    def tolerating(
        family: FamilyState, presented: PresentedToken, now: datetime, policy: Policy
    ) -> Decision:
        return decide(
            family, presented, now, replace(policy, lost_commits=lost_commits)
        )

    return tolerating


# A failover that loses a commit is not foreseen, or one that loses two is not.
lost_commit_is_ahead = Rules(decide=_tolerate(0))
shorter_fast_forward = Rules(decide=_tolerate(1))

# A host that is a little behind the one that rotated takes time to have run back.
clocks_agree = Rules(forgives_skew=False)
