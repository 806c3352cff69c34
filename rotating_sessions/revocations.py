"""
What this process knows to be revoked.

Access tokens are verified without I/O, so each process keeps the set of families that
were revoked while their access tokens may still live. One indexed query per process and
POLL_INTERVAL keeps it fresh: made by the request that finds it overdue, while the
others go on with the set in hand, or wait where the process sat idle for longer.

The set is bounded: a mass revocation ships its newest families to each process, and
puts in doubt every token that was issued before it. The row of such a token's family is
read once, and that clears it.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from django.db import Error, router

from rotating_sessions.conf import get_conf
from rotating_sessions.exceptions import Unavailable
from rotating_sessions.models import SessionFamily
from rotating_sessions.revocation_list import Lull, RevocationList
from rotating_sessions.rotation import CLOCK_SKEW, COMMIT_DELAY
from rotating_sessions.signals import report

__all__ = [
    "Lull",
    "add",
    "current_lull",
    "is_due",
    "is_in_doubt",
    "is_revoked",
    "lasts",
    "poll",
    "reset",
    "suffice",
    "vouch",
]

# Families in the set. As many take a few megabytes, and a fraction of a second to read;
# hardly anything but a mass revocation ends more while an access token lives.
_LISTED = 10_000

# How long a poll may take before the others wait for it, and how long they then do.
_QUERY_TIME = timedelta(seconds=1)


class _Known(RevocationList):
    """The set and its age. A new one replaces it whole after a fork."""

    def __init__(self) -> None:
        super().__init__(limit=_LISTED, lateness=COMMIT_DELAY + CLOCK_SKEW)
        self.lock = threading.Lock()
        self.failures = 0


_known = _Known()


def reset() -> None:
    """Forget everything, so that the next request loads the set anew."""
    global _known  # noqa: PLW0603 - one set per process is what this module is
    _known = _Known()


# A child that inherited the set would also inherit its age, and perhaps a held lock.
# Windows has no fork, and no such function.
if hasattr(os, "register_at_fork"):  # pragma: no branch
    os.register_at_fork(after_in_child=reset)


def is_revoked(family_id: UUID) -> bool:
    """Tell whether this process knows the family to be revoked."""
    return family_id in _known.revoked_at


def is_in_doubt(family_id: UUID, issued_at: datetime) -> bool:
    """Tell whether a family that is not known to be revoked may yet be, by its row."""
    known = _known
    return known.is_in_doubt(family_id, issued_at, known.loaded_at)


def vouch(family_id: UUID, read_at: datetime) -> None:
    """Note that a family was not revoked when its row was read, on the way to it."""
    _known.vouch(family_id, read_at)


def add(family_ids: Iterable[UUID], now: datetime) -> None:
    """Make this process know at once what it has just revoked, and committed."""
    _known.add(((family_id, now) for family_id in family_ids), now)


def suffice(family_id: UUID, issued_at: datetime, now: datetime) -> bool:
    """Tell whether what is known is fresh, and leaves no doubt about the family."""
    known = _known
    if issued_at <= known.doubted_until and is_in_doubt(family_id, issued_at):
        return False
    return not is_due(now)


def is_due(now: datetime) -> bool:
    """Tell whether `poll` has anything to do at this moment."""
    return not current_lull().has(now)


def current_lull() -> Lull:
    """
    Return the while in which this process learns nothing of revocations.

    Whoever asks for it first, and then finds a session neither revoked nor in doubt,
    need not ask again while it `lasts`.
    """
    conf = get_conf()
    return _known.current_lull(conf.poll_interval, conf.max_staleness)


def lasts(lull: Lull | None, now: datetime) -> bool:
    """Tell whether nothing was learned since, and nothing is due at this moment."""
    return lull is not None and lull is _known.lull and lull.has(now)


def poll(now: datetime) -> None:
    """
    Load what was revoked since the last time, unless another thread is at it.

    A failed query keeps the set in hand, and is tried again after POLL_INTERVAL.

    Raises:
        Unavailable: Nothing was loaded yet, or not for MAX_STALENESS, and the query
            fails or takes as long: not to know is to refuse.
    """
    known = _known
    usable = _is_within(known.loaded_at, get_conf().max_staleness, now)
    failures = known.failures
    if not known.lock.acquire(timeout=_patience(known, now, usable=usable)):
        if usable:
            return
        raise Unavailable
    try:
        if not usable and known.failures > failures:
            # It failed while this request waited: those in the queue do not each wait
            # for a failure of their own.
            raise Unavailable
        if is_due(now):
            _load(known, now)
    except Error as error:
        known.note(now, known.loaded_at)
        known.failures += 1
        kind = type(error).__name__
        report("revocations_stale", level=logging.WARNING, error=kind)
        if not usable:
            raise Unavailable from error
    finally:
        known.lock.release()


def _patience(known: _Known, now: datetime, *, usable: bool) -> float:
    """Return for how many seconds a request waits for one that polls."""
    if not usable:
        # A query may hang for ever, where the network drops what it should carry.
        return get_conf().max_staleness.total_seconds()
    # Had it begun when it was due, it would be done. The process sat idle, and what was
    # revoked in that time, however long ago, is not in the set; or the query hangs, and
    # what cannot be known is a matter of MAX_STALENESS.
    in_time = get_conf().poll_interval + _QUERY_TIME
    recent = _is_within(known.tried_at, in_time, now)
    return 0 if recent else _QUERY_TIME.total_seconds()


def _load(known: _Known, now: datetime) -> None:
    # Longer than any access token lives that was issued before its family's revocation
    # was committed.
    horizon = now - get_conf().least_retention
    # What was revoked until then is in doubt anyway.
    since = max(horizon, known.unlisted_until)
    if known.loaded_at is not None and known.loaded_at <= now:
        # Windows overlap: a commit may come later than the `revoked_at` in it.
        since = max(since, known.loaded_at - COMMIT_DELAY)
    else:
        known.distrust()
    families = SessionFamily.objects.using(router.db_for_write(SessionFamily))
    rows = families.filter(revoked_at__gt=since).values_list("pk", "revoked_at")
    # One more than is kept shows that there are more, and from when.
    newest = list(rows.order_by("-revoked_at")[: known.limit + 1])
    known.forget(horizon)
    known.add(cast(list[tuple[UUID, datetime]], newest), now)
    known.note(now, now)


def _is_within(moment: datetime | None, span: timedelta, now: datetime) -> bool:
    """Tell whether the moment is less than the span away, on either side of now."""
    # A request that waited while another one polled has an older `now` than that one.
    return moment is not None and abs(now - moment) < span
