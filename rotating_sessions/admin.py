"""Sessions in the admin: staff look, and revoke; nobody edits."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from rotating_sessions.clients import describe_network
from rotating_sessions.models import (
    RefreshToken,
    RevokedReason,
    SessionFamily,
    SessionFamilyQuerySet,
)
from rotating_sessions.services import revoke_sessions

__all__ = ["RefreshTokenInline", "SessionFamilyAdmin"]


_HIDDEN_FIELDS = {
    "secret",
    "current_digest",
    "previous_digest",
    "auth_hash",
    "networks",
    "refresh_tokens",
}


class _ReadOnly:
    """Staff may look, never add, change or delete: to end a session is to revoke it."""

    def has_add_permission(self, *args: Any, **kwargs: Any) -> bool:
        """Deny: sessions begin by login."""
        return False

    def has_change_permission(self, *args: Any, **kwargs: Any) -> bool:
        """Deny: only the services write."""
        return False

    def has_delete_permission(self, *args: Any, **kwargs: Any) -> bool:
        """Deny: a deleted row could not refuse its tokens."""
        return False


class StateFilter(admin.SimpleListFilter):
    """Live, revoked or expired."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the states."""
        return [
            ("live", _("Live")),
            ("revoked", _("Revoked")),
            ("expired", _("Expired")),
        ]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[SessionFamily]
    ) -> QuerySet[SessionFamily]:
        """Return the sessions in the chosen state."""
        rows: SessionFamilyQuerySet = queryset  # type: ignore[assignment]
        now = timezone.now()
        if self.value() == "live":
            return rows.live(now)
        if self.value() == "revoked":
            return rows.exclude(revoked_at=None)
        if self.value() == "expired":
            return rows.ended_before(now).filter(revoked_at=None)
        return rows


class RefreshTokenInline(_ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    """The tokens issued to a session, the newest first."""

    model = RefreshToken
    fields = ("generation", "issued_at", "ip_address", "user_agent", "reused_at")
    readonly_fields = fields
    ordering = ("-generation",)
    extra = 0


@admin.register(SessionFamily)
class SessionFamilyAdmin(_ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Sessions, read-only, with one action: revoke."""

    list_display = (
        "user_name",
        "device",
        "network",
        "created_at",
        "rotated_at",
        "state",
    )
    list_filter = (StateFilter, "revoked_reason", "created_at")
    list_select_related = ("user",)
    ordering = ("-created_at",)
    actions = ("revoke_selected",)
    inlines = (RefreshTokenInline,)
    fields = (
        "id",
        "user_name",
        "device",
        "user_agent",
        "ip_address",
        "transport",
        "state",
        "revoked_at",
        "revoked_reason",
        "auth_time",
        "created_at",
        "rotated_at",
        "generation",
        "idle_at",
        "expires_at",
    )
    readonly_fields = fields

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Deny filters that would tell a hidden field letter by letter."""
        hidden = lookup.split("__", maxsplit=1)[0] in _HIDDEN_FIELDS
        return not hidden and super().lookup_allowed(lookup, value, request)

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """Search by what the site's users log in with."""
        return (f"user__{get_user_model().USERNAME_FIELD}", "=user_pk")

    @admin.display(description=_("user"), ordering="user_pk")
    def user_name(self, family: SessionFamily) -> str:
        """Return the user, or what is left of a deleted one."""
        if family.user is None:
            return str(_("deleted user %(pk)s") % {"pk": family.user_pk})
        return str(family.user)

    @admin.display(description=_("network"))
    def network(self, family: SessionFamily) -> str | None:
        """Return the network that the session was last seen in."""
        return describe_network(family.ip_address)

    @admin.display(description=_("state"))
    def state(self, family: SessionFamily) -> str:
        """Return the state, with the reason of a revocation."""
        if family.revoked_at is not None:
            reason = family.get_revoked_reason_display()
            return str(_("Revoked: %(reason)s") % {"reason": reason})
        over = timezone.now() >= min(family.expires_at, family.idle_at)
        return str(_("Expired") if over else _("Live"))

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may end sessions: a permission of its own."""
        return request.user.has_perm("rotating_sessions.revoke_sessionfamily")

    @admin.action(description=_("Revoke selected sessions"), permissions=["revoke"])
    def revoke_selected(
        self, request: HttpRequest, queryset: QuerySet[SessionFamily]
    ) -> None:
        """End the sessions, and log it for each of them."""
        rows = list(queryset.filter(revoked_at=None))
        count = revoke_sessions(queryset, reason=RevokedReason.STAFF)
        LogEntry.objects.log_actions(
            cast(int, request.user.pk), rows, CHANGE, str(_("Revoked the session."))
        )
        text = ngettext(
            "%(count)d session was revoked.", "%(count)d sessions were revoked.", count
        )
        self.message_user(request, text % {"count": count}, messages.SUCCESS)
