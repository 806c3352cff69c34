"""What a run counts, where it happens, and what it must not count."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

__all__ = ["Fault", "Tally"]


class Fault(Enum):
    """What must not happen. One is enough for the run to fail."""

    FALSE_REVOCATION = "false revocations"
    """An honest session ended without a theft."""

    THEFT_MISSED = "thefts missed"
    """A token was refreshed beside its copy for longer than the protocol allows."""

    SERVER_ERROR = "5xx"
    """The server failed, or said that it could not serve."""

    NOT_MENDED = "requests that a refresh did not mend"
    """Refused with `refresh_required` again, right after a refresh."""

    HANDED_OUT_TWICE = "refresh tokens handed out twice"
    """The same value came in two answers."""

    WRONG_USER = "answers to another user"
    """A page was shown to somebody whom the token does not name."""

    UNEXPECTED = "answers that nothing explains"
    """An answer that the protocol does not know here."""

    GAVE_UP = "sessions given up without an answer"
    """More answers were lost than the protocol forgives: it proves nothing any more."""

    AUDIT = "contradictions in the database"
    """The rows do not fit together, or not to what the clients saw."""

    NO_PROOF = "parts of the story that never happened"
    """What did not happen cannot have gone well."""


@dataclass(slots=True)
class Tally:
    """Counts of one run, and the seconds that each answer took."""

    requests: list[float] = field(default_factory=list)
    refreshes: list[float] = field(default_factory=list)
    logins: int = 0
    full: int = 0
    re_rotated: int = 0
    access_only: int = 0
    both_tabs: int = 0
    network_changes: int = 0
    dropped: int = 0
    cut: int = 0
    timeouts: int = 0
    unseen: int = 0
    thefts: int = 0
    caught: Counter[str] = field(default_factory=Counter)
    faults: Counter[Fault] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    _digests: set[bytes] = field(default_factory=set, repr=False)

    def blame(self, fault: Fault, note: str, times: int = 1) -> None:
        """Count what must not happen, and note for people how it came about."""
        self.faults[fault] += times
        self.notes.append(f"{fault.name}: {note}")

    def note_token(self, digest: bytes) -> None:
        """Note a refresh token that an answer brought."""
        if digest in self._digests:
            self.blame(Fault.HANDED_OUT_TWICE, digest.hex()[:8])
        self._digests.add(digest)
