"""How many bytes a session takes in the database, once it has been refreshed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.db import connection

from benchmarks.beside.contenders import Contender

__all__ = ["format_growth", "measure_growth"]

# Of all tables with their indexes, once nothing in them is dead.
_SIZES = """
SELECT sum(pg_total_relation_size(oid)) FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""

# A page more or less is little beside as many logins and refreshes.
_WRITES = 2000


def measure_growth(
    contenders: Sequence[Contender], refreshes: Sequence[int]
) -> dict[str, dict[int, int]]:
    """Return the bytes of a session of each contender after so many refreshes."""
    return {
        each.stores: {count: _measure(each, count) for count in refreshes}
        for each in contenders
        if each.stores
    }


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


def _measure(contender: Contender, refreshes: int) -> int:
    if not contender.refreshes:
        refreshes = 0
    sessions = max(10, _WRITES // (refreshes + 1))
    before = _read_size()
    held = [contender.log_in() for _ in range(sessions)]
    for _ in range(refreshes):
        held = [contender.refreshed(tokens) for tokens in held]
    return round((_read_size() - before) / sessions)


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
