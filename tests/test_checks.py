"""The system checks: each speaks up at its wrong value, and at no right one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.checks import CheckMessage, Error, run_checks
from django.db import (
    InterfaceError,
    OperationalError,
    ProgrammingError,
    connection,
)
from django.middleware.csrf import CsrfViewMiddleware
from django.test.utils import override_script_prefix

from rotating_sessions.checks.database import check_database
from rotating_sessions.checks.pages import check_pages
from rotating_sessions.checks.surroundings import check_deployment, check_surroundings
from rotating_sessions.checks.values import check_values
from rotating_sessions.models import SessionFamily
from tests.browsing import database_down
from tests.factories import SessionFamilyFactory

SECOND = timedelta(seconds=1)
TICK = timedelta(microseconds=1)
ZERO = timedelta()
DAY = timedelta(days=1)
KEY = "k" * 32
OWN = "rotating_sessions.middleware.RotatingSessionMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
CSRF = "django.middleware.csrf.CsrfViewMiddleware"
LOCMEM = "django.core.cache.backends.locmem.LocMemCache"


class StrictCsrf(CsrfViewMiddleware):
    """A site's own, which is as good as Django's."""


# A middleware that is no class.
nothing = len


def ids(messages: list[CheckMessage]) -> list[str]:
    """Return the ids of messages, without the app's name."""
    return [str(message.id).removeprefix("rotating_sessions.") for message in messages]


def test_the_suites_own_settings_are_right():
    """A project set up as the README says gets no message of ours."""
    messages = run_checks(tags=["security"])

    assert ids(messages) == []


