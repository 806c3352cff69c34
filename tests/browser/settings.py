"""The example project on the suite's database, with lives of a few seconds."""

from __future__ import annotations

from datetime import timedelta

from example_project.settings import *  # noqa: F403 - all but what follows
from tests import settings as suite
from tests.browser import scenery

CACHES = suite.CACHES
DATABASES = suite.DATABASES
PASSWORD_HASHERS = suite.PASSWORD_HASHERS
SECRET_KEY = suite.SECRET_KEY

DEBUG = False
ALLOWED_HOSTS = [scenery.HOST, scenery.OTHER_NAME]
ROTATING_SESSIONS = {
    "ACCESS_LIFETIME": timedelta(seconds=scenery.ACCESS_LIFETIME),
    "GRACE_PERIOD": timedelta(seconds=scenery.GRACE_PERIOD),
    "POLL_INTERVAL": timedelta(seconds=scenery.POLL_INTERVAL),
    # Browsers take secure cookies by https only.
    "INSECURE_COOKIES": True,
    # Browsers say where they are, as a proxy in front of the site would.
    "TRUSTED_PROXY_COUNT": 1,
    # A throttled browser would prove nothing: `tests.test_throttles` has them.
    "LOGIN_RATE": None,
    "REFRESH_RATE": None,
}
# Faults only, with their tracebacks.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler", "level": "ERROR"}},
    "root": {"handlers": ["stderr"]},
}
