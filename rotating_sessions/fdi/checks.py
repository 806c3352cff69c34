"""System checks: what keeps a SuperTokens front end from its session."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error
from django.urls import NoReverseMatch, reverse

from rotating_sessions.checks.types import has_right_types
from rotating_sessions.conf import Conf, get_conf
from rotating_sessions.fdi.conf import (
    CUSTOM_HEADER,
    NONE,
    SETTING,
    TOKEN,
    FdiConf,
    get_fdi_conf,
)
from rotating_sessions.fdi.names import EXPOSED_HEADERS, REQUEST_HEADERS
from rotating_sessions.transports import COOKIE

__all__ = ["check_fdi"]

_MIDDLEWARE = "rotating_sessions.fdi.middleware.FdiMiddleware"
_OURS = "rotating_sessions.middleware.RotatingSessionMiddleware"


def check_fdi(**kwargs: object) -> list[CheckMessage]:
    """Return what is wrong with the settings, and does not fit around them."""
    messages = list(_check_names())
    conf, own = get_conf(), get_fdi_conf()
    values = list(_check_values(own))
    if values or not has_right_types(conf):
        return [*messages, *values]
    for check in _CHECKS:
        messages += check(conf, own)
    return messages


def _error(number: int, text: str) -> Error:
    return Error(text, id=f"rotating_sessions.E{number:03}")


def _warning(number: int, text: str, hint: str) -> checks.Warning:
    return checks.Warning(text, hint=hint, id=f"rotating_sessions.W{number:03}")


def _check_names() -> Iterator[CheckMessage]:
    given = getattr(settings, SETTING, None) or {}
    if not isinstance(given, Mapping):
        yield _error(41, f"{SETTING} has to be a dict.")
        return
    known = {field.name.upper() for field in fields(FdiConf)}
    for name in sorted(set(given) - known, key=str):
        yield _error(40, f"{SETTING}: there is no setting {name!r}.")


def _check_values(own: FdiConf) -> Iterator[CheckMessage]:
    choices = {
        "anti_csrf": (CUSTOM_HEADER, TOKEN, NONE),
        "cookie_samesite": ("Lax", "Strict", "None"),
    }
    for name, allowed in choices.items():
        if getattr(own, name) not in allowed:
            yield _error(41, f"{SETTING}: {name.upper()} is one of {allowed}.")
    for name in ("cookie_domain", "older_cookie_domain"):
        if not isinstance(getattr(own, name), str | None):
            yield _error(41, f"{SETTING}: {name.upper()} is a text, or None.")
    wrapped = own.wrapped_claims
    if type(wrapped) is not tuple or not all(type(name) is str for name in wrapped):
        yield _error(41, f"{SETTING}: WRAPPED_CLAIMS is a list of names.")
    for name in ("session_expired_status", "invalid_claim_status"):
        status = getattr(own, name)
        if type(status) is not int or not 400 <= status <= 499:
            yield _error(41, f"{SETTING}: {name.upper()} is between 400 and 499.")


def _check_middleware(_conf: Conf, _own: FdiConf) -> Iterator[CheckMessage]:
    names = list(settings.MIDDLEWARE)
    ours = names.index(_OURS) if _OURS in names else len(names)
    if _MIDDLEWARE not in names[:ours]:
        yield _error(42, f"MIDDLEWARE needs {_MIDDLEWARE!r}, before {_OURS!r}.")


def _check_urls(conf: Conf, _own: FdiConf) -> Iterator[CheckMessage]:
    try:
        path = reverse("rotating_sessions_fdi:refresh")
    except NoReverseMatch:
        yield _error(
            43,
            'The URLconf needs path("auth/", include("rotating_sessions.fdi.urls")).',
        )
        return
    if path.startswith(conf.exempt_paths):
        yield _error(43, "EXEMPT_PATHS covers the endpoints of rotating_sessions.fdi.")


def _check_cookies(conf: Conf, own: FdiConf) -> Iterator[CheckMessage]:
    if COOKIE not in conf.transports or not own.is_cross_site:
        return
    if own.anti_csrf == NONE:
        yield _error(44, "With COOKIE_SAMESITE 'None' any site can use a session.")
    if conf.insecure_cookies:
        yield _error(44, "Browsers drop cookies of SameSite=None that are not Secure.")


def _check_statuses(_conf: Conf, own: FdiConf) -> Iterator[CheckMessage]:
    if own.session_expired_status == own.invalid_claim_status:
        yield _error(
            45,
            "Front ends tell SESSION_EXPIRED_STATUS and "
            "INVALID_CLAIM_STATUS apart by their numbers.",
        )


def _check_cors(_conf: Conf, _own: FdiConf) -> Iterator[CheckMessage]:
    """Yield what django-cors-headers, where it is installed, would not let through."""
    if "corsheaders" not in settings.INSTALLED_APPS:
        return
    allowed = _lowered("CORS_ALLOW_HEADERS")
    exposed = _lowered("CORS_EXPOSE_HEADERS")
    missing = [name for name in REQUEST_HEADERS if name not in allowed]
    if missing:
        yield _warning(
            46,
            f"CORS_ALLOW_HEADERS lacks {', '.join(missing)}.",
            "Add rotating_sessions.fdi.names.REQUEST_HEADERS to it.",
        )
    # Where it is set, it takes the place of what this package says on each response.
    hidden = [name for name in EXPOSED_HEADERS if exposed and name not in exposed]
    if hidden:
        yield _warning(
            46,
            f"CORS_EXPOSE_HEADERS lacks {', '.join(hidden)}.",
            "Add rotating_sessions.fdi.names.EXPOSED_HEADERS to it.",
        )
    if not getattr(settings, "CORS_ALLOW_CREDENTIALS", False):
        yield _warning(
            46,
            "Pages of other origins cannot send cookies.",
            "Set CORS_ALLOW_CREDENTIALS to True.",
        )


def _lowered(name: str) -> set[str]:
    return {str(value).lower() for value in getattr(settings, name, ())}


_CHECKS: tuple[Callable[[Conf, FdiConf], Iterator[CheckMessage]], ...] = (
    _check_middleware,
    _check_urls,
    _check_cookies,
    _check_statuses,
    _check_cors,
)