def test_checks_for_production_run_at_deployment_only():
    """The checks of deployment are registered, for `check --deploy` alone."""
    messages = run_checks(tags=["security"], include_deployment_checks=True)

    ours = [m for m in messages if str(m.id).startswith("rotating_sessions.")]
    assert ids(ours) == ["W032"]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"GRACE": 60 * SECOND}, ["E001"]),
        ({"epoch": 1}, ["E001"]),
        ({"A": 1, "B": 2}, ["E001", "E001"]),
        ({"A": 1, "EPOCH": "1"}, ["E001", "E002"]),
        ({"EPOCH": True}, ["E002"]),
        ({"EPOCH": None}, ["E002"]),
        ({"EPOCH": 1.0}, ["E002"]),
        ({"ACCESS_LIFETIME": 1800}, ["E002"]),
        ({"BIND_NETWORK": 1}, ["E002"]),
        ({"ISSUER": b"shop"}, ["E002"]),
        ({"SIGNING_KEYS": KEY}, ["E002"]),
        ({"SIGNING_KEYS": [KEY.encode()]}, ["E002"]),
        ({"TRANSPORTS": {"header"}}, ["E002"]),
        ({"SESSION_LIMIT": "9"}, ["E002"]),
        ({"SESSION_LIMIT": True}, ["E002"]),
        ({"LOGIN_RATE": 20}, ["E002"]),
        ({"RETENTION": 36_525 * DAY}, []),
        ({"RETENTION": 36_525 * DAY + TICK}, ["E002"]),
        ({"ACCESS_LIFETIME": timedelta.max}, ["E002"]),
        ({"GRACE_PERIOD": timedelta.min}, ["E002"]),
        ({"EPOCH": 2**31 - 1}, []),
        ({"EPOCH": 2**31}, ["E002"]),
        ({"EPOCH": -(10**5000)}, ["E002"]),
        ({"ISSUER": "\ud800"}, ["E002"]),
        ({"SIGNING_KEYS": [KEY, "\udfff" * 32]}, ["E002"]),
        ({"ACCESS_LIFETIME": ZERO, "GRACE_PERIOD": -TICK}, ["E003", "E004"]),
        ({"ACCESS_LIFETIME": 14 * DAY, "RETENTION": 15 * DAY}, []),
        ({"ACCESS_LIFETIME": 14 * DAY + TICK, "RETENTION": 15 * DAY}, ["E003"]),
        ({"IDLE_TIMEOUT": 30 * DAY}, []),
        ({"IDLE_TIMEOUT": 30 * DAY + TICK}, ["E003"]),
        ({"ABSOLUTE_TIMEOUT": 14 * DAY}, []),
        ({"ABSOLUTE_TIMEOUT": 14 * DAY - TICK}, ["E003"]),
        ({"SHORT_TIMEOUT": TICK}, []),
        ({"SHORT_TIMEOUT": 99 * DAY}, []),
        ({"SHORT_TIMEOUT": ZERO}, ["E003"]),
        ({"RECENT_LOGIN": TICK}, []),
        ({"RECENT_LOGIN": ZERO}, ["E015"]),
        ({"RECENT_LOGIN": 30 * DAY}, []),
        ({"RECENT_LOGIN": 30 * DAY + TICK}, ["E015"]),
        ({"GRACE_PERIOD": TICK}, []),
        ({"GRACE_PERIOD": ZERO}, ["E004"]),
        ({"GRACE_PERIOD": 1800 * SECOND - TICK}, []),
        ({"GRACE_PERIOD": 1800 * SECOND}, ["E004"]),
        ({"POLL_INTERVAL": TICK}, []),
        ({"POLL_INTERVAL": ZERO}, ["E005"]),
        ({"POLL_INTERVAL": 60 * SECOND}, []),
        ({"POLL_INTERVAL": 60 * SECOND + TICK}, ["E005"]),
        ({"SIGNING_KEYS": [KEY]}, []),
        ({"SIGNING_KEYS": [KEY, "k" * 31]}, ["E006"]),
        ({"SIGNING_KEYS": ["é" * 16]}, []),
        ({"SIGNING_KEYS": [KEY, "l" * 32, KEY]}, ["E006"]),
        ({"TRANSPORTS": ["header"]}, []),
        ({"TRANSPORTS": ["cookie"], "DEFAULT_TRANSPORT": "cookie"}, []),
        ({"TRANSPORTS": ["cookie"]}, ["E007"]),
        ({"TRANSPORTS": ["header", "query"]}, ["E007"]),
        ({"TRANSPORTS": []}, ["E007", "E007"]),
        ({"IPV4_PREFIX": 8}, []),
        ({"IPV4_PREFIX": 7}, ["E008"]),
        ({"IPV4_PREFIX": 33}, ["E008"]),
        ({"IPV6_PREFIX": 16}, []),
        ({"IPV6_PREFIX": 15}, ["E008"]),
        ({"IPV6_PREFIX": 128}, []),
        ({"IPV6_PREFIX": 129}, ["E008"]),
        ({"TRUSTED_PROXY_COUNT": 2}, []),
        ({"TRUSTED_PROXY_COUNT": -1}, ["E009"]),
        ({"TRUSTED_PROXIES": ["10.0.0.1", "10.0.0.2"]}, []),
        ({"TRUSTED_PROXIES": ["10.0.0.1"], "TRUSTED_PROXY_COUNT": 1}, ["E009"]),
        ({"SESSION_LIMIT": None}, []),
        ({"SESSION_LIMIT": 1}, []),
        ({"SESSION_LIMIT": 0}, ["E010"]),
        ({"TOKEN_HISTORY": 1}, []),
        ({"TOKEN_HISTORY": 0}, ["E010"]),
        ({"EPOCH": 0}, []),
        ({"EPOCH": -1}, ["E010"]),
        # 30 min access lifetime, 60 s of staleness and 5 s of clock skew.
        ({"RETENTION": 2165 * SECOND}, []),
        ({"RETENTION": 2165 * SECOND - TICK}, ["E011"]),
        ({"LOGIN_RATE": None, "REFRESH_RATE": None}, []),
        ({"LOGIN_RATE": "5/hour", "REFRESH_RATE": "9/s"}, []),
        ({"LOGIN_RATE": "twenty/min"}, ["E012"]),
        ({"LOGIN_RATE": "20/year"}, ["E012"]),
        ({"LOGIN_RATE": "20/"}, ["E012"]),
        ({"REFRESH_RATE": "20"}, ["E012"]),
        ({"REFRESH_RATE": ""}, ["E012"]),
        ({"EXEMPT_PATHS": ["/admin/", "/"]}, ["E013"]),
        ({"EXEMPT_PATHS": ["admin/"]}, ["E013"]),
        ({"EXEMPT_PATHS": [""]}, ["E013"]),
        ({"EXEMPT_PATHS": []}, []),
        ({"ISSUER": ""}, ["E014"]),
        ({"ISSUER": "i" * 200}, []),
        ({"ISSUER": "i" * 201}, ["E014"]),
        ({"LOGIN_RATE": "0/min"}, ["E012"]),
        ({"REFRESH_RATE": "1/min"}, []),
        ({"AUDIENCE": ""}, ["E014"]),
        ({"AUDIENCE": "läden"}, ["E014"]),
    ],
)
def test_a_wrong_value_is_an_error_of_its_own(settings, values, found):
    """DP-05, JV-10, KM-01: A value out of range is an error, the last one in none."""
    settings.ROTATING_SESSIONS = values

    messages = check_values()

    assert ids(messages) == found
    assert all(isinstance(message, Error) for message in messages)


@pytest.mark.parametrize("value", [5, "GRACE_PERIOD", ["GRACE_PERIOD"]])
def test_a_setting_that_is_no_dict_is_an_error(settings, value):
    """DP-05: ROTATING_SESSIONS is a dict; anything else is told, and left out."""
    settings.ROTATING_SESSIONS = value

    messages = check_values()

    assert ids(messages) == ["E002"]


