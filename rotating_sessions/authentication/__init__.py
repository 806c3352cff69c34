"""
Who is asking: the access token of a request, verified once and told to DRF.

The middleware does the verifying, of each token once; all others read what it found.
"""

from __future__ import annotations

from rotating_sessions.authentication.forgery import enforce_csrf, refuse_early_data
from rotating_sessions.authentication.identity import identify, is_on_known_network
from rotating_sessions.authentication.rest_framework import (
    RotatingSessionAuthentication,
)
from rotating_sessions.authentication.visits import (
    NOBODY,
    Memory,
    Visit,
    django_request,
    end_visit,
    read_visit,
    session_exempt,
)

__all__ = [
    "NOBODY",
    "Memory",
    "RotatingSessionAuthentication",
    "Visit",
    "django_request",
    "end_visit",
    "enforce_csrf",
    "identify",
    "is_on_known_network",
    "read_visit",
    "refuse_early_data",
    "session_exempt",
]
