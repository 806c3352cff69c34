"""Settings of the suite, with allauth and all its ways to log in."""

from __future__ import annotations

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS, MIDDLEWARE

INSTALLED_APPS += [
    "allauth",
    "allauth.account",
    "allauth.headless",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.dummy",
    "rotating_sessions.contrib.allauth",
]
MIDDLEWARE += [
    "allauth.account.middleware.AccountMiddleware",
    "rotating_sessions.contrib.allauth.middleware.LoginMiddleware",
]
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
HEADLESS_TOKEN_STRATEGY = (
    "rotating_sessions.contrib.allauth.strategy.RotatingSessionStrategy"
)
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGIN_BY_CODE_ENABLED = True
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_RATE_LIMITS = False
LOGIN_REDIRECT_URL = "/welcome/"
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_SUPPORTED_TYPES = ["recovery_codes", "totp", "webauthn"]
ROOT_URLCONF = "tests.allauth.urls"
# Django 6.1 asks for it; before that EMAIL_BACKEND is the suite's by itself.
MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
