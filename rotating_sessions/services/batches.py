"""Revoke for staff: whatever they selected, be it millions, batch after batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models import Model, QuerySet
from django.utils import timezone

from rotating_sessions.models import RevokedReason, SessionFamily
from rotating_sessions.services.reading import families
from rotating_sessions.services.revocation import revoke_sessions
from rotating_sessions.services.transactions import failing_clearly, write_database

__all__ = ["RevokedBatch", "revoke_in_batches", "revoke_users_in_batches"]

# How many sessions, or users, one batch takes: below every parameter limit.
_BATCH = 10_000

_Row = TypeVar("_Row", bound=Model)


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedBatch:
    """What one batch ended: how many sessions, and of which rows of the selection."""

    sessions: int
    rows: list[Any]


def revoke_in_batches(
    rows: QuerySet[SessionFamily], *, reason: RevokedReason
) -> Iterator[RevokedBatch]:
    """
    Revoke the sessions of a queryset, and yield them with each batch that is durable.

    Raises:
        Unavailable: The database failed; the batches yielded stay revoked.
    """
    open_rows = rows.filter(revoked_at=None).select_related(None)
    for batch in _batches(open_rows.only("device")):
        selected = families().filter(pk__in=[family.pk for family in batch])
        count = revoke_sessions(selected, reason=reason)
        yield RevokedBatch(sessions=count, rows=batch)


def revoke_users_in_batches(
    users: QuerySet[AbstractBaseUser], *, reason: RevokedReason
) -> Iterator[RevokedBatch]:
    """
    Revoke the live sessions of many users, and yield the users who had any.

    Raises:
        Unavailable: The database failed; the batches yielded stay revoked.
    """
    now = timezone.now()
    for batch in _batches(users):
        live = families().live(now).filter(user__in=[user.pk for user in batch])
        with failing_clearly():
            affected = set(live.values_list("user", flat=True).distinct())
        count = revoke_sessions(live, reason=reason)
        rows = [user for user in batch if user.pk in affected]
        yield RevokedBatch(sessions=count, rows=rows)


def _batches(rows: QuerySet[_Row]) -> Iterator[list[_Row]]:
    """Yield the rows in the order of their keys: each is looked at once."""
    rows = rows.using(write_database()).order_by("pk")
    batch = _read(rows)
    while batch:
        yield batch
        batch = _read(rows.filter(pk__gt=batch[-1].pk))


def _read(rows: QuerySet[_Row]) -> list[_Row]:
    with failing_clearly():
        return list(rows[:_BATCH])
