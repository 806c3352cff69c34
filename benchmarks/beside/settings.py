"""Settings of a site that has all contenders, each under a prefix of its own."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import dj_database_url

# tox gives each environment a folder: no two runs share a database.
_FILES = Path(os.environ.get("TOX_ENV_DIR") or Path(__file__).parent)

DATABASES: dict[str, dict[str, Any]] = {
    "default": {**dj_database_url.config(default=f"sqlite:///{_FILES / 'bench.db'}")}
}
# Connections stay open, as behind a busy server.
DATABASES["default"]["CONN_MAX_AGE"] = None
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
    DATABASES["default"]["TEST"] = {"NAME": _FILES / "bench.sqlite3"}
else:
    # A database of its own, beside the one that is named.
    DATABASES["default"]["TEST"] = {"NAME": "rotating_sessions_bench"}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

ALLOWED_HOSTS = ["testserver"]
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "rest_framework",
    "allauth",
    "allauth.account",
    "allauth.headless",
    "knox",
    "oauth2_provider",
    "rest_framework_simplejwt.token_blacklist",
    "rotating_sessions",
]
# What is logged goes nowhere, whoever logs it.
LOGGING = {
    "version": 1,
    "handlers": {"nowhere": {"class": "logging.NullHandler"}},
    "root": {"handlers": ["nowhere"]},
}
# Logins are not measured, and have to be many.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ROOT_URLCONF = "benchmarks.beside.urls"
# All JWTs are signed by HS256, where the contender lets us choose.
SECRET_KEY = "only-for-the-benchmark-" + "0123456789abcdef" * 3
USE_TZ = True

ROTATING_SESSIONS = {
    # So that each refresh rotates, and each superseded token is a stolen one.
    "GRACE_PERIOD": timedelta(microseconds=1),
    # No contender throttles.
    "LOGIN_RATE": None,
    "REFRESH_RATE": None,
}
SIMPLE_JWT = {"BLACKLIST_AFTER_ROTATION": True, "ROTATE_REFRESH_TOKENS": True}

ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_RATE_LIMITS = False
HEADLESS_JWT_ALGORITHM = "HS256"
HEADLESS_ONLY = True
HEADLESS_TOKEN_STRATEGY = "allauth.headless.tokens.strategies.jwt.JWTTokenStrategy"  # noqa: S105 - no password
# Each contender has middleware of its own; allauth refuses to start without this.
MIDDLEWARE = ["allauth.account.middleware.AccountMiddleware"]
OAUTH2_PROVIDER = {"REFRESH_TOKEN_REUSE_PROTECTION": True}
