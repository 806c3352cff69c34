"""What an access token says, once it is verified."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

__all__ = ["AccessClaims"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessClaims:
    """
    What a verified access token says.

    `networks` are keyed hashes of the networks it may be used from.
    """

    family_id: UUID
    generation: int
    user_pk: str
    issued_at: datetime
    expires_at: datetime
    auth_time: datetime
    networks: tuple[str, ...]