def test_values_of_a_wrong_type_are_looked_at_no_further(settings):
    """With a wrong type the ranges and the surroundings are not looked at."""
    settings.ROTATING_SESSIONS = {"GRACE_PERIOD": 60, "IPV4_PREFIX": 99}
    settings.MIDDLEWARE = []

    messages = check_values() + check_surroundings() + check_deployment()

    assert ids(messages) == ["E002"]
    assert "GRACE_PERIOD" in messages[0].msg


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"MIDDLEWARE": [CSRF, AUTHENTICATION]}, ["E020"]),
        ({"MIDDLEWARE": [CSRF, AUTHENTICATION, OWN]}, []),
        ({"MIDDLEWARE": [CSRF, OWN]}, []),
        ({"MIDDLEWARE": [CSRF, OWN, AUTHENTICATION]}, ["E021"]),
        ({"MIDDLEWARE": [AUTHENTICATION, OWN]}, ["E022"]),
        ({"MIDDLEWARE": [OWN, AUTHENTICATION]}, ["E021", "E022"]),
        (
            {
                "MIDDLEWARE": [AUTHENTICATION, OWN],
                "ROTATING_SESSIONS": {"TRANSPORTS": ["header"]},
            },
            [],
        ),
        ({"ROTATING_SESSIONS": {"INSECURE_COOKIES": True}, "DEBUG": False}, ["E023"]),
        ({"ROTATING_SESSIONS": {"INSECURE_COOKIES": True}, "DEBUG": True}, ["W023"]),
        ({"ROTATING_SESSIONS": {"INSECURE_COOKIES": False}, "DEBUG": True}, []),
        ({"ROOT_URLCONF": "rest_framework.urls"}, ["W024"]),
        ({"ROTATING_SESSIONS": {"EXEMPT_PATHS": ["/staff/"]}}, ["W025"]),
        ({"ROTATING_SESSIONS": {"EXEMPT_PATHS": []}}, ["W025"]),
        ({"ROTATING_SESSIONS": {"EXEMPT_PATHS": ["/adm"]}}, []),
        ({"ROTATING_SESSIONS": {"EXEMPT_PATHS": ["/a"]}}, ["E028"]),
        ({"ROTATING_SESSIONS": {"EXEMPT_PATHS": ["/admin/", "/auth/"]}}, ["E028"]),
        ({"USE_TZ": False}, ["E027"]),
        ({"MIDDLEWARE": [f"{__name__}.StrictCsrf", OWN]}, []),
        ({"MIDDLEWARE": [f"{__name__}.nothing", CSRF, OWN]}, []),
    ],
)
def test_what_does_not_fit_together_is_told(settings, changes, found):
    """CK-02: Each thing in the project that does not fit has a message of its own."""
    for name, value in changes.items():
        setattr(settings, name, value)

    messages = check_surroundings()

    assert ids(messages) == found


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, []),
        ({"LOGIN_URL": "sign-in"}, []),
        ({"LOGIN_URL": "https://id.example/in"}, []),
        ({"LOGIN_URL": "/accounts/login/"}, ["W035"]),
        ({"LOGIN_URL": "login"}, ["W035"]),
        ({"ROTATING_SESSIONS": {"EXEMPT_PATHS": ["/account/"]}}, ["W036"]),
        ({"ROTATING_SESSIONS": {"EXEMPT_PATHS": "/account/"}}, []),
        ({"ROOT_URLCONF": "rest_framework.urls", "LOGIN_URL": "/no/"}, []),
    ],
)
def test_what_keeps_users_from_their_pages_is_told(settings, changes, found):
    """Visitors need a page to sign in at, and the pages need the middleware."""
    for name, value in changes.items():
        setattr(settings, name, value)

    messages = check_pages()

    assert ids(messages) == found


def test_site_below_a_path_has_its_sign_in_page_there(settings):
    """The path that a server mounts the site at is no part of its URLconf."""
    settings.LOGIN_URL = "/shop/sign-in/"

    with override_script_prefix("/shop/"):
        messages = check_pages()

    assert ids(messages) == []


def test_autocommit_may_not_be_off(monkeypatch):
    """I-5: Without AUTOCOMMIT no answer is durable, which is an error."""
    monkeypatch.setitem(connection.settings_dict, "AUTOCOMMIT", value=False)

    messages = check_surroundings()

    assert ids(messages) == ["E029"]


