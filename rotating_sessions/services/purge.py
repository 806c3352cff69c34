"""Delete what no longer matters: sessions that ended long ago, tokens replaced."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import connections
from django.db.models import F, QuerySet
from django.utils import timezone

from rotating_sessions.conf import get_conf
from rotating_sessions.models import RefreshToken, SessionFamilyQuerySet
from rotating_sessions.services.reading import families
from rotating_sessions.services.transactions import (
    Contended,
    run_durably,
    write_database,
)

__all__ = ["PurgeCount", "purge_sessions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeCount:
    """
    How many rows one batch deleted, or would delete.

    `skipped` are the sessions of a batch that was in the way of others at each try: the
    next run deletes what there is to delete of them.
    """

    families: int = 0
    tokens: int = 0
    skipped: int = 0

    def __add__(self, other: PurgeCount) -> PurgeCount:
        return PurgeCount(
            families=self.families + other.families,
            tokens=self.tokens + other.tokens,
            skipped=self.skipped + other.skipped,
        )


def purge_sessions(
    *,
    batch_size: int = 1000,
    max_batches: int | None = None,
    sleep: timedelta = timedelta(),
    dry_run: bool = False,
    using: str | None = None,
) -> Iterator[PurgeCount]:
    """
    Delete batch after batch, each in a short transaction, and yield what each deleted.

    First the families that ended longer than RETENTION ago, with their tokens; then, of
    the live ones, tokens older than the last TOKEN_HISTORY. Neither changes any answer.
    Nor does it wait for others: a row that another transaction has locked is left to
    the next run, where the database can tell.

    Args:
        batch_size: Rows looked at in one transaction, at most.
        max_batches: Stop after as many; None goes on to the end.
        sleep: How long to pause after each batch.
        dry_run: Count, and delete nothing.
        using: The database; None for the one that sessions are written to.

    Raises:
        Unavailable: The database failed; the batches yielded stay deleted.
    """
    purge = _Purge(using=using or write_database(), now=timezone.now(), dry_run=dry_run)
    for number, count in enumerate(purge.run(batch_size), start=1):
        yield count
        if number == max_batches:
            return
        time.sleep(sleep.total_seconds())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Purge:
    """One run, on one database, as of one moment."""

    using: str
    now: datetime
    dry_run: bool

    def run(self, batch_size: int) -> Iterator[PurgeCount]:
        for keys in self._batches(self._ended(), batch_size):
            yield self._stepping_aside(self._delete, keys)
        longer = self._families().live(self.now)
        longer = longer.filter(generation__gte=get_conf().token_history)
        for keys in self._batches(longer, batch_size):
            yield self._stepping_aside(self._trim, keys)

    def _batches(self, rows: SessionFamilyQuerySet, size: int) -> Iterator[list[UUID]]:
        """Yield the keys of the rows in their order: each is looked at once."""
        rows = rows.order_by("pk")
        keys = self._first_keys(rows, size)
        while keys:
            yield keys
            keys = self._first_keys(rows.filter(pk__gt=keys[-1]), size)

    def _first_keys(self, rows: SessionFamilyQuerySet, size: int) -> list[UUID]:
        # Durably, for a read can be aborted for others' sake as well.
        first = rows.values_list("pk", flat=True)[:size]
        return run_durably(lambda: list(first.all()), using=self.using)

    def _stepping_aside(
        self, work: Callable[[list[UUID]], PurgeCount], keys: list[UUID]
    ) -> PurgeCount:
        try:
            return run_durably(partial(work, keys), using=self.using)
        except Contended:
            return PurgeCount(skipped=len(keys))

    def _delete(self, keys: list[UUID]) -> PurgeCount:
        # The condition again: what counts is what this transaction sees.
        ended = self._ended().filter(pk__in=keys)
        if self.dry_run:
            tokens = self._tokens().filter(family__in=keys).count()
            return PurgeCount(families=ended.count(), tokens=tokens)
        locked = self._lock(ended)
        token_count, _ = self._tokens().filter(family__in=locked).delete()
        family_count, _ = self._families().filter(pk__in=locked).delete()
        return PurgeCount(families=family_count, tokens=token_count)

    def _trim(self, keys: list[UUID]) -> PurgeCount:
        kept = get_conf().token_history
        older = self._tokens().filter(
            family__in=keys, generation__lte=F("family__generation") - kept
        )
        if self.dry_run:
            return PurgeCount(tokens=older.count())
        # Read without a lock, since generations only grow. A delete that joins would
        # lock the families as well, and deadlock with all who lock them first.
        found = list(older.values_list("pk", flat=True))
        locked = self._lock(self._tokens().filter(pk__in=found))
        count, _ = self._tokens().filter(pk__in=locked).delete()
        return PurgeCount(tokens=count)

    def _lock(self, rows: QuerySet[Any]) -> list[Any]:
        """Lock the rows in one order, but those that others hold; return their keys."""
        features = connections[self.using].features
        skip = features.has_select_for_update_skip_locked
        rows = rows.select_for_update(skip_locked=skip)
        return list(rows.order_by("pk").values_list("pk", flat=True))

    def _ended(self) -> SessionFamilyQuerySet:
        return self._families().ended_before(self.now - get_conf().retention)

    def _families(self) -> SessionFamilyQuerySet:
        return families(self.using)

    def _tokens(self) -> QuerySet[RefreshToken]:
        return RefreshToken.objects.using(self.using)
