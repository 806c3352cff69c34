"""Mutants that survive, each with the reason why no test can, or need, notice it."""

from __future__ import annotations

__all__ = ["EXPLAINED"]

# By module and change, so that a reason outlives a line that moves.
EXPLAINED: dict[tuple[str, str], str] = {
    (
        "rotating_sessions/tokens/refresh.py",
        "os.urandom(16),  ->  os.urandom( 17),",
    ): "`struct` cuts the nonce to the sixteen bytes of its field.",
}
