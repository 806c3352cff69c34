"""
Figures of a run, such as rounds raced and kills survived, printed at its end.

README's "What we tested" quotes them, so each is counted where it happens.
"""

from __future__ import annotations

from collections import Counter

__all__ = ["count", "lines"]

_figures: Counter[str] = Counter()


def count(name: str, amount: int = 1) -> None:
    """Add to a figure of this run."""
    _figures[name] += amount


def lines() -> list[str]:
    """Return the figures counted so far, a line each."""
    return [f"{name}: {amount:,}" for name, amount in sorted(_figures.items())]
