"""What a user sees of the own sessions: those that are live, and thefts of late."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from django.db.models import Case, F, Q, QuerySet, Value, When, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from rotating_sessions.clients import describe_network, translate_device
from rotating_sessions.models import (
    RevokedReason,
    SessionFamily,
    SessionFamilyQuerySet,
)
from rotating_sessions.services.reading import families, sessions_of
from rotating_sessions.services.transactions import failing_clearly

__all__ = [
    "THEFT_NOTICE",
    "ListedSession",
    "Overview",
    "Place",
    "Theft",
    "survey_sessions",
]

# Long enough for whoever was away for a while, and for a device that is used rarely:
# what is older is no news, and stays with staff for RETENTION.
THEFT_NOTICE = timedelta(days=14)

# As many as the list of the API has.
_PAGE_SIZE = 50
# A client that is broken, and not robbed, may end session after session.
_MAX_THEFTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSession:
    """A live session as its user may see it: when it was refreshed, to the hour."""

    id: UUID
    device: str
    network: str | None
    created_at: datetime
    last_active: datetime
    is_current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Theft:
    """A session that ended because one of its tokens was used again."""

    id: UUID
    device: str
    ended_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a page of the list ends, and the next one goes on."""

    created_at: datetime
    id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """A page of a user's sessions; `next` is None on the last one."""

    sessions: tuple[ListedSession, ...]
    thefts: tuple[Theft, ...]
    next: Place | None


def survey_sessions(
    *, user_pk: Any, current: UUID | None = None, after: Place | None = None
) -> Overview:
    """
    Return a user's live sessions and, with the first page, thefts; in one query.

    The index on user and revocation finds both kinds: sessions that ended otherwise,
    or long ago, are not read, however many there are.

    Args:
        user_pk: Whose sessions.
        current: The session that asks, which is listed first.
        after: Where the page before ended; None for the first page.

    Raises:
        ValueError: It is nobody's key.
        Unavailable: The database failed.
    """
    rows = sessions_of(user_pk)
    if after is None:
        rows = rows | _stolen(user_pk)
    else:
        older = Q(created_at=after.created_at, pk__lt=after.id)
        rows = rows.filter(Q(created_at__lt=after.created_at) | older)
        if current is not None:
            rows = rows.exclude(pk=current)
    with failing_clearly():
        found = list(_first_of_each_kind(rows, current))
    live = [family for family in found if family.revoked_at is None]
    thefts = [family for family in found if family.revoked_at is not None]
    return Overview(
        sessions=tuple(_listed(family, current) for family in live[:_PAGE_SIZE]),
        thefts=tuple(_theft(family) for family in thefts[:_MAX_THEFTS]),
        next=_place(live[_PAGE_SIZE - 1]) if len(live) > _PAGE_SIZE else None,
    )


def _stolen(user_pk: Any) -> SessionFamilyQuerySet:
    return families().filter(
        user_id=user_pk,
        revoked_at__gt=timezone.now() - THEFT_NOTICE,
        revoked_reason=RevokedReason.REUSED,
    )


def _first_of_each_kind(
    rows: SessionFamilyQuerySet, current: UUID | None
) -> QuerySet[SessionFamily]:
    """Return a page of each, so that neither crowds the other out."""
    others = Case(When(pk=current, then=Value(0)), default=Value(1))
    newest_first = (F("revoked_at").desc(), others, F("created_at").desc())
    rank = Window(
        RowNumber(),
        partition_by=F("revoked_reason"),
        order_by=(*newest_first, F("pk").desc()),
    )
    shown = ("device", "ip_address", "created_at", "rotated_at", "revoked_at")
    # One more of the live ones tells whether there is another page.
    ranked = rows.only(*shown).annotate(rank=rank).filter(rank__lte=_PAGE_SIZE + 1)
    return ranked.order_by("rank")


def _listed(family: SessionFamily, current: UUID | None) -> ListedSession:
    return ListedSession(
        id=family.pk,
        device=translate_device(family.device),
        network=describe_network(family.ip_address),
        created_at=family.created_at,
        last_active=family.last_active,
        is_current=family.pk == current,
    )


def _theft(family: SessionFamily) -> Theft:
    ended_at = cast(datetime, family.revoked_at)
    device = translate_device(family.device)
    return Theft(id=family.pk, device=device, ended_at=ended_at)


def _place(family: SessionFamily) -> Place:
    return Place(created_at=family.created_at, id=family.pk)
