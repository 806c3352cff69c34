"""How many bytes a session takes in the database, once it has been refreshed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from django.db import connection

from benchmarks.beside.contenders import Contender
from rotating_sessions.services import purge_sessions

__all__ = ["format_growth", "measure_growth"]

# Of all tables with their indexes, once nothing in them is dead.
_SIZES = """
SELECT sum(pg_total_relation_size(oid)) FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""

# A page more or less is little beside as many logins and refreshes.
_WRITES = 2000
# Sessions, where each of them is refreshed more often than that. What a purge leaves is
# little, and a page as much as a session: where a purge bounds it, more are needed.
_FEWEST, _FEWEST_PURGED = 1, 5

_PURGED = "after the purge"


def measure_growth(
    contenders: Sequence[Contender], refreshes: Sequence[int]
) -> dict[str, dict[int, int]]:
    """Return the bytes of a session of each contender after so many refreshes."""
    if connection.vendor == "postgresql":
        # Nothing is timed here, and there is much to write.
        _execute("SET synchronous_commit = off")
    growth: dict[str, dict[int, int]] = defaultdict(dict)
    for each in filter(lambda contender: contender.stores, contenders):
        for count in refreshes:
            for name, size in _measure(each, count):
                growth[name][count] = size
    return growth


def format_growth(growth: Mapping[str, Mapping[int, int]]) -> str:
    """Return the bytes as a table in Markdown."""
    counts = next(iter(growth.values()))
    lines = [
        "| bytes of a session after | "
        + " | ".join(f"{count:,} refreshes" for count in counts)
        + " |",
        "|---|" + "--:|" * len(counts),
    ]
    for name, sizes in growth.items():
        cells = " | ".join(f"{size:,}" for size in sizes.values())
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def _measure(contender: Contender, refreshes: int) -> Iterator[tuple[str, int]]:
    """Yield the bytes, and where a purge takes some of them what it leaves."""
    if not contender.refreshes:
        refreshes = 0
    fewest = _FEWEST_PURGED if contender.is_trimmed else _FEWEST
    sessions = max(fewest, _WRITES // (refreshes + 1))
    before = _read_size()
    held = [contender.log_in() for _ in range(sessions)]
    for _ in range(refreshes):
        held = [contender.refreshed(tokens) for tokens in held]
    yield contender.stores, round((_read_size() - before) / sessions)
    if contender.is_trimmed:
        list(purge_sessions())
        size = round((_read_size() - before) / sessions)
        yield f"{contender.stores}, {_PURGED}", size


def _read_size() -> int:
    if connection.vendor == "postgresql":
        _execute("VACUUM FULL")
        return int(_execute(_SIZES))
    _execute("VACUUM")
    return _execute("PRAGMA page_count") * _execute("PRAGMA page_size")


def _execute(statement: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0] if cursor.description else 0
