"""
The newest revoked families by their ids, and up to when others may be missing.

An access token proves that its family was not revoked when it was issued; a look at the
family's row, that it was not when it was read. What is older than `doubted_until` is no
proof: the family may have been revoked since, and not be listed.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from uuid import UUID

__all__ = ["NEVER", "Lull", "RevocationList"]

NEVER = datetime.min.replace(tzinfo=UTC)

# Families whose rows were read, 200 bytes each. Beyond it the one read longest ago is
# forgotten, which costs its next request one more look.
_VOUCHED = 50_000


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Lull:
    """
    A while in which a list is fresh enough, and has learned nothing.

    It ends with its time, or by whatever the list learns: the next is another one.
    `interval` and `staleness` are those of `current_lull`.
    """

    begins_at: datetime
    ends_at: datetime
    interval: timedelta
    staleness: timedelta

    def has(self, now: datetime) -> bool:
        """Tell whether the moment is within it."""
        return self.begins_at < now < self.ends_at


class RevocationList:
    """
    At most `limit` revoked families, the newest, and the latest one that is left out.

    Threads share it. Who reads takes no lock, and looks first at `revoked_at` and then
    at the doubt: who writes doubts first, and then leaves out.

    Args:
        limit: How many families are listed.
        lateness: How long after its `revoked_at` a revocation may be committed.
    """

    def __init__(self, *, limit: int, lateness: timedelta) -> None:
        self.limit = limit
        self.revoked_at: dict[UUID, datetime] = {}
        # A family revoked until then may be missing; one that was revoked later is not.
        self.unlisted_until = NEVER
        # As late may a token have been issued, or a row read, before that revocation
        # was committed.
        self.doubted_until = NEVER
        self.loaded_at: datetime | None = None
        self.tried_at: datetime | None = None
        # Set to None after whatever it depends on has changed.
        self.lull: Lull | None = None
        self._lateness = lateness
        self._vouched_at: OrderedDict[UUID, datetime] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, tried_at: datetime, loaded_at: datetime | None) -> None:
        """Note when the list was asked for, and when it was last loaded."""
        self.tried_at, self.loaded_at = tried_at, loaded_at
        self.lull = None

    def current_lull(self, interval: timedelta, staleness: timedelta) -> Lull:
        """
        Return the while in which the list is fresh enough, if nothing ends it before.

        On either side of the last time: who waited while another one asked has an older
        `now` than that one.

        Args:
            interval: How long after it was asked for.
            staleness: How long after it was loaded.
        """
        lull = self.lull
        if lull is None or (lull.interval, lull.staleness) != (interval, staleness):
            begins_at = ends_at = NEVER
            if self.loaded_at is not None and self.tried_at is not None:
                begins_at = max(self.loaded_at - staleness, self.tried_at - interval)
                ends_at = min(self.loaded_at + staleness, self.tried_at + interval)
            lull = self.lull = Lull(
                begins_at=begins_at,
                ends_at=ends_at,
                interval=interval,
                staleness=staleness,
            )
        return lull

    def add(self, rows: Iterable[tuple[UUID, datetime]], now: datetime) -> None:
        """List families with the moments of their revocation."""
        with self._lock:
            self.revoked_at.update(rows)
            surplus = len(self.revoked_at) - self.limit
            if surplus > 0:
                ordered = sorted(self.revoked_at.items(), key=itemgetter(1))
                self._leave_out(ordered[surplus - 1][1], now)
                self.revoked_at = dict(ordered[surplus:])
        self.lull = None

    def forget(self, horizon: datetime) -> None:
        """Drop what no access token can tell of that was issued until the horizon."""
        with self._lock:
            gone = [pk for pk, at in self.revoked_at.items() if at <= horizon]
            for pk in gone:
                del self.revoked_at[pk]
            if NEVER < self.doubted_until <= horizon:
                self.unlisted_until = self.doubted_until = NEVER
                self._vouched_at.clear()

    def vouch(self, family_id: UUID, read_at: datetime) -> None:
        """Note that a family was not revoked when its row was read."""
        if self.doubted_until == NEVER:
            return
        with self._lock:
            self._vouched_at.pop(family_id, None)
            self._vouched_at[family_id] = read_at
            if len(self._vouched_at) > _VOUCHED:
                self._vouched_at.popitem(last=False)

    def distrust(self) -> None:
        """Forget what was vouched for, by a clock that ran back since."""
        with self._lock:
            self._vouched_at.clear()

    def is_in_doubt(
        self, family_id: UUID, issued_at: datetime, polled_at: datetime | None
    ) -> bool:
        """
        Tell whether a family may be revoked, although it is not listed.

        Args:
            family_id: The family.
            issued_at: When its access token was issued, in whole seconds.
            polled_at: The last time that the list was brought up to date: as long as a
                revocation may still be committed late, a look serves until the next.
        """
        if issued_at > self.doubted_until:
            return False
        read_at = self._vouched_at.get(family_id)
        if read_at is None or polled_at is None:
            return True
        return read_at <= self.doubted_until and read_at < polled_at

    def _leave_out(self, until: datetime, now: datetime) -> None:
        if until <= self.unlisted_until:
            return
        if until > now - self._lateness:
            # Every token is in doubt then. That what is listed counts as left out, too,
            # costs nothing, and spares reading it again for what is committed late.
            until = max(until, now)
        self.unlisted_until = until
        self.doubted_until = until + self._lateness
