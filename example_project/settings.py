"""
Settings of the example: production unless EXAMPLE_MODE says development.

Production means behind one proxy that speaks TLS and writes X-Forwarded-For and
X-Forwarded-Proto. Development means DEBUG, and plain HTTP on this machine.
"""

from __future__ import annotations

import os
import secrets
from datetime import timedelta
from pathlib import Path

import django

DEVELOPMENT = os.environ.get("EXAMPLE_MODE", "production") == "development"
BASE_DIR = Path(__file__).resolve().parent
# Where the database lives: the demo names a folder that it removes afterwards.
FILES = Path(os.environ.get("EXAMPLE_FILES", BASE_DIR))

DEBUG = DEVELOPMENT
# A key made up here serves one process until it ends. Give several the same one.
SECRET_KEY = os.environ.get("EXAMPLE_SECRET_KEY") or secrets.token_urlsafe(64)
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
if not DEVELOPMENT:
    ALLOWED_HOSTS = os.environ.get("EXAMPLE_HOSTS", "example.com").split(",")

INSTALLED_APPS = [
    "example_project",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "rotating_sessions",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "example_project.middleware.content_security_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "rotating_sessions.middleware.RotatingSessionMiddleware",
]
ROOT_URLCONF = "example_project.urls"
WSGI_APPLICATION = "example_project.wsgi.application"
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

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": FILES / "db.sqlite3",
        "OPTIONS": {
            # Writers wait for their turn, and readers wait for nobody. SQLite keeps to
            # synchronous=FULL: a new refresh token leaves once its row is on the disk.
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL;",
        },
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# Shared by all processes, so that logins are counted together. Its table is made by
# `manage.py createcachetable`.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "cache",
    },
}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "sign-in"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rotating_sessions.authentication.RotatingSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
}

_PROXIES = os.environ.get("EXAMPLE_PROXIES", "0" if DEVELOPMENT else "1")
ROTATING_SESSIONS = {
    "INSECURE_COOKIES": DEVELOPMENT,
    "TRUSTED_PROXY_COUNT": int(_PROXIES),
}
# In seconds. The demo shortens them, so that hours pass in moments.
for _span in ("ACCESS_LIFETIME", "GRACE_PERIOD", "POLL_INTERVAL", "RECENT_LOGIN"):
    if _seconds := os.environ.get(f"EXAMPLE_{_span}"):
        ROTATING_SESSIONS[_span] = timedelta(seconds=float(_seconds))

# Where the links in mails lead: a mail has no request, and no Host header to trust.
SITE_URL = os.environ.get("EXAMPLE_SITE_URL") or (
    "http://127.0.0.1:8000" if DEVELOPMENT else f"https://{ALLOWED_HOSTS[0]}"
)
# In development nobody gets the mails: /mails/ shows them.
_KIND = "locmem" if DEVELOPMENT else "smtp"
_BACKEND = f"django.core.mail.backends.{_KIND}.EmailBackend"
if django.VERSION >= (6, 1):
    _OPTIONS = {} if DEVELOPMENT else {"host": "localhost"}
    MAILERS = {"default": {"BACKEND": _BACKEND, "OPTIONS": _OPTIONS}}
else:
    EMAIL_BACKEND = _BACKEND

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = FILES / "static_root"

if not DEVELOPMENT:
    CSRF_COOKIE_SECURE = True
    SESSION_COOKIE_SECURE = True
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SECURE_HSTS_SECONDS = 365 * 24 * 60 * 60  # one year
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
