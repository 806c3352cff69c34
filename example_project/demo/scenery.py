"""Where the story takes place: spans, addresses, devices, and what is to come."""

from __future__ import annotations

__all__ = [
    "ACCESS_LIFETIME",
    "ACCESS_ONLY",
    "AFTER_ACCESS",
    "AFTER_GRACE",
    "CHROME",
    "ELSEWHERE",
    "ENDED",
    "FIREFOX",
    "FULL",
    "GRACE_PERIOD",
    "HOME",
    "HOST",
    "REFRESH_REQUIRED",
    "SAFARI",
    "TRAIN",
    "WHOAMI",
]

# In seconds. Short, so that hours pass in moments, and long enough for a busy machine,
# and for whoever types a password into the form that this token has to send.
ACCESS_LIFETIME = 15
GRACE_PERIOD = 2
AFTER_ACCESS = ACCESS_LIFETIME + 0.2
AFTER_GRACE = GRACE_PERIOD + 0.2

HOST = "127.0.0.1"
# Reserved for documentation (RFC 5737): nobody has them.
HOME = "203.0.113.5"
TRAIN = "198.51.100.7"
ELSEWHERE = "192.0.2.66"

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/140.0.0.0 Safari/537.36"
)
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
)

WHOAMI = "/api/whoami/"
FULL = "200 access + refresh"
ACCESS_ONLY = "200 access only"
ENDED = "401 session_ended"
REFRESH_REQUIRED = "401 refresh_required"
