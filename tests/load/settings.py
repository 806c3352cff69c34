"""Settings of the site under load: the suite's, on PostgreSQL, with short lifetimes."""

from __future__ import annotations

from datetime import timedelta

import dj_database_url

from tests.load import scenery
from tests.settings import *  # noqa: F403 - all but what follows

DATABASES = {
    "default": {
        **dj_database_url.config(default="postgres://postgres@127.0.0.1:5432/test"),
        # A worker's threads keep their connections.
        "CONN_MAX_AGE": None,
    }
}
# A database of its own, beside the one that is named.
DATABASES["default"]["NAME"] = f"load_{DATABASES['default']['NAME']}"
DATABASES["default"]["TEST"] = {"NAME": DATABASES["default"]["NAME"]}

ALLOWED_HOSTS = [scenery.HOST]
ROTATING_SESSIONS = {
    "ACCESS_LIFETIME": timedelta(seconds=scenery.ACCESS_LIFETIME),
    "GRACE_PERIOD": timedelta(seconds=scenery.GRACE_PERIOD),
    "POLL_INTERVAL": timedelta(seconds=scenery.POLL_INTERVAL),
    # Clients say where they are, as a proxy in front of the site would.
    "TRUSTED_PROXY_COUNT": 1,
    # A throttled client would prove nothing: `tests.test_throttles` has them.
    "LOGIN_RATE": None,
    "REFRESH_RATE": None,
}
# Faults only, with their tracebacks: a 401 is an answer like any other here.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler", "level": "ERROR"}},
    "root": {"handlers": ["stderr"]},
}
