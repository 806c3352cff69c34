"""What there is to purge: how much, and for how long it has been due."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Min
from django.utils import timezone

from rotating_sessions.conf import get_conf
from rotating_sessions.models import SessionFamilyQuerySet
from rotating_sessions.services.reading import families
from rotating_sessions.services.transactions import failing_clearly

__all__ = [
    "DEADLINES",
    "count_ended",
    "ended_by",
    "read_purge_delay",
    "read_retention",
]

# Each has an index, which yields what ended by it without a look at what has not.
DEADLINES = ("idle_at", "expires_at", "revoked_at")


def read_retention(older_than: timedelta | None) -> timedelta:
    """
    Return how long ago a session has ended that is purged: RETENTION, or as given.

    Raises:
        ValueError: An access token of it might still be good.
    """
    conf = get_conf()
    if older_than is not None and older_than < conf.least_retention:
        raise ValueError(f"Sessions are kept for {conf.least_retention} at least.")
    return conf.retention if older_than is None else older_than


def ended_by(
    deadline: str, rows: SessionFamilyQuerySet, moment: datetime
) -> SessionFamilyQuerySet:
    """Return what this deadline had ended by then, and none that comes before it."""
    rows = rows.filter(**{f"{deadline}__lt": moment})
    for earlier in DEADLINES[: DEADLINES.index(deadline)]:
        rows = rows.filter(**{f"{earlier}__gte": moment})
    return rows


def count_ended(
    *, limit: int, older_than: timedelta | None = None, using: str | None = None
) -> int:
    """
    Count the sessions that a purge would delete, up to a limit so as not to take long.

    Raises:
        ValueError: An access token of them might still be good.
        Unavailable: The database failed.
    """
    moment = timezone.now() - read_retention(older_than)
    count = 0
    with failing_clearly():
        for deadline in DEADLINES:
            rows = ended_by(deadline, families(using), moment)
            count += rows.order_by(deadline)[: limit - count].count()
    return count


def read_purge_delay(using: str | None = None) -> timedelta:
    """
    Return for how long the oldest ended session has been due to be purged.

    Zero where nothing is due; up to a day where a purge runs daily. One query, of one
    row of each of three indexes (SQLite reads the table): good for a health endpoint.

    Raises:
        Unavailable: The database failed.
    """
    due = timezone.now() - get_conf().retention
    with failing_clearly():
        oldest = families(using).aggregate(*[Min(column) for column in DEADLINES])
    moments: list[datetime] = [moment for moment in oldest.values() if moment]
    delays = [due - moment for moment in moments]
    return max([timedelta(), *delays])
