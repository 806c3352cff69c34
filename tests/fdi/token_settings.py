"""The same site, with anti-CSRF tokens."""

from __future__ import annotations

from tests.fdi.settings import *  # noqa: F403 - all but what follows

ROTATING_SESSIONS_FDI = {"ANTI_CSRF": "token"}
