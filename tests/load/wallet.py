"""What a client holds, and how it travels: a program's tokens or a browser's jar."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic

from rotating_sessions.transports import (
    HEADER,
    access_cookie_name,
    refresh_cookie_name,
)
from tests.load.wire import Answer

__all__ = ["Held", "Wallet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """
    A refresh token as its holder knows it.

    `predecessor` is the generation it was given for, and `since` when that was.
    """

    token: str = field(default="", repr=False)
    generation: int = 0
    predecessor: int | None = None
    since: float = 0


@dataclass(slots=True, kw_only=True)
class Wallet:
    """
    The tokens of one client, which its tabs share.

    `minted_with` is the refresh token whose generation the access token bears, and
    `renewed_at` when that access token came.
    """

    transport: str
    access: str = field(default="", repr=False)
    held: Held = Held()
    minted_with: Held = Held()
    renewed_at: float = 0
    csrf: str = field(default="", repr=False)

    def headers(self) -> dict[str, str]:
        """Return what every request carries."""
        if self.transport == HEADER:
            return {"Authorization": f"Bearer {self.access}"} if self.access else {}
        jar = {
            access_cookie_name(): self.access,
            refresh_cookie_name(): self.held.token,
            "csrftoken": self.csrf,
        }
        cookies = "; ".join(f"{name}={value}" for name, value in jar.items() if value)
        csrf = {"X-CSRFToken": self.csrf} if self.csrf else {}
        return {"Cookie": cookies, **csrf} if cookies else {}

    def put(self, access: str, held: Held, minted_with: Held) -> None:
        """Put the tokens of an answer in the place of those before."""
        self.access, self.held, self.minted_with = access, held, minted_with
        self.renewed_at = monotonic()

    def body(self) -> dict[str, str]:
        """Return the body of a refresh."""
        return {"refresh": self.held.token} if self.transport == HEADER else {}

    def read(self, answer: Answer) -> tuple[str, str]:
        """Return the access and the refresh token of an answer, or empty texts."""
        if self.transport == HEADER:
            found, names = answer.body, ("access", "refresh")
        else:
            found, names = answer.cookies, (access_cookie_name(), refresh_cookie_name())
        access, refresh = (str(found.get(name, "")) for name in names)
        return access, refresh
