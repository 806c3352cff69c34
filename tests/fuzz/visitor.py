"""Who knocks at the site: one user, with a live session in either transport."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.core.cache import cache
from django.test import RequestFactory

from rotating_sessions import revocations
from rotating_sessions.models import RevokedReason, SessionFamily
from rotating_sessions.services import revoke_sessions, start_session
from rotating_sessions.tokens.refresh import decode_refresh
from rotating_sessions.transports import COOKIE, HEADER, TokenPair
from tests.browsing import ACCESS, HOME, REFRESH
from tests.factories import PASSWORD

__all__ = ["MODES", "UNTHROTTLED", "Visitor", "arrive"]

# Whoever sends thousands of requests a minute would see nothing but 429.
UNTHROTTLED = {"LOGIN_RATE": None, "REFRESH_RATE": None}
MODES = ["nobody", "header", "cookie", "cookie without CSRF", "ended", "ended cookie"]
_CSRF = "abcdefghijklmnopqrstuvwxyz012345"


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """A user and the tokens of two sessions: of a program and of a browser."""

    user: Any
    header: TokenPair
    cookie: TokenPair

    @property
    def session_id(self) -> UUID:
        """Return the id of the program's session."""
        return decode_refresh(self.header.refresh or "").family_id

    def credentials(self, mode: str) -> dict[str, str]:
        """Return the headers of a request in this mode, by their names in HTTP."""
        if mode.startswith("ended"):
            revoke_sessions(SessionFamily.objects.all(), reason=RevokedReason.LOGOUT)
        if mode in {"header", "ended"}:
            return {"Authorization": f"Bearer {self.header.access}"}
        if mode == "nobody":
            return {}
        jar = {ACCESS: self.cookie.access, REFRESH: self.cookie.refresh}
        if mode == "cookie without CSRF":
            return {"Cookie": _spell(jar)}
        return {"Cookie": _spell({"csrftoken": _CSRF, **jar}), "X-CSRFToken": _CSRF}


def arrive() -> Visitor:
    """Return the one user there is, with two new sessions and no older ones."""
    SessionFamily.objects.all().delete()
    revocations.reset()
    cache.clear()
    user, _ = get_user_model().objects.update_or_create(
        username="ann",
        defaults={"password": make_password(PASSWORD), "is_active": True},
    )
    request = RequestFactory(REMOTE_ADDR=HOME).post("/")
    return Visitor(
        user=user,
        header=start_session(request, user, transport=HEADER),
        cookie=start_session(request, user, transport=COOKIE),
    )


def _spell(jar: dict[str, str | None]) -> str:
    return "; ".join(f"{name}={value}" for name, value in jar.items())
