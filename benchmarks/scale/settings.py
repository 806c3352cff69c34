"""Settings of a site that has a database for each size, one in use at a time."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import dj_database_url

SIZES = tuple(map(int, os.environ["SCALE_FAMILIES"].split()))

_server = dj_database_url.config(default="postgres://postgres@127.0.0.1:5432/postgres")
DATABASES: dict[str, dict[str, Any]] = {
    "default": _server,
    **{
        f"families_{size}": {
            **_server,
            # Connections stay open, as behind a busy server.
            "CONN_MAX_AGE": None,
            "TEST": {"NAME": f"rotating_sessions_scale_{size}"},
        }
        for size in SIZES
    },
}
DATABASE_ROUTERS = ["benchmarks.scale.routing.ChosenSite"]
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
]
# What is logged goes nowhere, whoever logs it.
LOGGING = {
    "version": 1,
    "handlers": {"nowhere": {"class": "logging.NullHandler"}},
    "root": {"handlers": ["nowhere"]},
}
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
# A login is measured, and not how slow a hash is on purpose.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ROOT_URLCONF = "benchmarks.scale.urls"
SECRET_KEY = "only-for-the-benchmark-" + "0123456789abcdef" * 3
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

ROTATING_SESSIONS = {
    # So that each refresh rotates.
    "GRACE_PERIOD": timedelta(microseconds=1),
    "LOGIN_RATE": None,
    "REFRESH_RATE": None,
}
