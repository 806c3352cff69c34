"""Why sessions end before their time."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

__all__ = ["RevokedReason"]


class RevokedReason(models.TextChoices):
    """Why a family was revoked."""

    LOGOUT = "logout", _("Logged out")
    LOGOUT_EVERYWHERE = "logout_everywhere", _("Logged out everywhere")
    ENDED_BY_USER = "ended_by_user", _("Ended by the user from another session")
    REPLACED = "replaced", _("Replaced by a new login in the same browser")
    SESSION_LIMIT = "session_limit", _("Too many sessions: the oldest idle one ended")
    STAFF = "staff", _("Ended by staff")
    PASSWORD_CHANGED = "password_changed", _("The password changed")
    USER_INACTIVE = "user_inactive", _("The user was deactivated")
    USER_DELETED = "user_deleted", _("The user was deleted")
    REUSED = "reused", _("A superseded token was used again: theft")
    UNCONFIRMED_LIMIT = "unconfirmed_limit", _("Too many answers were lost in a row")
    LOGGED_IN = "logged_in", _("Went on as a user's session")
