"""What the rules say of a refresh token, by the row of its family as it was read."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone

from rotating_sessions.conf import get_conf
from rotating_sessions.models import SessionFamily
from rotating_sessions.rotation import (
    CLOCK_SKEW,
    Decision,
    Policy,
    PresentedToken,
    decide,
)
from rotating_sessions.services.reading import family_state
from rotating_sessions.tokens.refresh import DecodedRefresh

__all__ = ["decide_refresh"]


def decide_refresh(
    family: SessionFamily, token: DecodedRefresh
) -> tuple[Decision, datetime]:
    """Return what a refresh by this token of the family leads to, and as of when."""
    now = _read_clock(family)
    presented = PresentedToken(
        generation=token.generation, digest=token.digest, issued_at=token.issued_at
    )
    policy = Policy(grace_period=get_conf().grace_period)
    return decide(family_state(family), presented, now, policy), now


def _read_clock(family: SessionFamily) -> datetime:
    """
    Return the moment of this pass, not earlier than a rotation made a moment ago.

    The host that rotated may be ahead of this one by the clocks' skew. Read as time
    that ran back, that would take the second of two tabs for a thief.
    """
    now = timezone.now()
    rotated_at = family.rotated_at
    if rotated_at is not None and now < rotated_at <= now + CLOCK_SKEW:
        return rotated_at
    return now
