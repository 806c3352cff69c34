"""What there is to purge: how much, and for how long it has been due."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from django.db.models import Min, Q
from django.utils import timezone

from rotating_sessions.conf import get_conf
from rotating_sessions.models import SessionFamilyQuerySet, day_of
from rotating_sessions.services.reading import families
from rotating_sessions.services.transactions import failing_clearly

__all__ = [
    "ENDS",
    "count_ended",
    "ended_by",
    "read_purge_delay",
    "read_retention",
]

# Each has an index, which yields what ended by it without a look at what has not: by
# either of its deadlines, or by a revocation.
ENDS = ("ends_on", "revoked_at")


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
    column: str, rows: SessionFamilyQuerySet, moment: datetime
) -> SessionFamilyQuerySet:
    """Return what had ended by then along one of ENDS, and none of the one before."""
    by_deadline = Q(expires_at__lt=moment) | Q(idle_at__lt=moment)
    if column == "revoked_at":
        return rows.filter(~by_deadline, revoked_at__lt=moment)
    # The last of the days holds sessions that ended later than the moment.
    return rows.filter(by_deadline, ends_on__lte=day_of(moment))


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
        for column in ENDS:
            rows = ended_by(column, families(using), moment)
            count += rows.order_by(column)[: limit - count].count()
    return count


def read_purge_delay(using: str | None = None) -> timedelta:
    """
    Return for how long the oldest ended session has been due to be purged.

    Zero where nothing is due; up to a day where a purge runs daily. What nobody revoked
    counts from the end of its last day. One query, of one entry of each of two indexes
    (SQLite reads the table): good for a health endpoint.

    Raises:
        Unavailable: The database failed.
    """
    due = timezone.now() - get_conf().retention
    with failing_clearly():
        oldest = families(using).aggregate(day=Min("ends_on"), moment=Min("revoked_at"))
    moments: list[datetime] = [oldest["moment"]] if oldest["moment"] else []
    if oldest["day"]:
        midnight = datetime.combine(oldest["day"], time(), tzinfo=UTC)
        moments.append(midnight + timedelta(days=1))
    return max([timedelta(), *(due - moment for moment in moments)])
