"""End sessions from the admin: ask where it matters, revoke in batches, log it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin import ModelAdmin, helpers
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from rotating_sessions.admin.listing import count_for_people
from rotating_sessions.exceptions import Unavailable
from rotating_sessions.models import RevokedReason, SessionFamily
from rotating_sessions.services import (
    RevokedBatch,
    revoke_in_batches,
    revoke_users_in_batches,
)

__all__ = [
    "ask",
    "may_revoke",
    "revoke_selected",
    "revoke_users_of_selected",
    "revoke_users_sessions",
]

# Of the users whose sessions are to end, the confirmation names as many.
_NAMED = 20


def may_revoke(user: Any) -> bool:
    """Tell whether a member of staff may see sessions, and end them."""
    return bool(
        user.has_perms(
            [
                "rotating_sessions.view_sessionfamily",
                "rotating_sessions.revoke_sessionfamily",
            ]
        )
    )


@admin.action(
    description=gettext_lazy("Revoke selected sessions"), permissions=["revoke"]
)
def revoke_selected(
    model_admin: ModelAdmin[Any],
    request: HttpRequest,
    queryset: QuerySet[SessionFamily],
) -> HttpResponse | None:
    """End the selected sessions; ask first where more are selected than are seen."""
    if request.POST.get("select_across", "0") != "0" and not _is_confirmed(request):
        count = count_for_people(queryset.filter(revoked_at=None))
        text = _("This ends all sessions found: %(count)s.") % {"count": count}
        return ask(model_admin, request, [text], _repeat(request))
    batches = revoke_in_batches(queryset, reason=RevokedReason.STAFF)
    _carry_out(model_admin, request, batches, _("Revoked the session."))
    return None


@admin.action(
    description=gettext_lazy("Revoke all sessions of their users"),
    permissions=["revoke"],
)
def revoke_users_of_selected(
    model_admin: ModelAdmin[Any],
    request: HttpRequest,
    queryset: QuerySet[SessionFamily],
) -> HttpResponse | None:
    """End all live sessions of whoever has one among the selected."""
    users = get_user_model()._default_manager.using(queryset.db)  # noqa: SLF001 - as Django's own
    selected = users.filter(pk__in=queryset.order_by().values("user"))
    return _revoke_users(model_admin, request, selected)


@admin.action(
    description=gettext_lazy("Revoke all sessions of selected users"),
    permissions=["revoke_sessions"],
)
def revoke_users_sessions(
    model_admin: ModelAdmin[Any], request: HttpRequest, queryset: QuerySet[Any]
) -> HttpResponse | None:
    """End all live sessions of the selected users."""
    return _revoke_users(model_admin, request, queryset)


def ask(
    model_admin: ModelAdmin[Any],
    request: HttpRequest,
    lines: list[str],
    fields: list[tuple[str, str]],
    *,
    names: list[str] | None = None,
    back: str = "",
) -> HttpResponse:
    """
    Answer with a page that asks whether to go on.

    Args:
        model_admin: Where it is asked.
        request: The one that is to be confirmed.
        lines: What is about to happen.
        fields: What the form posts, back to the same address, beside its CSRF token.
        names: Of those whom it concerns.
        back: The address to go to instead, if it is not the same.
    """
    context = {
        **model_admin.admin_site.each_context(request),
        "title": _("Revoke sessions"),
        "opts": model_admin.opts,
        "lines": lines,
        "names": names,
        "hidden_fields": fields,
        "back": back or request.get_full_path(),
    }
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(
        request, "rotating_sessions/admin_revoke_confirmation.html", context
    )


def _revoke_users(
    model_admin: ModelAdmin[Any], request: HttpRequest, users: QuerySet[Any]
) -> HttpResponse | None:
    if not _is_confirmed(request):
        lines = [
            _("This ends all live sessions of these users: %(count)s.")
            % {"count": count_for_people(users)},
            _("They have to log in again on each of their devices."),
        ]
        names = [str(user) for user in users[: _NAMED + 1]]
        if len(names) > _NAMED:
            names[_NAMED:] = ["…"]
        return ask(model_admin, request, lines, _repeat(request), names=names)
    batches = revoke_users_in_batches(users, reason=RevokedReason.STAFF)
    _carry_out(model_admin, request, batches, _("Revoked all sessions of the user."))
    return None


def _is_confirmed(request: HttpRequest) -> bool:
    return "post" in request.POST


def _repeat(request: HttpRequest) -> list[tuple[str, str]]:
    """Return what was posted to select the rows, for the form that confirms it."""
    # The index tells which of two menus, above and below the list, was meant: the other
    # may say something else, which the confirmation would carry out.
    names = ("action", "index", "select_across", helpers.ACTION_CHECKBOX_NAME)
    posted = [(name, text) for name in names for text in request.POST.getlist(name)]
    return [*posted, ("post", "yes")]


def _carry_out(
    model_admin: ModelAdmin[Any],
    request: HttpRequest,
    batches: Iterator[RevokedBatch],
    note: str,
) -> None:
    """Revoke batch after batch, log each row of it, and say how many there were."""
    count = 0
    try:
        for batch in batches:
            count += batch.sessions
            LogEntry.objects.log_actions(
                cast(int, request.user.pk), batch.rows, CHANGE, note
            )
    except Unavailable:
        text = _("The database failed. Run the action again.")
        model_admin.message_user(request, text, messages.ERROR)
    text = ngettext(
        "%(count)d session was revoked.", "%(count)d sessions were revoked.", count
    )
    model_admin.message_user(request, text % {"count": count}, messages.SUCCESS)
