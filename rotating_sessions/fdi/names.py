"""
The names that the contract gives to cookies and headers.

Source: the Frontend Driver Interface 1.16 to 4.2, as `supertokens-website` speaks it.
"""

from __future__ import annotations

__all__ = [
    "ACCESS_COOKIE",
    "ACCESS_HEADER",
    "ANTI_CSRF_HEADER",
    "AUTH_MODE_HEADER",
    "CUSTOM_REQUEST_HEADER",
    "EXPOSED_HEADERS",
    "FRONT_TOKEN_HEADER",
    "LEGACY_COOKIE",
    "REFRESH_COOKIE",
    "REFRESH_HEADER",
    "REMOVED",
    "REQUEST_HEADERS",
    "TOKEN_COOKIES",
]

ACCESS_COOKIE = "sAccessToken"
REFRESH_COOKIE = "sRefreshToken"
# Of sessions before 2022, whose clients have to refresh.
LEGACY_COOKIE = "sIdRefreshToken"
# All that hold a token, with those that scripts of the front end set on a host which
# it shares with the API. Nobody reads a token from these last two.
TOKEN_COOKIES = (
    *(ACCESS_COOKIE, REFRESH_COOKIE, LEGACY_COOKIE),
    *("st-access-token", "st-refresh-token"),
)

# Of responses.
ACCESS_HEADER = "st-access-token"
REFRESH_HEADER = "st-refresh-token"
FRONT_TOKEN_HEADER = "front-token"  # noqa: S105 - a name
ANTI_CSRF_HEADER = "anti-csrf"  # of requests, too
EXPOSED_HEADERS = (ACCESS_HEADER, REFRESH_HEADER, FRONT_TOKEN_HEADER, ANTI_CSRF_HEADER)
# The front token of a session that is gone.
REMOVED = "remove"

# Of requests.
AUTH_MODE_HEADER = "st-auth-mode"
CUSTOM_REQUEST_HEADER = "rid"
REQUEST_HEADERS = (
    *("anti-csrf", "authorization", "content-type"),
    *("fdi-version", "rid", "st-auth-mode"),
)
