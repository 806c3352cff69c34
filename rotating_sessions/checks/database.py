"""Check what is in the database of the sessions: whether anybody purges it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.core import checks
from django.core.checks import CheckMessage
from django.db import Error, transaction

from rotating_sessions.checks.types import has_right_types
from rotating_sessions.conf import get_conf
from rotating_sessions.exceptions import Unavailable
from rotating_sessions.services import read_purge_delay, write_database

__all__ = ["check_database"]

# A purge runs daily: this many missed are no accident.
_LONG = timedelta(days=7)


def check_database(
    *, databases: Sequence[str] | None = None, **kwargs: object
) -> list[CheckMessage]:
    """Return what the rows tell; nothing where this is not their database."""
    alias = write_database()
    if alias not in (databases or ()) or not has_right_types(get_conf()):
        return []
    try:
        # In a transaction of its own, so as to spoil none where there is no table.
        with transaction.atomic(using=alias):
            delay = read_purge_delay(using=alias)
    except (Error, Unavailable):
        # Not migrated yet, or not there at all, which is not for this check to say.
        return []
    return [_warning(33, delay)] if delay > _LONG else []


def _warning(number: int, delay: timedelta) -> checks.Warning:
    return checks.Warning(
        f"Sessions have been due to be purged for {delay.days} days.",
        hint="Run `manage.py rotating_sessions_purge` once a day.",
        id=f"rotating_sessions.W{number:03}",
    )
