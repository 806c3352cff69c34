"""Sessions in the admin: staff look, and revoke; nobody edits."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin import ShowFacets
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _

from rotating_sessions.admin.detail import SessionPages
from rotating_sessions.admin.listing import (
    BoundedPaginator,
    OwnerFilter,
    SessionChangeList,
    StateFilter,
)
from rotating_sessions.admin.revoking import (
    may_revoke,
    revoke_selected,
    revoke_users_of_selected,
)
from rotating_sessions.clients import describe_network
from rotating_sessions.models import SessionFamily
from rotating_sessions.services import find_sessions, write_database
from rotating_sessions.timeline import State, state_of

__all__ = ["SessionFamilyAdmin"]

_HIDDEN_FIELDS = {
    "data",
    "secret",
    "current_digest",
    "previous_digest",
    "auth_hash",
    "networks",
    "refresh_tokens",
}
# Shapes, because a colour would be the theme's, and not everybody sees it.
_MARKS = {State.LIVE: "●", State.REVOKED: "✕", State.IDLE: "◐", State.EXPIRED: "○"}


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


@admin.register(SessionFamily)
class SessionFamilyAdmin(_ReadOnly, SessionPages):
    """Sessions, read-only, with two actions: revoke these, or all of their users."""

    list_display = (
        "state",
        "revoked_reason",
        "user_name",
        "device",
        "network",
        "last_refresh",
        "generation",
    )
    list_display_links = ("user_name",)
    list_filter = (StateFilter, OwnerFilter, "revoked_reason", "created_at")
    # By nothing but the order at first: no other column that is shown has an index.
    sortable_by = ()
    ordering = ("-created_at",)
    date_hierarchy = "created_at"
    # What counts rows stalls on a big table.
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    paginator = BoundedPaginator
    actions = (revoke_selected, revoke_users_of_selected)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("state", "revoked_reason"),
                    ("user_name", "device", "ip_address"),
                    ("created_at", "rotated_at", "generation"),
                )
            },
        ),
        (
            _("Details"),
            {
                "classes": ("collapse",),
                "fields": (
                    ("id", "transport"),
                    "user_agent",
                    ("auth_time", "revoked_at"),
                    ("idle_at", "expires_at"),
                ),
            },
        ),
    )

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Deny filters that would tell a hidden field letter by letter."""
        hidden = lookup.split("__", maxsplit=1)[0] in _HIDDEN_FIELDS
        return not hidden and super().lookup_allowed(lookup, value, request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[SessionFamily]:
        """Return the sessions with their users, from where they are written."""
        rows = super().get_queryset(request).using(write_database())
        return rows.select_related("user")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type:
        """Return the list that stays quick."""
        return SessionChangeList

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """Name what is searched; how, `get_search_results` decides."""
        return (f"user__{get_user_model().USERNAME_FIELD}", "user_pk", "id")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[SessionFamily], search_term: str
    ) -> tuple[QuerySet[SessionFamily], bool]:
        """Search by what has an index, for one term: Django joins, and reads it all."""
        term = search_term.strip()
        return (find_sessions(queryset, term) if term else queryset), False

    @admin.display(description=_("user"))
    def user_name(self, family: SessionFamily) -> str:
        """Return the user, or what is left of a deleted one, or that there is none."""
        if family.is_anonymous:
            return str(_("anonymous"))
        if family.user is None:
            return str(_("deleted user %(pk)s") % {"pk": family.user_pk})
        return str(family.user)

    @admin.display(description=_("network"))
    def network(self, family: SessionFamily) -> str | None:
        """Return the network that the session was last seen in."""
        return describe_network(family.ip_address)

    @admin.display(description=_("last refresh"))
    def last_refresh(self, family: SessionFamily) -> str | None:
        """Return when the session was last refreshed, as text: that may be wrapped."""
        if family.rotated_at is None:
            return None
        return date_format(localtime(family.rotated_at), "DATETIME_FORMAT")

    @admin.display(description=_("state"))
    def state(self, family: SessionFamily) -> str:
        """Return the state, with a mark to tell it by at a glance."""
        state = state_of(family, timezone.now())
        mark = _MARKS[state]
        return format_html(
            '<span aria-hidden="true">{}</span>&nbsp;{}', mark, state.label
        )

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may end sessions: a permission of its own."""
        return may_revoke(request.user)
