"""Count what the tables say of the site's sessions, for those who operate it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from django.db import connections
from django.db.models import Count, Min
from django.utils import timezone

from rotating_sessions.models import RefreshToken, RevokedReason, SessionFamily
from rotating_sessions.services.reading import families
from rotating_sessions.services.transactions import failing_clearly, write_database

__all__ = ["Statistics", "read_last_addresses", "read_statistics"]

# In bytes: of both tables with their indexes, and of the parts of each where it is
# partitioned; of SQLite's file, whatever is in it.
_SIZES = {
    "postgresql": "WITH named AS (SELECT unnest(ARRAY[%s, %s]::regclass[]) AS oid)"
    " SELECT SUM(pg_total_relation_size(oid)) FROM (SELECT oid FROM named"
    " UNION SELECT inhrelid FROM pg_inherits JOIN named ON inhparent = oid) parts",
    "mysql": "SELECT SUM(data_length + index_length) FROM information_schema.tables"
    " WHERE table_schema = DATABASE() AND table_name IN (%s, %s)",
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
    " WHERE EXISTS (SELECT 1 FROM sqlite_master WHERE name IN (%s, %s))",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """
    The sessions at the moment `at`, and what became of them in the `window` before it.

    `live` counts sessions by transport, `anonymous` those of them that are nobody's,
    and `users` those who have one. `refreshes` counts the refresh tokens on record that
    replaced another one: what answered access only left no record, and a purge takes
    all but the last TOKEN_HISTORY of a session.
    `revoked` counts by reason. `ended` are the rows that wait for a purge, the first of
    which ended at `oldest_ended_at`. `size` is in bytes, None where it is not known.
    """

    at: datetime
    window: timedelta
    live: Mapping[str, int]
    anonymous: int
    users: int
    refreshes: int
    revoked: Mapping[str, int]
    ended: int
    oldest_ended_at: datetime | None
    size: int | None

    @property
    def refreshes_per_hour(self) -> float:
        """Return the mean over the window."""
        return self.refreshes / (self.window / timedelta(hours=1))

    @property
    def reuse_detected(self) -> int:
        """Return how many sessions ended in the window because of a theft."""
        return self.revoked[RevokedReason.REUSED]


def read_statistics(window: timedelta, *, using: str | None = None) -> Statistics:
    """
    Return the statistics of a database.

    Args:
        window: How far back refreshes and revocations count.
        using: The database; None for the one that sessions are written to.

    Raises:
        Unavailable: The database failed.
    """
    alias = using or write_database()
    now = timezone.now()
    with failing_clearly():
        live = _count_live(alias, now)
        return Statistics(
            at=now,
            window=window,
            live=live,
            anonymous=families(alias).live(now).anonymous().count(),
            users=_count_users(alias, now),
            refreshes=_count_refreshes(alias, now - window),
            revoked=_count_revoked(alias, now - window),
            # A session that ended in between the two is none fewer than none.
            ended=max(0, families(alias).count() - sum(live.values())),
            oldest_ended_at=_find_oldest_end(alias, now),
            size=_measure(alias),
        )


def read_last_addresses(
    limit: int, *, using: str | None = None
) -> list[tuple[str, str | None]]:
    """
    Return user and address of the live sessions last seen at a login or a refresh.

    Anonymous ones are left out: one visitor may have any number of them.

    Raises:
        Unavailable: The database failed.
    """
    # The idle deadline is as long after the last refresh for every session. An address
    # from before a change of settings is soon no longer among these.
    rows = families(using).live(timezone.now()).exclude(user=None)
    last_seen = rows.order_by("-idle_at")
    with failing_clearly():
        return list(last_seen.values_list("user_pk", "ip_address")[:limit])


def _count_live(alias: str, now: datetime) -> dict[str, int]:
    rows = families(alias).live(now).values("transport").order_by("transport")
    counted = rows.annotate(count=Count("pk")).values_list("transport", "count")
    return dict(counted)


def _count_users(alias: str, now: datetime) -> int:
    rows = families(alias).live(now).exclude(user=None)
    return rows.values("user_id").distinct().count()


def _count_revoked(alias: str, since: datetime) -> dict[str, int]:
    rows = families(alias).filter(revoked_at__gt=since).values("revoked_reason")
    counted = rows.annotate(count=Count("pk")).values_list("revoked_reason", "count")
    return dict.fromkeys(RevokedReason.values, 0) | dict(counted)


def _count_refreshes(alias: str, since: datetime) -> int:
    # By their sessions: of those that were not refreshed since, no token is read.
    refreshed = families(alias).filter(rotated_at__gt=since)
    return refreshed.filter(
        refresh_tokens__issued_at__gt=since, refresh_tokens__generation__gt=0
    ).count()


def _find_oldest_end(alias: str, now: datetime) -> datetime | None:
    """Return when the first of the ended sessions ended, by the index on each end."""
    first = families(alias).aggregate(day=Min("ends_on"), revoked_at=Min("revoked_at"))
    of_day = families(alias).filter(ends_on=first["day"])
    ends = of_day.aggregate(Min("expires_at"), Min("idle_at"))
    moments = (first["revoked_at"], *ends.values())
    passed = [end for end in moments if end is not None and end <= now]
    return min(passed, default=None)


def _measure(alias: str) -> int | None:
    connection = connections[alias]
    if connection.vendor not in _SIZES:
        return None
    tables = [model._meta.db_table for model in (SessionFamily, RefreshToken)]  # noqa: SLF001 - Django's
    with connection.cursor() as cursor:
        cursor.execute(_SIZES[connection.vendor], tables)
        (size,) = cast(tuple[int], cursor.fetchone())
    return int(size)
