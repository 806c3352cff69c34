"""
Decide what a presented token means for its session family.

Pure: the verdict depends on the token, the row and the moment, and on nothing else,
so any process, before or after a restart, decides the same. `services` carries the
decision out.

Source: RFC 9700, section 4.14.2, and the table in README, "How rotation works".
"""

from __future__ import annotations

from rotating_sessions.rotation.rules import decide, decide_use, still_serves
from rotating_sessions.rotation.values import (
    CLOCK_SKEW,
    COMMIT_DELAY,
    Decision,
    FamilyState,
    Policy,
    PresentedToken,
    Successor,
    Use,
    Verdict,
)

__all__ = [
    "CLOCK_SKEW",
    "COMMIT_DELAY",
    "Decision",
    "FamilyState",
    "Policy",
    "PresentedToken",
    "Successor",
    "Use",
    "Verdict",
    "decide",
    "decide_use",
    "still_serves",
]
