"""What a site does where the database aborts a transaction of its own: try again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import IntegrityError, OperationalError

from rotating_sessions.exceptions import Unavailable

_Result = TypeVar("_Result")
_TRIES = 40


def patiently(work: Callable[[], _Result]) -> _Result:
    """Return what the site's own transaction returns, however often that takes."""
    for _ in range(_TRIES - 1):
        try:
            return work()
        except (IntegrityError, OperationalError, Unavailable):
            time.sleep(random.uniform(0, 0.05))  # noqa: S311 - no secret
    return work()
