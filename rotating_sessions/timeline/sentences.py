"""How a session stands or ended, in sentences that need no explanation."""

from __future__ import annotations

from datetime import datetime

from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from rotating_sessions.clients import describe_device, translate_device
from rotating_sessions.models import RefreshToken, RevokedReason, SessionFamily
from rotating_sessions.timeline.values import (
    History,
    State,
    is_orphan,
    state_of,
)

__all__ = ["explain"]

# No moment ends a sentence: in English it may end in a full stop itself.
_REVOKED: dict[str, str | Promise] = {
    RevokedReason.LOGOUT: gettext_lazy("On %(at)s the user logged out."),
    RevokedReason.LOGOUT_EVERYWHERE: gettext_lazy(
        "On %(at)s the user logged out everywhere."
    ),
    RevokedReason.ENDED_BY_USER: gettext_lazy(
        "On %(at)s the user ended this session from another one."
    ),
    RevokedReason.REPLACED: gettext_lazy(
        "On %(at)s the same browser logged in anew, which ended this session."
    ),
    RevokedReason.SESSION_LIMIT: gettext_lazy(
        "On %(at)s a login went beyond the number of sessions that a user may have, "
        "and this one had been idle for longest."
    ),
    RevokedReason.STAFF: gettext_lazy("On %(at)s staff ended this session."),
    RevokedReason.PASSWORD_CHANGED: gettext_lazy(
        "On %(at)s this session ended, because the user had another password by then."
    ),
    RevokedReason.USER_INACTIVE: gettext_lazy(
        "On %(at)s this session ended, because the user had been deactivated."
    ),
    RevokedReason.USER_DELETED: gettext_lazy("On %(at)s the user was deleted."),
    RevokedReason.REUSED: gettext_lazy(
        "On %(at)s a token came back that had been replaced; the record of it is gone. "
        "Two clients had a copy, and one of the two is a thief; the session was ended "
        "for both."
    ),
    RevokedReason.UNCONFIRMED_LIMIT: gettext_lazy(
        "On %(at)s this session ended, because too many answers in a row had been lost "
        "on their way to the client. That is no theft."
    ),
    RevokedReason.LOGGED_IN: gettext_lazy(
        "On %(at)s the visitor logged in, which ended this session; that of the user "
        "took its data over."
    ),
    # By hand, in the database.
    "": gettext_lazy("On %(at)s this session was ended."),
}
_NOT_REVOKED = {
    State.LIVE: gettext_lazy(
        "The session is live. Its last login or refresh was on %(at)s; on %(idle)s it "
        "ends unless it is refreshed before, and on %(old)s in any case."
    ),
    State.IDLE: gettext_lazy(
        "On %(idle)s the session ended, for the last login or refresh was on %(at)s "
        "already."
    ),
    State.EXPIRED: gettext_lazy(
        "On %(old)s the session reached the age at which every session ends."
    ),
}


def explain(family: SessionFamily, history: History, now: datetime) -> str:
    """Return how the session stands, or how it ended."""
    told = _explain(family, history, now)
    if family.is_anonymous:
        return _("This session is anonymous: nobody has logged in.") + f" {told}"
    return told


def _explain(family: SessionFamily, history: History, now: datetime) -> str:
    reused = history.reused
    if reused is not None and reused.reused_at is not None:
        return f"{_tell_theft(family, history, reused)} {_judge(reused)}"
    if family.revoked_at is not None:
        text = _REVOKED.get(family.revoked_reason, _REVOKED[""])
        return str(text) % {"at": _when(family.revoked_at)}
    return str(_NOT_REVOKED[state_of(family, now)]) % {
        "at": _when(family.rotated_at or family.created_at),
        "idle": _when(family.idle_at),
        "old": _when(family.expires_at),
    }


def _tell_theft(family: SessionFamily, history: History, reused: RefreshToken) -> str:
    """Tell who was given the token, and who came back with it."""
    if history.replaced_at is None:
        text = _(
            "A token issued on %(issued)s to %(owner)s came back on %(back)s from "
            "%(other)s, although it had been replaced."
        )
    elif is_orphan(family, reused):
        text = _(
            "A token issued on %(issued)s to %(owner)s was taken for lost on its way, "
            "and replaced on %(replaced)s; yet it was used on %(back)s, from %(other)s."
        )
    else:
        text = _(
            "A token issued on %(issued)s to %(owner)s was replaced on %(replaced)s "
            "and came back on %(back)s from %(other)s."
        )
    return text % {
        "issued": _when(reused.issued_at),
        "owner": _client(reused.ip_address, reused.user_agent),
        "replaced": _when(history.replaced_at),
        "back": _when(reused.reused_at),
        "other": _client(reused.reused_ip_address, reused.reused_user_agent),
    }


def _judge(reused: RefreshToken) -> str:
    owner = (reused.ip_address, reused.user_agent)
    if owner == (reused.reused_ip_address, reused.reused_user_agent):
        return _(
            "Both seem to be the same browser: it is a thief with a copy of it, or it "
            "was put back to an older state. The session was ended for both."
        )
    return _("One of the two is a thief; the session was ended for both.")


def _client(ip_address: str | None, user_agent: str) -> str:
    device = _("an unknown device")
    if user_agent:
        device = translate_device(describe_device(user_agent))
    address = ip_address or _("an unknown address")
    return _("%(device)s at %(address)s") % {"device": device, "address": address}


def _when(moment: datetime | None) -> str:
    return date_format(localtime(moment), "DATETIME_FORMAT") if moment else ""
