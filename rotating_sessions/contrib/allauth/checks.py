"""System checks: whether allauth's clients reach sessions of ours."""

from __future__ import annotations

from collections.abc import Iterator

from allauth.headless import app_settings
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

from rotating_sessions.conf import get_conf
from rotating_sessions.contrib.allauth.strategy import RotatingSessionStrategy
from rotating_sessions.transports import COOKIE, HEADER

__all__ = ["register_checks"]

_SESSIONS = "rotating_sessions.middleware.RotatingSessionMiddleware"
_LOGINS = "rotating_sessions.contrib.allauth.middleware.LoginMiddleware"
_TRANSPORTS = {"app": HEADER, "browser": COOKIE}


def register_checks() -> None:
    """Register the check."""
    register(_check, Tags.security)


def _check(**_: object) -> list[CheckMessage]:
    return [
        Error(text, id=f"rotating_sessions_allauth.E{number:03}")
        for number, text in _faults()
    ]


def _faults() -> Iterator[tuple[int, str]]:
    clients = app_settings.CLIENTS
    if "app" in clients and not isinstance(
        app_settings.TOKEN_STRATEGY, RotatingSessionStrategy
    ):
        yield 1, "HEADLESS_TOKEN_STRATEGY has to be RotatingSessionStrategy."
    names = list(settings.MIDDLEWARE)
    if "browser" in clients and _LOGINS not in names[_place(names) :]:
        yield 2, f"{_LOGINS!r} has to come after {_SESSIONS!r} in MIDDLEWARE."
    for client in clients:
        transport = _TRANSPORTS[client]
        if transport not in get_conf().transports:
            yield 3, f"The {client} client of allauth needs {transport} transport."


def _place(names: list[str]) -> int:
    return names.index(_SESSIONS) if _SESSIONS in names else len(names)
