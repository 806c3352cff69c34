"""The one setting, ROTATING_SESSIONS: its fields, defaults and meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed

from rotating_sessions.rotation import CLOCK_SKEW, COMMIT_DELAY

__all__ = ["SETTING", "Conf", "get_conf"]

SETTING = "ROTATING_SESSIONS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conf:
    """
    The settings. Keys of ROTATING_SESSIONS are these names in capitals.

    README, "Settings", says what each means; `checks` tells which values are wrong.
    """

    access_lifetime: timedelta = timedelta(minutes=30)
    idle_timeout: timedelta = timedelta(days=14)
    absolute_timeout: timedelta = timedelta(days=30)
    short_timeout: timedelta = timedelta(hours=12)
    recent_login: timedelta = timedelta(minutes=15)
    grace_period: timedelta = timedelta(seconds=60)
    poll_interval: timedelta = timedelta(seconds=5)
    max_staleness: timedelta = timedelta(seconds=60)
    signing_keys: tuple[str, ...] = field(default=(), repr=False)
    access_keys: tuple[str, ...] = field(default=("HS256",), repr=False)
    epoch: int = 0
    issuer: str = "rotating_sessions"
    audience: str = "rotating_sessions"
    claims: str | None = None
    transports: tuple[str, ...] = ("header", "cookie")
    default_transport: str = "header"
    insecure_cookies: bool = False
    bind_network: bool = True
    ipv4_prefix: int = 32
    ipv6_prefix: int = 64
    trusted_proxy_count: int = 0
    trusted_proxies: tuple[str, ...] = ()
    exempt_paths: tuple[str, ...] = ("/admin/",)
    session_limit: int | None = 100
    login_rate: str | None = "20/min"
    refresh_rate: str | None = "60/min"
    token_history: int = 50
    retention: timedelta = timedelta(days=30)

    @property
    def least_retention(self) -> timedelta:
        """Return for how long an access token of an ended session may still be good."""
        lived = self.access_lifetime + self.max_staleness
        return lived + COMMIT_DELAY + CLOCK_SKEW


@lru_cache(maxsize=1)
def get_conf() -> Conf:
    """
    Return the settings in force.

    Keys that no field has, and a setting that is no dict, are left out here: the system
    checks rotating_sessions.E001 and E002 tell of them.
    """
    given = getattr(settings, SETTING, None) or {}
    if not isinstance(given, Mapping):
        given = {}
    known = {field.name for field in fields(Conf)}
    values: dict[str, Any] = {
        name: given[name.upper()] for name in known if name.upper() in given
    }
    for name, value in values.items():
        if isinstance(value, list):
            values[name] = tuple(value)
    return Conf(**values)


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting == SETTING:
        get_conf.cache_clear()


setting_changed.connect(_forget)
