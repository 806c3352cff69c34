"""Check ROTATING_SESSIONS by itself: what its values may be, and beside each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

from django.core.checks import CheckMessage
from django.utils.encoding import force_bytes
from python_ipware import IpWare
from rest_framework.throttling import SimpleRateThrottle

from rotating_sessions.checks.types import (
    an_error,
    check_names,
    check_types,
    has_right_types,
)
from rotating_sessions.conf import Conf, get_conf
from rotating_sessions.transports import COOKIE, HEADER

__all__ = ["MIN_KEY_BYTES", "check_values"]

# RFC 7518, section 3.2: a key as long as the hash.
MIN_KEY_BYTES = 32


def check_values(**kwargs: object) -> list[CheckMessage]:
    """Return what is wrong with the settings, whatever project they are in."""
    messages = list(check_names())
    conf = get_conf()
    if not has_right_types(conf):
        return [*messages, *check_types(conf)]
    for check in _CHECKS:
        messages += check(conf)
    return messages


def _check_lifetimes(conf: Conf) -> Iterator[CheckMessage]:
    spans = (timedelta(), conf.access_lifetime, conf.idle_timeout)
    if not spans[0] < spans[1] <= spans[2] <= conf.absolute_timeout:
        yield an_error(
            3, "0 < ACCESS_LIFETIME <= IDLE_TIMEOUT <= ABSOLUTE_TIMEOUT has to hold."
        )


def _check_short_timeout(conf: Conf) -> Iterator[CheckMessage]:
    # Not beside the others: it only ever shortens what they allow.
    if conf.short_timeout <= timedelta():
        yield an_error(3, "SHORT_TIMEOUT has to be positive.")


def _check_recent_login(conf: Conf) -> Iterator[CheckMessage]:
    # An older login than that is none: its session has ended.
    if not timedelta() < conf.recent_login <= conf.absolute_timeout:
        yield an_error(15, "0 < RECENT_LOGIN <= ABSOLUTE_TIMEOUT has to hold.")


def _check_grace_period(conf: Conf) -> Iterator[CheckMessage]:
    if not timedelta() < conf.grace_period < conf.access_lifetime:
        yield an_error(4, "0 < GRACE_PERIOD < ACCESS_LIFETIME has to hold.")


def _check_polling(conf: Conf) -> Iterator[CheckMessage]:
    if not timedelta() < conf.poll_interval <= conf.max_staleness:
        yield an_error(5, "0 < POLL_INTERVAL <= MAX_STALENESS has to hold.")


def _check_signing_keys(conf: Conf) -> Iterator[CheckMessage]:
    if any(len(force_bytes(key)) < MIN_KEY_BYTES for key in conf.signing_keys):
        yield an_error(6, f"each of SIGNING_KEYS needs {MIN_KEY_BYTES} bytes or more.")
    if len(set(conf.signing_keys)) < len(conf.signing_keys):
        yield an_error(6, "no two of SIGNING_KEYS may be equal.")


def _check_transports(conf: Conf) -> Iterator[CheckMessage]:
    if not conf.transports or set(conf.transports) - {HEADER, COOKIE}:
        yield an_error(7, f"TRANSPORTS takes {HEADER!r}, {COOKIE!r} or both.")
    if conf.default_transport not in conf.transports:
        yield an_error(7, "DEFAULT_TRANSPORT has to be one of TRANSPORTS.")


def _check_network(conf: Conf) -> Iterator[CheckMessage]:
    if not 8 <= conf.ipv4_prefix <= 32:
        yield an_error(8, "IPV4_PREFIX has to be between 8 and 32.")
    if not 16 <= conf.ipv6_prefix <= 128:
        yield an_error(8, "IPV6_PREFIX has to be between 16 and 128.")


def _check_proxies(conf: Conf) -> Iterator[CheckMessage]:
    try:
        IpWare(
            proxy_count=conf.trusted_proxy_count, proxy_list=list(conf.trusted_proxies)
        )
    except ValueError as error:
        yield an_error(9, f"TRUSTED_PROXY_COUNT or TRUSTED_PROXIES: {error}.")
    if conf.trusted_proxies and conf.trusted_proxy_count:
        yield an_error(9, "set TRUSTED_PROXY_COUNT or TRUSTED_PROXIES, not both.")


def _check_numbers(conf: Conf) -> Iterator[CheckMessage]:
    if conf.session_limit is not None and conf.session_limit < 1:
        yield an_error(10, "SESSION_LIMIT has to be at least 1, or None.")
    if conf.token_history < 1:
        yield an_error(10, "TOKEN_HISTORY has to be at least 1.")
    if conf.epoch < 0:
        yield an_error(10, "EPOCH has to be 0 or more.")


def _check_retention(conf: Conf) -> Iterator[CheckMessage]:
    if conf.retention < conf.least_retention:
        yield an_error(
            11, "RETENTION has to be longer than ACCESS_LIFETIME and MAX_STALENESS."
        )


def _check_rates(conf: Conf) -> Iterator[CheckMessage]:
    for name in ("login_rate", "refresh_rate"):
        try:
            limit, _span = SimpleRateThrottle.parse_rate(
                None,  # type: ignore[arg-type]
                getattr(conf, name),
            )
        except (ValueError, KeyError, IndexError):
            limit = 0
        if limit is not None and limit < 1:
            yield an_error(12, f"{name.upper()} has to look like '20/min', or be None.")


def _check_exempt_paths(conf: Conf) -> Iterator[CheckMessage]:
    if not all(path.startswith("/") and path != "/" for path in conf.exempt_paths):
        yield an_error(13, "each of EXEMPT_PATHS starts with '/', and goes on.")


def _check_texts(conf: Conf) -> Iterator[CheckMessage]:
    # Every token holds both, and JSON spells other letters by twelve characters each.
    for text in (conf.issuer, conf.audience):
        if not (1 <= len(text) <= 200 and text.isascii()):
            yield an_error(14, "ISSUER and AUDIENCE take 1 to 200 ASCII characters.")


_CHECKS: tuple[Callable[[Conf], Iterator[CheckMessage]], ...] = (
    _check_lifetimes,
    _check_short_timeout,
    _check_recent_login,
    _check_grace_period,
    _check_polling,
    _check_signing_keys,
    _check_transports,
    _check_network,
    _check_proxies,
    _check_numbers,
    _check_retention,
    _check_rates,
    _check_exempt_paths,
    _check_texts,
)
