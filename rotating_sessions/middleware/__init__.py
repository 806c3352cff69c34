"""The middleware, by the name that MIDDLEWARE knows it by."""

from __future__ import annotations

from rotating_sessions.middleware.session import RotatingSessionMiddleware

__all__ = ["RotatingSessionMiddleware"]
