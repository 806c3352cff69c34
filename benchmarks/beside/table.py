"""What was measured, as rows that compare."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import quantiles

from benchmarks.beside.contenders import Contender
from benchmarks.beside.measuring import OPERATIONS, REFRESH, REPLAY, Turns

__all__ = ["Row", "build_rows", "format_rows"]

# Whom the others are compared with: the package as README's quick start has it.
_US = "rotating_sessions"
# What a refresh has to do at least: one UPDATE.
_WRITE = "no authentication, Django"

_HEAD = (
    "| operation | contender | median µs | quartiles | queries | over the floor "
    "| ÷ floor | ÷ us |\n|---|---|--:|--:|--:|--:|--:|--:|"
)

_LEGEND = (
    "The floor is the same request with no authentication, and for what writes one\n"
    "UPDATE. ÷ floor: of the whole. ÷ us: of what a request takes over the floor, and\n"
    "of the whole of a refresh or replay."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    One operation of one contender, in microseconds.

    `to_us` divides what requests cost over the floor, because the view is nobody's, and
    the whole of a refresh.
    """

    operation: str
    contender: str
    median: float
    quartiles: tuple[float, float]
    samples: int
    queries: int
    over_floor: float
    to_floor: float
    to_us: float


def build_rows(turns: Sequence[Turns]) -> list[Row]:
    """Return a row for each operation of each contender, by operation."""
    return [row for operation in OPERATIONS for row in _compare(operation, turns)]


def format_rows(rows: Sequence[Row]) -> str:
    """Return the rows as a table in Markdown, and how to read it."""
    return "\n".join((_HEAD, *map(_format, rows), "", _LEGEND))


def _compare(operation: str, turns: Sequence[Turns]) -> Iterator[Row]:
    able = {each.contender.name: each for each in turns if each.microseconds[operation]}
    spread = {
        name: quantiles(each.microseconds[operation], n=4, method="inclusive")
        for name, each in able.items()
    }
    is_write = operation in {REFRESH, REPLAY}
    floors = {
        name: spread[_WRITE if is_write else each.contender.floor][1]
        for name, each in able.items()
    }
    ours = spread[_US][1] - (0 if is_write else floors[_US])
    for name, each in able.items():
        low, middle, high = spread[name]
        over = middle - floors[name]
        yield Row(
            operation=operation,
            contender=_label(operation, each.contender),
            median=middle,
            quartiles=(low, high),
            samples=len(each.microseconds[operation]),
            queries=each.queries[operation],
            over_floor=over,
            to_floor=middle / floors[name],
            to_us=(middle if is_write else over) / ours,
        )


def _label(operation: str, contender: Contender) -> str:
    """Return who it was, of a refresh by what is written."""
    if operation not in {REFRESH, REPLAY}:
        return contender.name
    ends = operation == REPLAY and contender.detects_theft
    return (contender.stores or "one UPDATE") + (", ends the session" if ends else "")


def _format(row: Row) -> str:
    low, high = row.quartiles
    return (
        f"| {row.operation} | {row.contender} | {row.median:,.0f} | "
        f"{low:,.0f} to {high:,.0f} | {row.queries} | {row.over_floor:,.0f} | "
        f"{row.to_floor:.2f} | {row.to_us:.2f} |"
    )
