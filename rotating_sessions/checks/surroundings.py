"""Check the project around the settings: middleware, URLs, proxies, database."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.core import checks
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.middleware.csrf import CsrfViewMiddleware
from django.urls import NoReverseMatch, reverse
from django.utils.encoding import force_bytes
from django.utils.module_loading import import_string

from rotating_sessions.checks.types import has_right_types
from rotating_sessions.checks.values import MIN_KEY_BYTES
from rotating_sessions.conf import Conf, get_conf
from rotating_sessions.services import write_database
from rotating_sessions.transports import COOKIE

__all__ = ["check_deployment", "check_surroundings"]

_MIDDLEWARE = "rotating_sessions.middleware.RotatingSessionMiddleware"
_PROCESS_CACHES = ("locmem.LocMemCache", "dummy.DummyCache")

_Checks = tuple[Callable[[Conf], Iterator[CheckMessage]], ...]


def check_surroundings(**kwargs: object) -> list[CheckMessage]:
    """Return what does not fit together in this project."""
    return _run(_SURROUNDINGS)


def check_deployment(**kwargs: object) -> list[CheckMessage]:
    """Return what matters in production only."""
    return _run(_DEPLOYMENT)


def _run(functions: _Checks) -> list[CheckMessage]:
    conf = get_conf()
    if not has_right_types(conf):
        return []
    return [message for check in functions for message in check(conf)]


def _error(number: int, text: str) -> Error:
    return Error(text, id=f"rotating_sessions.E{number:03}")


def _warning(number: int, text: str, hint: str) -> checks.Warning:
    return checks.Warning(text, hint=hint, id=f"rotating_sessions.W{number:03}")


def _check_middleware(conf: Conf) -> Iterator[CheckMessage]:
    names = list(settings.MIDDLEWARE)
    if _MIDDLEWARE not in names:
        yield _error(20, f"MIDDLEWARE has to contain {_MIDDLEWARE!r}.")
        return
    installed = [import_string(name) for name in names]
    after = installed[names.index(_MIDDLEWARE) :]
    if any(_is_a(part, AuthenticationMiddleware) for part in after):
        yield _error(21, f"{_MIDDLEWARE!r} has to come after AuthenticationMiddleware.")
    protected = any(_is_a(part, CsrfViewMiddleware) for part in installed)
    if COOKIE in conf.transports and not protected:
        yield _error(22, "Cookie transport needs CsrfViewMiddleware in MIDDLEWARE.")


def _is_a(part: object, kind: type) -> bool:
    """Tell whether a middleware is of this class: sites subclass Django's."""
    return isinstance(part, type) and issubclass(part, kind)


def _check_time_zone(_conf: Conf) -> Iterator[CheckMessage]:
    if not settings.USE_TZ:
        yield _error(27, "Moments are compared across hosts: USE_TZ has to be True.")


def _check_insecure_cookies(conf: Conf) -> Iterator[CheckMessage]:
    if not conf.insecure_cookies:
        return
    if not settings.DEBUG:
        yield _error(23, "INSECURE_COOKIES is for development: DEBUG is off.")
    else:
        yield _warning(
            23,
            "Session cookies are sent over plain HTTP.",
            "Remove INSECURE_COOKIES before the site is reached over a network.",
        )


def _check_urls(conf: Conf) -> Iterator[CheckMessage]:
    try:
        reverse("rotating_sessions:refresh")
    except NoReverseMatch:
        yield _warning(
            24,
            "No client can refresh: rotating_sessions.urls is not in the URLconf.",
            'Add path("auth/", include("rotating_sessions.urls")).',
        )
        return
    if reverse("rotating_sessions:logout").startswith(conf.exempt_paths):
        yield _error(28, "EXEMPT_PATHS covers the endpoints of this app.")


def _check_admin(conf: Conf) -> Iterator[CheckMessage]:
    try:
        admin = reverse("admin:index")
    except NoReverseMatch:
        return
    if not admin.startswith(conf.exempt_paths):
        yield _warning(
            25,
            f"The admin at {admin} is not in EXEMPT_PATHS.",
            "Staff logged in there by Django's own session would be mixed up with "
            "their session of this app.",
        )


def _check_database(_conf: Conf) -> Iterator[CheckMessage]:
    connection = connections[write_database()]
    if not connection.settings_dict["AUTOCOMMIT"]:
        yield _error(29, "With AUTOCOMMIT off nothing is durable when it is answered.")
    options = connection.settings_dict.get("OPTIONS", {})
    if connection.vendor == "sqlite" and options.get("transaction_mode") != "IMMEDIATE":
        yield _warning(
            26,
            "SQLite refuses concurrent refreshes in deferred transactions.",
            'Add "transaction_mode": "IMMEDIATE" to the OPTIONS of the database.',
        )


def _check_secret_key(conf: Conf) -> Iterator[CheckMessage]:
    if conf.signing_keys:
        return
    try:
        keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    except ImproperlyConfigured:
        keys = ("",)
    if min(len(force_bytes(key)) for key in keys) < MIN_KEY_BYTES:
        yield _warning(
            30,
            f"Tokens are signed with a secret key of less than {MIN_KEY_BYTES} bytes.",
            "Generate a longer SECRET_KEY, or set SIGNING_KEYS.",
        )


def _check_behind_proxy(conf: Conf) -> Iterator[CheckMessage]:
    behind = settings.SECURE_PROXY_SSL_HEADER or settings.USE_X_FORWARDED_HOST
    trusted = conf.trusted_proxy_count or conf.trusted_proxies
    if conf.bind_network and behind and not trusted:
        yield _warning(
            31,
            "The site is behind a proxy, and every client has the proxy's address.",
            "Set TRUSTED_PROXY_COUNT or TRUSTED_PROXIES, then see what "
            "`manage.py rotating_sessions_check` says.",
        )


def _check_throttle_cache(conf: Conf) -> Iterator[CheckMessage]:
    backend = settings.CACHES.get("default", {}).get("BACKEND", "")
    throttled = conf.login_rate or conf.refresh_rate
    if throttled and backend.endswith(_PROCESS_CACHES):
        yield _warning(
            32,
            "Every process counts logins and refreshes by itself.",
            "Set a cache that the processes share, or LOGIN_RATE and REFRESH_RATE "
            "to None where something in front of Django throttles.",
        )


_SURROUNDINGS: _Checks = (
    _check_middleware,
    _check_time_zone,
    _check_insecure_cookies,
    _check_urls,
    _check_admin,
    _check_database,
)
_DEPLOYMENT: _Checks = (
    _check_secret_key,
    _check_behind_proxy,
    _check_throttle_cache,
)
