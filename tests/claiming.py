"""What the sites of the tests say of their users."""

from __future__ import annotations

from typing import Any, NoReturn

from rotating_sessions.models import SessionFamily

SETTING = f"{__name__}.claims"


def claims(user: Any) -> dict[str, Any]:
    """Say what the user's row says, at this moment."""
    user.refresh_from_db()
    return {
        "roles": user.first_name.split(),
        "email_verified": bool(user.email),
        "sessions": SessionFamily.objects.filter(user=user).count(),
    }


def broken(user: Any) -> NoReturn:
    """Fail, as functions do."""
    raise ZeroDivisionError


def reserved(user: Any) -> dict[str, Any]:
    """Say who somebody else is."""
    return {"sub": "1"}


async def late(user: Any) -> dict[str, Any]:  # pragma: no cover - a check refuses it
    return {}
