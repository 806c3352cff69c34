"""A fuzzer's bytes, read as values: the same bytes are always the same values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

__all__ = ["Source"]

_T = TypeVar("_T")

_MAX_DEPTH = 4
_NUMBERS = [
    *(0, 1, -1, 7, 2**31, 2**63, 2**64, -(2**63), 10**30, 253_402_300_799),
    *(0.0, -0.0, 1.5, 1e308, float("inf"), float("-inf"), float("nan")),
]
_TEXTS = [
    *("", " ", "a", "\x00", "a\x00b", "\ud800", "é", "\u2000", "😀", "null", "true"),
    *("../..", "%00", "' OR 1=1 --", "{{7*7}}", "a" * 300, "0", "1e9", "\r\nA: b"),
]


class Source:
    """
    Bytes that are used up by reading values from them; zeros follow the last one.

    A choice costs one byte, so that a coverage-guided fuzzer gets from one branch to
    the next by changing one.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def bytes(self, size: int) -> bytes:
        """Return exactly so many bytes."""
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken.ljust(size, b"\x00")

    def rest(self) -> bytes:
        """Return all that is left."""
        taken = self._data[self._at :]
        self._at = len(self._data)
        return taken

    def some(self) -> bytes:
        """Return up to 255 bytes: the first says how many, as far as there are any."""
        size = self.number(255)
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken

    def number(self, highest: int) -> int:
        """Return a number from zero to the highest."""
        width = (highest.bit_length() + 7) // 8
        return int.from_bytes(self.bytes(width)) % (highest + 1)

    def flag(self) -> bool:
        """Return true or false."""
        return self.number(1) == 1

    def pick(self, options: Sequence[_T]) -> _T:
        """Return one of the options."""
        return options[self.number(len(options) - 1)]

    def text(self) -> str:
        """Return a text, of any characters and of halves of characters."""
        if self.flag():
            return self.pick(_TEXTS)
        return self.some().decode("utf-8", "surrogateescape")

    def latin(self) -> str:
        """Return bytes as a WSGI server hands over a header."""
        return self.some().decode("latin-1")

    def value(self, depth: int = 0) -> Any:
        """Return anything that JSON, or Python's reading of it, can say."""
        kind = self.number(5 if depth == _MAX_DEPTH else 7)
        if kind <= 1:
            return self.text()
        if kind == 2:
            return self.pick(_NUMBERS)
        if kind == 3:
            return self.number(2**64 - 1)
        if kind <= 5:
            return self.pick([None, True, False])
        if kind == 6:
            return [self.value(depth + 1) for _ in range(self.number(3))]
        return {self.text(): self.value(depth + 1) for _ in range(self.number(3))}

    def edited(self, text: str) -> str:
        """Return the text after up to four edits, which may leave it as it was."""
        for _ in range(self.number(4)):
            at = self.number(len(text))
            before, here, after = text[:at], text[at : at + 1], text[at + 1 :]
            new = chr(self.number(0xFF))
            flipped = chr(ord(here or "\x00") ^ 1 << self.number(7))
            text = before + self.pick([flipped, new, here + new, ""]) + after
        return text
