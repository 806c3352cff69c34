"""Which of the databases the process works on."""

from __future__ import annotations

from typing import Any

__all__ = ["ChosenSite", "choose"]

_chosen = {"alias": "default"}


def choose(alias: str) -> None:
    """Let everything that follows read and write this database."""
    _chosen["alias"] = alias


class ChosenSite:
    """Sends every model to the chosen database."""

    def db_for_read(self, model: type, **hints: Any) -> str:
        """Return the alias."""
        return _chosen["alias"]

    def db_for_write(self, model: type, **hints: Any) -> str:
        """Return the alias."""
        return _chosen["alias"]
