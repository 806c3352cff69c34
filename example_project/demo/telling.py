"""Tell the story: numbered steps, one line for each answer, and nothing secret."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field

__all__ = ["Answer", "Story", "Unexpected", "shorten"]

_TOKEN = re.compile(r"rsrt_[\w-]+|eyJ[\w-]+\.[\w-]+\.[\w-]+")
_TITLE = re.compile(r"<title>(.*?)</title>", re.DOTALL)
_MAX_SHOWN = 80  # characters of an answer


class Unexpected(Exception):
    """Something went otherwise than it must: the message says what was to come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server said."""

    status: int
    text: str = field(repr=False)
    location: str | None = None

    @property
    def body(self) -> dict[str, object]:
        """Return the JSON object, or an empty one where the answer is none."""
        try:
            body = json.loads(self.text)
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}

    @property
    def outcome(self) -> str:
        """Return in a few words what the answer amounts to."""
        if "access" in self.body:
            tokens = "access + refresh" if "refresh" in self.body else "access only"
            return f"{self.status} {tokens}"
        code = self.body.get("code", "")
        return f"{self.status} {code}".strip()

    @property
    def shown(self) -> str:
        """Return what can be printed of it: short, and without a usable token."""
        if self.location is not None:
            text = f"to {self.location}"
        elif title := _TITLE.search(self.text):
            text = f"page “{title[1]}”"
        else:
            text = shorten(self.text)
        return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def shorten(text: str) -> str:
    """Return the text with each token cut to its first 8 and last 4 characters."""
    return _TOKEN.sub(lambda token: f"{token[0][:8]}…{token[0][-4:]}", text)


class Story:
    """Prints what happens, and stops at what must not."""

    def __init__(self) -> None:
        self.steps = 0
        self.facts = 0

    def step(self, title: str, *lines: str) -> None:
        """Begin a step, and say in plain words what it is about."""
        self.steps += 1
        print(f"\n{self.steps:2}. {title}")
        for line in lines:
            print(f"    {line}")

    def say(self, line: str) -> None:
        """Say something in between."""
        print(f"    · {line}")

    def expect(self, who: str, does: str, answer: Answer, outcome: str) -> None:
        """
        Print what somebody did and what the server answered.

        Raises:
            Unexpected: The outcome is another one.
        """
        line = f"{who:<8} {does:<29} {answer.status}  {answer.shown}".rstrip()
        if answer.outcome != outcome:
            raise Unexpected(
                f"    ✗ {line}\n      expected: {outcome}\n      got:      "
                f"{answer.outcome}"
            )
        self.facts += 1
        print(f"    ✓ {line}")

    def claim(self, fact: str, *, holds: bool) -> None:
        """
        Print a fact about what was just answered.

        Raises:
            Unexpected: It does not hold.
        """
        if not holds:
            raise Unexpected(f"    ✗ expected, and not so: {fact}")
        self.facts += 1
        print(f"    ✓ {fact}")

    def wait(self, seconds: float, why: str) -> None:
        """Let time pass, and say so first."""
        self.say(f"{seconds:g} s later: {why}")
        time.sleep(seconds)
