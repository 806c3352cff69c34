"""The settings of a server whose sessions age fast enough to be watched."""

from __future__ import annotations

from datetime import timedelta

# Requests die with their worker or their connection, so that W need not outlast them.
GRACE_PERIOD = timedelta(milliseconds=200)
SETTINGS = {
    "GRACE_PERIOD": GRACE_PERIOD,
    "POLL_INTERVAL": timedelta(milliseconds=100),
    "LOGIN_RATE": None,
    "REFRESH_RATE": None,
}
