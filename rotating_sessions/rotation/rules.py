"""The rules, in the order in which they are asked. The last one is reuse."""

from __future__ import annotations

from datetime import datetime
from hmac import compare_digest

from rotating_sessions.rotation.values import (
    CLOCK_SKEW,
    Decision,
    FamilyState,
    Policy,
    PresentedToken,
    Successor,
    Use,
    Verdict,
)

__all__ = ["decide", "decide_use", "still_serves"]


def decide(
    family: FamilyState, presented: PresentedToken, now: datetime, policy: Policy
) -> Decision:
    """
    Return what becomes of the family when this genuine token is presented.

    The last rule is reuse, so whatever no rule forgives ends the family.
    """
    if family.has_ended(now):
        return Decision(verdict=Verdict.ENDED)
    if not family.user_active:
        return Decision(verdict=Verdict.USER_INACTIVE)
    if not family.password_unchanged:
        return Decision(verdict=Verdict.PASSWORD_CHANGED)
    in_grace = family.rotated_within(policy.grace_period, now)
    if _is(presented, family.generation, family.current_digest):
        if not in_grace:
            return _issue(Verdict.ROTATE, presented, presented.generation + 1)
        fresh = family.confirmed_at is None
        return _keep(Verdict.CONFIRM if fresh else Verdict.KEEP, presented)
    if _is(presented, family.previous, family.previous_digest):
        if in_grace:
            return _keep(Verdict.KEEP, presented)
        if family.confirmed_at is None:
            if family.displaced >= policy.max_displaced:
                return Decision(verdict=Verdict.UNCONFIRMED_LIMIT)
            lost = family.displaced + 1
            return _issue(Verdict.RE_ROTATE, presented, family.generation + 1, lost)
    ahead = presented.generation - family.generation
    if ahead > policy.lost_commits:
        return Decision(verdict=Verdict.AHEAD)
    if ahead > 0 and _follows_rotation(presented, family):
        return _issue(Verdict.FAST_FORWARD, presented, presented.generation + 1)
    return Decision(verdict=Verdict.REUSED)


def decide_use(family: FamilyState, generation: int) -> Use:
    """Return what an access token of this generation, not to be confirmed, means."""
    if family.revoked_at is not None:
        return Use.ENDED
    if family.previous is not None and family.previous < generation < family.generation:
        return Use.REUSED
    return Use.HARMLESS


def still_serves(
    family: FamilyState, generation: int, now: datetime, policy: Policy
) -> bool:
    """Tell whether a live family answers this generation with access as it stands."""
    if generation == family.generation:
        return True
    in_grace = family.rotated_within(policy.grace_period, now)
    return in_grace and generation == family.previous


def _is(
    presented: PresentedToken, generation: int | None, digest: bytes | None
) -> bool:
    """Tell whether the token is the one that the row names."""
    return (
        digest is not None
        and presented.generation == generation
        and compare_digest(presented.digest, digest)
    )


def _follows_rotation(presented: PresentedToken, family: FamilyState) -> bool:
    """Tell whether the token is as young as the row, clocks and seconds allowed for."""
    if family.rotated_at is None:
        return True
    rotated_at = family.rotated_at.replace(microsecond=0)
    return presented.issued_at >= rotated_at - CLOCK_SKEW


def _keep(verdict: Verdict, presented: PresentedToken) -> Decision:
    # Stamped with the generation presented: access only never confirms a successor.
    return Decision(verdict=verdict, generation=presented.generation)


def _issue(
    verdict: Verdict, presented: PresentedToken, generation: int, displaced: int = 0
) -> Decision:
    successor = Successor(
        generation=generation,
        previous=presented.generation,
        previous_digest=presented.digest,
        displaced=displaced,
    )
    return Decision(verdict=verdict, generation=generation, successor=successor)
