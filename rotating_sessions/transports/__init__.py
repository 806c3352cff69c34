"""Tokens in and out of HTTP messages: the header and the cookie transport."""

from __future__ import annotations

from rotating_sessions.transports.incoming import (
    carries_session_cookie,
    hide_cookies,
    raw_cookies,
    read_access,
    read_refresh_cookie,
)
from rotating_sessions.transports.names import (
    COOKIE,
    HEADER,
    Bearer,
    TokenPair,
    access_cookie_name,
    refresh_cookie_name,
)
from rotating_sessions.transports.outgoing import (
    clear_cookies,
    explain,
    forbid_caching,
    refuse,
    write_tokens,
)

__all__ = [
    "COOKIE",
    "HEADER",
    "Bearer",
    "TokenPair",
    "access_cookie_name",
    "carries_session_cookie",
    "clear_cookies",
    "explain",
    "forbid_caching",
    "hide_cookies",
    "raw_cookies",
    "read_access",
    "read_refresh_cookie",
    "refresh_cookie_name",
    "refuse",
    "write_tokens",
]
