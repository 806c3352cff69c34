"""The page of one session: what happened to it, as a file too, and how to end it."""

from __future__ import annotations

from itertools import product
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db import connections, transaction
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from rotating_sessions.admin.export import export_timeline
from rotating_sessions.admin.revoking import ask, may_revoke
from rotating_sessions.models import RevokedReason, SessionFamily
from rotating_sessions.services import (
    read_history,
    read_whole_history,
    revoke_session,
)
from rotating_sessions.timeline import State, explain, state_of, tell

__all__ = ["SessionPages"]


class SessionPages(admin.ModelAdmin):  # type: ignore[type-arg]
    """The pages about one session."""

    def get_urls(self) -> list[URLPattern]:
        """Add where a session is ended, and its timeline downloaded."""
        site, prefix = self.admin_site, "rotating_sessions_sessionfamily"
        urls = [
            path(
                "<path:object_id>/revoke/",
                site.admin_view(self.revoke_view),
                name=f"{prefix}_revoke",
            ),
            path(
                "<path:object_id>/timeline.csv",
                site.admin_view(self.export_view),
                name=f"{prefix}_timeline",
            ),
            *super().get_urls(),
        ]
        # What was revoked stays so, whatever happens later in the request.
        for url, alias in product(urls, connections):
            transaction.non_atomic_requests(using=alias)(url.callback)
        return urls

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Add what happened to the session to what its fields say."""
        family, now = cast(SessionFamily, context["original"]), timezone.now()
        history = read_history(family)
        context |= {
            "explanation": explain(family, history, now),
            "events": list(tell(family, history, now)),
            "can_revoke": _is_live(family) and may_revoke(request.user),
        }
        return super().render_change_form(request, context, *args, **kwargs)

    def export_view(
        self, request: HttpRequest, object_id: str
    ) -> StreamingHttpResponse:
        """Return the whole timeline as CSV, to whoever may see it."""
        family = self._find(request, object_id)
        events = tell(family, read_whole_history(family), timezone.now())
        return export_timeline(family, events)

    def revoke_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask whether to end the session, and end it."""
        family = self._find(request, object_id)
        if not may_revoke(request.user):
            raise PermissionDenied
        page = reverse(
            "admin:rotating_sessions_sessionfamily_change",
            args=[quote(family.pk)],
            current_app=self.admin_site.name,
        )
        if request.method != "POST" and _is_live(family):
            return ask(self, request, [_say_what_ends(family)], [], back=page)
        if request.method == "POST" and revoke_session(
            family.pk, reason=RevokedReason.STAFF
        ):
            self.log_change(request, family, _("Revoked the session."))
            text, level = _("The session was revoked."), messages.SUCCESS
        else:
            text, level = _("The session had ended before."), messages.WARNING
        self.message_user(request, text, level)
        return redirect(page)

    def _find(self, request: HttpRequest, object_id: str) -> SessionFamily:
        """Return the session, to whoever may see it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        family = self.get_object(request, unquote(object_id))
        if family is None:
            raise Http404
        # A site may show its staff some sessions only, by an admin of its own.
        if not self.has_view_permission(request, family):
            raise PermissionDenied
        return cast(SessionFamily, family)


def _say_what_ends(family: SessionFamily) -> str:
    if family.is_anonymous:
        return _("This ends an anonymous session on %(device)s.") % {
            "device": family.device
        }
    text = _("This ends the session of %(user)s on %(device)s.")
    return text % {"user": family.user, "device": family.device}


def _is_live(family: SessionFamily) -> bool:
    return state_of(family, timezone.now()) is State.LIVE
