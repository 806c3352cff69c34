"""The admin: staff see sessions and end them, and nobody edits."""

from __future__ import annotations

from rotating_sessions.admin.revoking import revoke_users_sessions
from rotating_sessions.admin.sessions import SessionFamilyAdmin
from rotating_sessions.admin.users import offer_revocation

__all__ = ["SessionFamilyAdmin", "offer_revocation", "revoke_users_sessions"]
