"""Settings of the suite: SQLite, unless DATABASE_URL names another server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dj_database_url

# tox gives each environment a folder and a name: no two runs share a database.
FILES = Path(os.environ.get("TOX_ENV_DIR") or Path(__file__).parent.parent)
_name = os.environ.get("TOX_ENV_NAME", "rotating_sessions").replace("-", "_")

DATABASES: dict[str, dict[str, Any]] = {
    "default": {**dj_database_url.config(default=f"sqlite:///{FILES / 'db.sqlite3'}")}
}
_vendor = DATABASES["default"]["ENGINE"].rpartition(".")[2]
DATABASES["default"]["ATOMIC_REQUESTS"] = os.environ.get("ATOMIC_REQUESTS") == "1"
DATABASES["default"].setdefault("OPTIONS", {}).update(
    {
        # Threads race in the suite: a write waits for its turn instead of failing.
        "sqlite3": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;",
        },
        "mysql": {"charset": "utf8mb4"},
        "postgresql": {},
    }[_vendor]
)
DATABASES["default"]["TEST"] = {
    # A file, because each thread would see a memory database of its own.
    "sqlite3": {"NAME": FILES / "test.sqlite3"},
    "mysql": {"NAME": f"test_{_name}", "CHARSET": "utf8mb4"},
    "postgresql": {"NAME": f"test_{_name}"},
}[_vendor]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

ALLOWED_HOSTS = ["testserver"]
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "rotating_sessions",
    "tests",
]
LOGIN_URL = "/sign-in/"
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "rotating_sessions.middleware.RotatingSessionMiddleware",
]
# Fast, because the suite hashes a password for every user.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ROOT_URLCONF = "tests.urls"
SECRET_KEY = "only-for-the-suite-" + "0123456789abcdef" * 3
STATIC_URL = "static/"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
USE_TZ = True
