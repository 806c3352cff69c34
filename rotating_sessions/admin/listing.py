"""A list that stays quick with millions of sessions: nothing in it counts them all."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, cast

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Max, Min, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from rotating_sessions.models import SessionFamily, SessionFamilyQuerySet
from rotating_sessions.timeline import State

__all__ = [
    "BoundedPaginator",
    "OwnerFilter",
    "SessionChangeList",
    "StateFilter",
    "count_for_people",
]

# Rows. Nobody pages through more; whoever looks for one narrows the list down.
MAX_COUNT = 10_000


def count_for_people(rows: QuerySet[Any]) -> str:
    """Return how many rows there are, without a count of more than anybody reads."""
    count = _count_up_to(rows, MAX_COUNT + 1)
    if count > MAX_COUNT:
        return _("more than %(count)d") % {"count": MAX_COUNT}
    return str(count)


class StateFilter(admin.SimpleListFilter):
    """Live, revoked, idle for too long, or expired."""

    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the states."""
        return list(State.choices)

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[SessionFamily]
    ) -> QuerySet[SessionFamily]:
        """Return the sessions in the chosen state."""
        rows: SessionFamilyQuerySet = queryset  # type: ignore[assignment]
        now, state = timezone.now(), self.value()
        if state == State.LIVE:
            return rows.live(now)
        if state == State.REVOKED:
            return rows.exclude(revoked_at=None)
        if state == State.IDLE:
            return rows.idle(now)
        return rows.expired(now) if state == State.EXPIRED else rows


class OwnerFilter(admin.SimpleListFilter):
    """A user's, be it a deleted one, or nobody's."""

    title = gettext_lazy("login")
    parameter_name = "owner"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the kinds."""
        return [
            ("user", gettext_lazy("A user's")),
            ("anonymous", gettext_lazy("Anonymous")),
        ]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[SessionFamily]
    ) -> QuerySet[SessionFamily]:
        """Return the sessions of the chosen kind."""
        rows: SessionFamilyQuerySet = queryset  # type: ignore[assignment]
        if self.value() == "anonymous":
            return rows.anonymous()
        return rows.exclude(user_pk="") if self.value() == "user" else rows


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Pages of the first rows only; `has_more` tells whether there are others."""

    @cached_property
    def count(self) -> int:
        """Return how many rows are listed, at most MAX_COUNT."""
        return min(self._found, MAX_COUNT)

    @property
    def has_more(self) -> bool:
        """Tell whether there are more rows than are listed."""
        return self._found > MAX_COUNT

    @cached_property
    def _found(self) -> int:
        rows = cast(QuerySet[Any], self.object_list)
        return _count_up_to(rows, MAX_COUNT + 1)


class SessionChangeList(ChangeList):
    """A list whose date hierarchy takes one query, answered by an index."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the rows; what is left to ask for then is the date hierarchy."""
        super().get_results(request)
        # The rows are in `result_list` by now.
        self.queryset = _Periods(self.root_queryset, self.params)


class _Periods:
    """
    What the date hierarchy asks of a queryset, from the first and last session of all.

    Django's own runs SELECT DISTINCT over whatever is listed. The first and the last
    are each one step into the index on `created_at`; in a period between them there may
    be no session that a filter shows.
    """

    def __init__(self, rows: QuerySet[SessionFamily], params: dict[str, Any]) -> None:
        self._rows = rows.order_by()
        self._year = params.get("created_at__year")
        self._month = params.get("created_at__month") if self._year else None

    def aggregate(self, **_wanted: Any) -> dict[str, Any]:
        """Return the moments of the first and the last session."""
        return self._span

    def datetimes(self, _field: str, kind: str) -> list[date]:
        """Return the years, the months of the year or the days of the month."""
        if self._span["first"] is None:
            return []
        first = timezone.localtime(self._span["first"]).date()
        last = timezone.localtime(self._span["last"]).date()
        days = (first + timedelta(days=n) for n in range((last - first).days + 1))
        start = {"year": {"month": 1, "day": 1}, "month": {"day": 1}, "day": {}}[kind]
        return list(
            dict.fromkeys(day.replace(**start) for day in filter(self._has, days))
        )

    def _has(self, day: date) -> bool:
        in_year = self._year is None or day.year == int(self._year)
        return in_year and (self._month is None or day.month == int(self._month))

    @cached_property
    def _span(self) -> dict[str, Any]:
        return self._rows.aggregate(first=Min("created_at"), last=Max("created_at"))


def _count_up_to(rows: QuerySet[Any], limit: int) -> int:
    return rows.order_by()[:limit].count()
