"""What sessions weigh: bytes on disk, and of the log for each write."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from django.db import connections

from benchmarks.scale.bulk import TABLES
from benchmarks.scale.holders import draw_holders, push_out
from benchmarks.scale.routing import choose
from benchmarks.scale.sites import Site
from benchmarks.scale.turns import refresh, use
from rotating_sessions.services import PurgeCount, purge_sessions
from rotating_sessions.transports import TokenPair

__all__ = ["Weight", "format_weights", "time_purge", "time_walk", "weigh"]

_WRITES = 500

_Given = TypeVar("_Given")
_Result = TypeVar("_Result")

_LABELS = {
    "family_row": "a family",
    "family_indexes": "a family, its indexes",
    "token_row": "a token on record",
    "token_indexes": "a token on record, its indexes",
    "refresh_log": "WAL of a session's first refresh of the day, after a checkpoint",
    "compressed_log": "the same with wal_compression",
    "confirm_log": "WAL of its confirmation",
    "later_log": "WAL of a later refresh, after a checkpoint",
    "again_log": "WAL of another refresh, on pages logged before",
    "refresh_blocks": "pages not in the server's buffers for a refresh, at random",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """
    A site in bytes.

    Of a row of each table: the row, its share of the indexes. Of the log for a refresh
    and its confirmation: what changes first after a checkpoint is logged as a whole
    page, and a session's first refresh of a day moves `ends_on`, with all its indexes.
    """

    families: int
    family_row: float
    family_indexes: float
    token_row: float
    token_indexes: float
    refresh_log: float
    compressed_log: float
    confirm_log: float
    later_log: float
    again_log: float
    refresh_blocks: float


def weigh(site: Site) -> Weight:
    """Return what the site weighs; nothing else may write to the server meanwhile."""
    choose(site.alias)
    family_row, family_indexes = _weigh_rows(site, TABLES[0])
    token_row, token_indexes = _weigh_rows(site, TABLES[1])
    compressed_log, _, _ = _weigh_first(site, compression="on")
    refresh_log, blocks, pairs = _weigh_first(site, compression="off")
    confirm_log, _ = _weigh_log(site, use, pairs)
    again_log, pairs = _weigh_log(site, refresh, [pair.refresh for pair in pairs])
    _ask(site, "CHECKPOINT")
    later_log, _ = _weigh_log(site, refresh, [pair.refresh for pair in pairs])
    return Weight(
        families=site.families,
        family_row=family_row,
        family_indexes=family_indexes,
        token_row=token_row,
        token_indexes=token_indexes,
        refresh_log=refresh_log,
        compressed_log=compressed_log,
        confirm_log=confirm_log,
        later_log=later_log,
        again_log=again_log,
        refresh_blocks=blocks,
    )


def time_purge(site: Site) -> float:
    """Return how many sessions a purge deletes in a second, in batches as it likes."""
    choose(site.alias)
    began = time.monotonic()
    count = sum(purge_sessions(max_time=timedelta(seconds=5)), PurgeCount())
    return count.families / (time.monotonic() - began)


def time_walk(site: Site) -> float:
    """Return how long a purge looks at each session that it leaves alone, in us."""
    choose(site.alias)
    began = time.monotonic()
    # Nothing ended as long ago, and nothing was refreshed that often.
    list(purge_sessions(older_than=timedelta(days=1000)))
    return (time.monotonic() - began) / site.families * 1e6


def format_weights(weights: Sequence[Weight]) -> str:
    """Return the weights as a table in Markdown."""
    head = " | ".join(f"{each.families:,} families" for each in weights)
    lines = [f"| bytes | {head} |", "|---|" + "--:|" * len(weights)]
    for name, label in _LABELS.items():
        cells = " | ".join(f"{getattr(each, name):,.0f}" for each in weights)
        lines.append(f"| {label} | {cells} |")
    return "\n".join(lines)


def _weigh_rows(site: Site, table: str) -> tuple[float, float]:
    """Return the bytes of a row and of its share of the indexes."""
    statement = "SELECT pg_table_size(%s), pg_indexes_size(%s), count(*) FROM " + table
    with connections[site.alias].cursor() as cursor:
        cursor.execute(statement, [table, table])
        rows_size, indexes_size, count = cursor.fetchone()
    return rows_size / count, indexes_size / count


def _weigh_first(
    site: Site, *, compression: str
) -> tuple[float, float, list[TokenPair]]:
    """Return log, pages read and tokens of refreshes, the first since a checkpoint."""
    tokens = [each.refresh for each in draw_holders(site, _WRITES)]
    _ask(site, f"SET wal_compression = {compression}")
    push_out(site)
    before = _read_blocks(site)
    log, pairs = _weigh_log(site, refresh, tokens)
    return log, (_read_blocks(site) - before) / _WRITES, pairs


def _weigh_log(
    site: Site, work: Callable[[_Given], _Result], given: Iterable[_Given]
) -> tuple[float, list[_Result]]:
    """Return the bytes of the log for each, and what came of each."""
    before = _ask(site, "SELECT pg_current_wal_insert_lsn()")
    results = [work(each) for each in given]
    size = _ask(site, "SELECT pg_current_wal_insert_lsn() - %s::pg_lsn", before)
    return float(size) / len(results), results


def _read_blocks(site: Site) -> int:
    """Return how many pages the server has had to read from outside its buffers."""
    _ask(site, "SELECT pg_stat_force_next_flush()")
    statement = (
        "SELECT blks_read FROM pg_stat_database WHERE datname = current_database()"
    )
    return int(_ask(site, statement))


def _ask(site: Site, statement: str, *parameters: object) -> Any:
    with connections[site.alias].cursor() as cursor:
        cursor.execute(statement, parameters or None)
        return cursor.fetchone()[0] if cursor.description else None
