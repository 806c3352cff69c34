"""
Tasks for the task framework of Django 6.0 and newer; older ones have no `django.tasks`.

Nothing here imports it: a site that wants to enqueue a purge does.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta

from django.tasks import task

from rotating_sessions import services

__all__ = ["purge"]


@task
def purge(max_seconds: float | None = None) -> dict[str, int | bool]:
    """
    Purge, as the command does, and return how many rows that deleted.

    Args:
        max_seconds: Stop after the batch in which this time is over.

    Returns:
        The fields of a `services.PurgeCount`, for the result of a task has to be JSON.

    Raises:
        Unavailable: The database failed; what was deleted stays deleted.
    """
    limit = None if max_seconds is None else timedelta(seconds=max_seconds)
    batches = services.purge_sessions(max_time=limit)
    return asdict(sum(batches, services.PurgeCount()))
