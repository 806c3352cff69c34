"""What was measured at each size, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import quantiles

from benchmarks.scale.turns import Turns

__all__ = ["Row", "build_rows", "format_rows"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One operation: its three quartiles at each size, in milliseconds."""

    operation: str
    samples: int
    quartiles: dict[int, tuple[float, float, float]]

    @property
    def ratios(self) -> tuple[float, float]:
        """
        Return how many times as long it takes on the biggest site.

        By the lower quartiles, which what else runs on the machine moves less, and by
        the medians.
        """
        sizes = sorted(self.quartiles)
        small, big = self.quartiles[sizes[0]], self.quartiles[sizes[-1]]
        return big[0] / small[0], big[1] / small[1]


def build_rows(turns: Sequence[Turns]) -> list[Row]:
    """Return a row for each operation."""
    return list(_rows(turns))


def format_rows(rows: Sequence[Row]) -> str:
    """Return the rows as a table in Markdown."""
    sizes = sorted(rows[0].quartiles)
    head = " | ".join(f"{size:,} families" for size in sizes)
    lines = [
        f"| median ms (quartiles) | {head} | lower quartiles, ÷ | medians, ÷ |",
        "|---|" + "--:|" * (len(sizes) + 2),
    ]
    for row in rows:
        cells = " | ".join(_format(row.quartiles[size]) for size in sizes)
        low, middle = row.ratios
        lines.append(f"| {row.operation} | {cells} | {low:.2f} | {middle:.2f} |")
    return "\n".join(lines)


def _rows(turns: Sequence[Turns]) -> Iterator[Row]:
    for operation, taken in turns[0].milliseconds.items():
        spread = {
            each.site.families: quantiles(
                each.milliseconds[operation], n=4, method="inclusive"
            )
            for each in turns
        }
        yield Row(
            operation=operation,
            samples=len(taken),
            quartiles={
                size: (low, mid, high) for size, (low, mid, high) in spread.items()
            },
        )


def _format(quartiles: tuple[float, float, float]) -> str:
    low, middle, high = quartiles
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"
