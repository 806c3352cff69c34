"""docs/comparison.md, taken apart: its cells, and the evidence that they name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["ROOT", "cells", "claims", "evidence", "figures"]

ROOT = Path(__file__).parent.parent.parent
_TEXT = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8")
# A quotation goes on until something else than another one begins.
_CLAIM = re.compile(
    r"(?:`(?P<path>[\w/.]+\.\w+)` )?(?P<verb>says|lacks|, and|,) `(?P<text>[^`]+)`"
    r"(?! (?:says|lacks))"
)
_MEASURED = re.compile(r"(?:`([^`]+)` of )?`([^`]+)`: ([\d,]+) (?:queries|bytes)")


def cells() -> list[str]:
    """Return every cell of the table that says what somebody does."""
    rows = re.findall(r"^\| [A-Z].*\|$", _TEXT, re.MULTILINE)
    return [cell.strip() for row in rows for cell in row.strip("|").split(" | ")[1:]]


def evidence() -> dict[str, str]:
    """Return the evidence by its name."""
    listed = re.findall(r"^- \[(\w+)\] (.+)$", _TEXT, re.MULTILINE)
    assert len(dict(listed)) == len(listed)
    return dict(listed)


def claims() -> Iterator[tuple[str, str, str, str]]:
    """Yield name, file, verb and quotation of what can be looked up in a file."""
    for name, text in evidence().items():
        if text.startswith("<https://") or _MEASURED.fullmatch(text):
            continue
        path = verb = ""
        for found in _CLAIM.finditer(text):
            path = found["path"] or path
            verb = found["verb"] if found["verb"] in {"says", "lacks"} else verb
            yield name, path, verb, found["text"]


def figures() -> Iterator[tuple[str, str, str, str]]:
    """Yield name, operation, contender and figure of what was measured."""
    for name, text in evidence().items():
        if found := _MEASURED.fullmatch(text):
            operation, contender, figure = found.groups("bytes")
            yield name, operation, contender, figure
