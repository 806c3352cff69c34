"""Who can log in to the example. The passwords are no secret."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ADA", "ADMIN", "GRACE", "LOGINS", "Login"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A user with a password that everybody knows."""

    username: str
    password: str
    is_staff: bool = False


ADA = Login(username="ada", password="difference-engine")
GRACE = Login(username="grace", password="first-compiler")
ADMIN = Login(username="admin", password="guard-of-the-keys", is_staff=True)

LOGINS = (ADA, GRACE, ADMIN)
