"""Who may pass: by a session that is alive and a recent login, or by a claim."""

from __future__ import annotations

from rotating_sessions.permissions.claims import HasClaim, check_claim, claim_required
from rotating_sessions.permissions.recent import (
    RecentLogin,
    check_recent_login,
    recent_login_required,
)

__all__ = [
    "HasClaim",
    "RecentLogin",
    "check_claim",
    "check_recent_login",
    "claim_required",
    "recent_login_required",
]
