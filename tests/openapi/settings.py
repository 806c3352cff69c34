"""Settings of the suite, with the schema as docs/openapi.md sets it up."""

from __future__ import annotations

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS

INSTALLED_APPS += ["drf_spectacular", "rotating_sessions.contrib.spectacular"]
REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}
ROOT_URLCONF = "tests.urls_of_auth"
