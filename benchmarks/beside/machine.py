"""What was measured with, and where."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from django.db import connection
from django.utils import timezone

__all__ = ["describe_surroundings"]


def describe_surroundings(distributions: Iterable[str]) -> dict[str, str]:
    """Return date, machine, load, database and the versions of what takes part."""
    load = ", ".join(f"{average:.1f}" for average in os.getloadavg())
    return {
        "date": timezone.now().date().isoformat(),
        "processor": f"{os.cpu_count()} cores, {_read_processor()}",
        "load of the last 1, 5 and 15 minutes": load,
        "Python": platform.python_version(),
        connection.display_name: _read_database_version(),
        **{name: version(name) for name in distributions},
    }


def _read_processor() -> str:
    """Return the model of the processor, as Linux tells it."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    models = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    return models[0].strip() if models else platform.machine()


def _read_database_version() -> str:
    return ".".join(map(str, connection.get_database_version()))