@pytest.mark.parametrize(
    ("vendor", "options", "found"),
    [
        ("sqlite", {"transaction_mode": "IMMEDIATE"}, []),
        ("sqlite", {"transaction_mode": "DEFERRED"}, ["W026"]),
        ("sqlite", {}, ["W026"]),
        ("postgresql", {}, []),
        ("mysql", {}, []),
    ],
)
def test_sqlite_has_to_write_first(monkeypatch, vendor, options, found):
    """I-26: On SQLite, and only there, deferred transactions are warned of."""
    monkeypatch.setattr(connection, "vendor", vendor)
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)

    messages = check_surroundings()

    assert ids(messages) == found


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"SECRET_KEY": "k" * 32}, []),
        ({"SECRET_KEY": "k" * 31}, ["W030"]),
        ({"SECRET_KEY": ""}, ["W030"]),
        ({"SECRET_KEY": "", "SIGNING_KEYS": [KEY]}, []),
        ({"SECRET_KEY_FALLBACKS": ["k" * 31]}, ["W030"]),
        ({"SECRET_KEY_FALLBACKS": ["k" * 32]}, []),
        ({"SECRET_KEY": "k", "SIGNING_KEYS": [KEY]}, []),
        ({"USE_X_FORWARDED_HOST": True}, ["W031"]),
        ({"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")}, ["W031"]),
        ({"USE_X_FORWARDED_HOST": True, "TRUSTED_PROXY_COUNT": 1}, []),
        ({"USE_X_FORWARDED_HOST": True, "TRUSTED_PROXIES": ["10.0.0.1"]}, []),
        ({"USE_X_FORWARDED_HOST": True, "BIND_NETWORK": False}, []),
        ({"CACHES": {"default": {"BACKEND": LOCMEM}}}, ["W032"]),
        ({"CACHES": {"default": {"BACKEND": LOCMEM}}, "LOGIN_RATE": None}, ["W032"]),
        ({"CACHES": {"default": {"BACKEND": LOCMEM}}, "REFRESH_RATE": None}, ["W032"]),
        (
            {
                "CACHES": {"default": {"BACKEND": LOCMEM}},
                "LOGIN_RATE": None,
                "REFRESH_RATE": None,
            },
            [],
        ),
    ],
)
def test_what_matters_in_production_is_a_warning(settings, changes, found):
    """JV-10, IP-02, KM-01: Short keys, unnamed proxies and lonely caches are told."""
    shared = "django.core.cache.backends.redis.RedisCache"
    changes = {"CACHES": {"default": {"BACKEND": shared}}, **changes}
    values: dict[str, Any] = {}
    for name, value in changes.items():
        if hasattr(settings, name):
            setattr(settings, name, value)
        else:
            values[name] = value
    settings.ROTATING_SESSIONS = values

    messages = check_deployment()

    assert ids(messages) == found


# The database.


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("late", "found"), [(7 * DAY, []), (7 * DAY + TICK, ["W033"]), (40 * DAY, ["W033"])]
)
def test_purge_that_has_not_run_for_long_is_told(clock, late, found):
    """`check --database` tells when sessions have been due for more than a week."""
    SessionFamilyFactory.create(now=clock.now, revoked_at=clock.now - 30 * DAY - late)

    messages = run_checks(tags=["database"], databases=["default"])

    assert ids(messages) == found


@pytest.mark.django_db
def test_message_says_for_how_long_no_purge_ran(clock):
    """The message says how late the purge is, and how to run it."""
    SessionFamilyFactory.create(now=clock.now, idle_at=clock.now - 41 * DAY)

    (message,) = check_database(databases=["default"])

    assert message.msg == "Sessions have been due to be purged for 10 days."
    assert "rotating_sessions_purge" in str(message.hint)


@pytest.mark.parametrize("databases", [None, [], ["other"]])
def test_other_databases_are_not_asked(databases):
    """Without `--database`, and for any other database, no query is made."""
    assert check_database(databases=databases) == []


def test_database_is_not_asked_with_wrong_settings(settings):
    """A RETENTION that is no span is told by its own check."""
    settings.ROTATING_SESSIONS = {"RETENTION": 30}

    assert check_database(databases=["default"]) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [ProgrammingError, OperationalError, InterfaceError])
def test_database_that_is_not_migrated_is_no_fault(error):
    """Before the first `migrate` there is no table, and `migrate` runs this check."""
    with database_down(error=error):
        assert check_database(databases=["default"]) == []


@pytest.mark.django_db
def test_missing_table_spoils_no_transaction():
    """Where the table is missing, the caller's transaction goes on."""
    table = SessionFamily._meta.db_table

    def gone(execute: Any, sql: str, *args: Any) -> Any:
        return execute(sql.replace(table, "no_such_table"), *args)

    with connection.execute_wrapper(gone):
        messages = check_database(databases=["default"])

    assert messages == []
    assert not SessionFamily.objects.exists()
