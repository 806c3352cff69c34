"""Where the browsers meet the site: spans, addresses, paths."""

from __future__ import annotations

__all__ = [
    "ACCESS_LIFETIME",
    "AFTER_ACCESS",
    "AFTER_GRACE",
    "GRACE_PERIOD",
    "HOME",
    "HOST",
    "OTHER_NAME",
    "POLL_INTERVAL",
    "TIMEOUT",
    "TRAIN",
]

# In seconds. As long as the grace period may be, so that a busy machine is no thief.
ACCESS_LIFETIME = 2
GRACE_PERIOD = 1.9
POLL_INTERVAL = 0.5
TIMEOUT = GRACE_PERIOD / 2  # of a refresh, as clients have it
AFTER_ACCESS = ACCESS_LIFETIME + 0.2
AFTER_GRACE = GRACE_PERIOD + 0.2

HOST = "127.0.0.1"
OTHER_NAME = "localhost"  # by which the same server is another origin
# Reserved for documentation (RFC 5737): nobody has them.
HOME = "203.0.113.5"
TRAIN = "198.51.100.7"
