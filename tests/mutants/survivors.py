"""Mutants that survive with a reason: `survivors.toml` has them."""

from __future__ import annotations

import tomllib
from pathlib import Path

__all__ = ["explanations"]


def explanations() -> dict[tuple[str, str], str]:
    """Return why a mutant need not be noticed, by its module and what it changes."""
    text = Path(__file__).with_suffix(".toml").read_text()
    return {
        (known["module"], known["change"]): known["reason"]
        for known in tomllib.loads(text)["survivor"]
    }
