"""Settings of the benchmarks: the suite's, with simplejwt's tables beside ours."""

from __future__ import annotations

from datetime import timedelta

import dj_database_url

from tests.settings import *  # noqa: F403 - all but what follows

DATABASES = {
    "default": dj_database_url.config(
        default="postgres://postgres@127.0.0.1:5432/postgres"
    )
}
# A database of its own, beside the one that is named.
DATABASES["default"]["TEST"] = {"NAME": "rotating_sessions_benchmark"}

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "rest_framework_simplejwt.token_blacklist",
    "rotating_sessions",
]
# Short, so that one live session can be refreshed many times.
ROTATING_SESSIONS = {"GRACE_PERIOD": timedelta(microseconds=1)}
