"""Delete what no longer matters: sessions that ended long ago, tokens replaced."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial, reduce
from operator import or_
from typing import Any, TypeVar
from uuid import UUID

from django.db import connections
from django.db.models import F, Q, QuerySet
from django.db.models.signals import post_delete, pre_delete
from django.utils import timezone

from rotating_sessions.conf import get_conf
from rotating_sessions.models import RefreshToken, SessionFamily, SessionFamilyQuerySet
from rotating_sessions.services.backlog import ENDS, ended_by, read_retention
from rotating_sessions.services.reading import families
from rotating_sessions.services.transactions import (
    Contended,
    run_durably,
    write_database,
)

__all__ = ["PurgeCount", "purge_sessions"]

# How long a batch should take, in seconds: much less than anybody waits for.
_PACE = 0.25
# How many sessions the first batch takes, and how few the slowest.
_FIRST, _FEWEST = 100, 10
# How many tokens one statement names: each of a few sessions may have thousands, and
# SQLite takes no condition of more than 1000 parts.
_KEYS = 500

_Row = TypeVar("_Row")
_Work = Callable[[list[UUID]], "PurgeCount"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeCount:
    """
    How many rows one batch deleted, or would delete.

    `skipped` are the sessions of a batch that was in the way of others at each try: the
    next run deletes what there is to delete of them. `stopped` tells that a limit ended
    the run with this batch, and that there may be more.
    """

    families: int = 0
    tokens: int = 0
    skipped: int = 0
    stopped: bool = False

    def __add__(self, other: PurgeCount) -> PurgeCount:
        return PurgeCount(
            families=self.families + other.families,
            tokens=self.tokens + other.tokens,
            skipped=self.skipped + other.skipped,
            stopped=self.stopped or other.stopped,
        )


def purge_sessions(
    *,
    older_than: timedelta | None = None,
    batch_size: int = 5000,
    max_batches: int | None = None,
    max_time: timedelta | None = None,
    sleep: timedelta = timedelta(),
    dry_run: bool = False,
    using: str | None = None,
) -> Iterator[PurgeCount]:
    """
    Delete batch after batch, each in a short transaction, and yield what each deleted.

    First the families that ended longer than RETENTION ago, with their tokens; then, of
    the live ones, tokens older than the last TOKEN_HISTORY. Neither changes any answer.
    Nor does it wait for others: a row that another transaction has locked is left to
    the next run, where the database can tell. Batches grow and shrink so that each
    takes a quarter of a second or so.

    Args:
        older_than: How long ago they ended at least; None for RETENTION.
        batch_size: Sessions looked at in one transaction, at most.
        max_batches: Stop after as many; None goes on to the end.
        max_time: Stop after the batch in which this is over.
        sleep: How long to pause after each batch.
        dry_run: Count, and delete nothing.
        using: The database; None for the one that sessions are written to.

    Raises:
        ValueError: An access token of what was to be purged might still be good.
        Unavailable: The database failed; the batches yielded stay deleted.
    """
    began = time.monotonic()
    longest = math.inf if max_time is None else max_time.total_seconds()
    purge = _Purge(
        using=using or write_database(),
        now=timezone.now(),
        retention=read_retention(older_than),
        dry_run=dry_run,
    )
    for number, count in enumerate(purge.run(batch_size), start=1):
        stopped = number == max_batches or time.monotonic() - began >= longest
        yield replace(count, stopped=stopped)
        if stopped:
            return
        time.sleep(sleep.total_seconds())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Purge:
    """One run, on one database, as of one moment."""

    using: str
    now: datetime
    retention: timedelta
    dry_run: bool

    def run(self, batch_size: int) -> Iterator[PurgeCount]:
        pace, moment = _Pace(batch_size), self.now - self.retention
        for column in ENDS:
            rows = ended_by(column, self._families(), moment)
            yield from self._walk(rows, column, self._delete, pace)
        yield from self._walk(self._families(), "created_at", self._trim, pace)

    def _walk(
        self, rows: SessionFamilyQuerySet, column: str, work: _Work, pace: _Pace
    ) -> Iterator[PurgeCount]:
        """Do the work on the rows in the order of the column: each is met once."""
        places = rows.order_by(column, "pk").values_list(column, "pk")
        found = self._read(places[: pace.size])
        while found:
            began = time.monotonic()
            count = self._step_aside(work, [key for _, key in found])
            pace.learn(time.monotonic() - began)
            yield count
            value, key = found[-1]
            # Not in one query: that would read all of a day again for each batch of it.
            found = self._read(
                places.filter(pk__gt=key, **{column: value})[: pace.size]
            )
            rest = places.filter(**{f"{column}__gt": value})
            found += self._read(rest[: pace.size - len(found)])

    def _read(self, rows: QuerySet[Any, _Row]) -> list[_Row]:
        # Durably, for a read can be aborted for others' sake as well.
        return run_durably(lambda: list(rows.all()), using=self.using)

    def _step_aside(self, work: _Work, keys: list[UUID]) -> PurgeCount:
        """Do the work, unless it is in the way of others each time it is tried."""
        try:
            return run_durably(partial(work, keys), using=self.using)
        except Contended:
            return PurgeCount(skipped=len(keys))

    def _delete(self, keys: list[UUID]) -> PurgeCount:
        # The condition again: what counts is what this transaction sees.
        moment = self.now - self.retention
        ended = self._families().filter(pk__in=keys).ended_before(moment)
        if self.dry_run:
            tokens = self._tokens().filter(family__in=keys).count()
            return PurgeCount(families=ended.count(), tokens=tokens)
        locked = self._lock(ended)
        if not locked:
            return PurgeCount()
        token_count, _ = self._tokens().filter(family__in=locked).delete()
        family_count = self._delete_families(self._families().filter(pk__in=locked))
        return PurgeCount(families=family_count, tokens=token_count)

    def _delete_families(self, rows: SessionFamilyQuerySet) -> int:
        if not _others_care():
            # In one statement: `delete` reads every row first, and takes twice as long.
            return rows._raw_delete(self.using)  # noqa: SLF001 - Django's
        _, counts = rows.delete()
        return counts.get(SessionFamily._meta.label, 0)  # noqa: SLF001 - Django's

    def _trim(self, keys: list[UUID]) -> PurgeCount:
        kept = get_conf().token_history
        longer = self._families().filter(pk__in=keys, generation__gte=kept)
        older = longer.live(self.now).filter(
            refresh_tokens__generation__lte=F("generation") - kept
        )
        # Read without a lock, since generations only grow. A delete that joins would
        # lock the families as well, and deadlock with all who lock them first.
        found = list(older.values_list("pk", "refresh_tokens__generation"))
        if self.dry_run or not found:
            return PurgeCount(tokens=len(found))
        count = 0
        for start in range(0, len(found), _KEYS):
            some = self._tokens().filter(_named(found[start : start + _KEYS]))
            locked = self._lock(some)
            deleted, _ = self._tokens().filter(_named(locked)).delete()
            count += deleted
        return PurgeCount(tokens=count)

    def _lock(self, rows: QuerySet[Any]) -> list[Any]:
        """Lock the rows in one order, but those that others hold; return their keys."""
        features = connections[self.using].features
        skip = features.has_select_for_update_skip_locked
        rows = rows.select_for_update(skip_locked=skip)
        return list(rows.order_by("pk").values_list("pk", flat=True))

    def _families(self) -> SessionFamilyQuerySet:
        return families(self.using)

    def _tokens(self) -> QuerySet[RefreshToken]:
        return RefreshToken.objects.using(self.using)


def _named(keys: list[tuple[UUID, int]]) -> Q:
    """Return the condition that the tokens with these keys meet, family by family."""
    generations: defaultdict[UUID, list[int]] = defaultdict(list)
    for family, generation in keys:
        generations[family].append(generation)
    parts = [Q(family=f, generation__in=these) for f, these in generations.items()]
    return reduce(or_, parts, Q(family__in=[]))


def _others_care() -> bool:
    """Tell whether the site has rows, or receivers, that go with a session."""
    fields = SessionFamily._meta.get_fields(include_hidden=True)  # noqa: SLF001 - Django's
    pointing = {f.related_model for f in fields if f.auto_created and not f.concrete}
    if pointing != {RefreshToken}:
        return True
    return any(sent.has_listeners(SessionFamily) for sent in (pre_delete, post_delete))


class _Pace:
    """How many sessions a batch takes, as the batches before it went."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.size = min(most, _FIRST)

    def learn(self, seconds: float) -> None:
        """Note how long the last batch took."""
        fitting = int(self.size * _PACE / max(seconds, 0.001))
        self.size = min(self._most, max(_FEWEST, min(fitting, 2 * self.size)))
