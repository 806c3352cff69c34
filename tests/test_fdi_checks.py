"""The system checks of a site with SuperTokens front ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.checks import run_checks
from django.core.checks.registry import registry
from django.test import modify_settings

from rotating_sessions.fdi.checks import check_fdi
from rotating_sessions.fdi.conf import get_fdi_conf
from rotating_sessions.fdi.names import EXPOSED_HEADERS, REQUEST_HEADERS
from tests.fronting import FDI, OURS, mount
from tests.test_checks import ids


@pytest.fixture(autouse=True)
def _site(settings: Any) -> None:
    mount(settings)


@pytest.fixture
def _installed() -> Iterator[None]:
    """Put the app into INSTALLED_APPS, and take its checks off again."""
    with modify_settings(INSTALLED_APPS={"append": "rotating_sessions.fdi"}):
        yield
    registry.registered_checks.remove(check_fdi)


@pytest.mark.usefixtures("_installed")
def test_site_set_up_as_the_guide_says_is_right():
    """The app registers its checks, and they find nothing."""
    assert ids(run_checks(tags=["security"])) == []


@pytest.mark.usefixtures("_installed")
def test_app_registers_its_checks(settings):
    """A wrong setting is told by `manage.py check`."""
    settings.ROTATING_SESSIONS_FDI = {"ANTI_CSRF": "rid"}

    assert ids(run_checks(tags=["security"])) == ["E041"]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"ANTI_CSFR": "none"}, ["E040"]),
        ({"anti_csrf": "none", 7: 7}, ["E040", "E040"]),
        (["ANTI_CSRF"], ["E041"]),
        ({"ANTI_CSRF": "rid"}, ["E041"]),
        ({"ANTI_CSRF": ["token"]}, ["E041"]),
        ({"ANTI_CSRF": "none"}, []),
        ({"ANTI_CSRF": "token", "COOKIE_SAMESITE": "None"}, []),
        ({"COOKIE_SAMESITE": "lax"}, ["E041"]),
        ({"COOKIE_SAMESITE": None}, ["E041"]),
        ({"COOKIE_SAMESITE": "Strict"}, []),
        ({"COOKIE_SAMESITE": "None", "ANTI_CSRF": "none"}, ["E044"]),
        ({"COOKIE_DOMAIN": ".example.com", "OLDER_COOKIE_DOMAIN": ""}, []),
        ({"COOKIE_DOMAIN": 7}, ["E041"]),
        ({"OLDER_COOKIE_DOMAIN": b""}, ["E041"]),
        ({"SESSION_EXPIRED_STATUS": 400}, []),
        ({"SESSION_EXPIRED_STATUS": 399}, ["E041"]),
        ({"SESSION_EXPIRED_STATUS": "440"}, ["E041"]),
        ({"INVALID_CLAIM_STATUS": 499}, []),
        ({"INVALID_CLAIM_STATUS": 500}, ["E041"]),
        ({"INVALID_CLAIM_STATUS": True}, ["E041"]),
        ({"INVALID_CLAIM_STATUS": 401}, ["E045"]),
        ({"WRAPPED_CLAIMS": []}, []),
        ({"WRAPPED_CLAIMS": ("st-ev", "st-mfa")}, []),
        ({"WRAPPED_CLAIMS": "st-ev"}, ["E041"]),
        ({"WRAPPED_CLAIMS": [7]}, ["E041"]),
    ],
)
def test_value_that_cannot_be_right(settings, values, found):
    """Each key and value is checked, by itself and beside the others."""
    settings.ROTATING_SESSIONS_FDI = values

    assert ids(check_fdi()) == found


def test_cookies_that_browsers_would_drop(settings):
    """SameSite=None without Secure is no cookie; without cookies nobody minds."""
    settings.ROTATING_SESSIONS_FDI = {"COOKIE_SAMESITE": "None"}
    settings.ROTATING_SESSIONS = {"INSECURE_COOKIES": True}
    with_cookies = ids(check_fdi())
    settings.ROTATING_SESSIONS = {"INSECURE_COOKIES": True, "TRANSPORTS": ["header"]}

    assert with_cookies == ["E044"]
    assert ids(check_fdi()) == []


def test_settings_of_the_package_come_first(settings):
    """Where ROTATING_SESSIONS has wrong types, its own checks say so, and no other."""
    settings.ROTATING_SESSIONS = {"EXEMPT_PATHS": 7}

    assert ids(check_fdi()) == []


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ([FDI, OURS], []),
        ([OURS, FDI], ["E042"]),
        ([OURS], ["E042"]),
        ([FDI], []),
        ([], ["E042"]),
    ],
)
def test_middleware_comes_before_ours(settings, names, found):
    """The contract's middleware has to read before ours does."""
    settings.MIDDLEWARE = names

    assert ids(check_fdi()) == found


@pytest.mark.parametrize(
    ("urls", "exempt", "found"),
    [
        ("tests.fdi.urls", "/admin/", []),
        ("tests.fdi.urls", "/auth/", ["E043"]),
        ("tests.urls", "/auth/", ["E043"]),
    ],
)
def test_endpoints_are_mounted_and_seen(settings, urls, exempt, found):
    """The endpoints are in the URLconf, and not where the middleware looks away."""
    settings.ROOT_URLCONF = urls
    settings.ROTATING_SESSIONS = {"EXEMPT_PATHS": [exempt]}

    assert ids(check_fdi()) == found


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({}, 0),
        ({"CORS_ALLOW_HEADERS": ["content-type"]}, 1),
        ({"CORS_ALLOW_HEADERS": [name.title() for name in REQUEST_HEADERS]}, 0),
        ({"CORS_EXPOSE_HEADERS": ["X-Total"]}, 1),
        ({"CORS_EXPOSE_HEADERS": ["X-Total", *EXPOSED_HEADERS]}, 0),
        ({"CORS_EXPOSE_HEADERS": []}, 0),
        ({"CORS_ALLOW_CREDENTIALS": False}, 1),
    ],
)
def test_cross_origin_requests_are_let_through(settings, monkeypatch, values, found):
    """django-cors-headers, where installed, has to know the contract's headers."""
    # By its name alone: the suite does without it.
    monkeypatch.setattr(django_settings, "INSTALLED_APPS", ["corsheaders"])
    right = {"CORS_ALLOW_HEADERS": REQUEST_HEADERS, "CORS_ALLOW_CREDENTIALS": True}
    for name, value in {**right, **values}.items():
        setattr(settings, name, value)

    assert ids(check_fdi()) == ["W046"] * found


def test_settings_that_are_no_dict_are_none(settings):
    """What cannot be read is left out, and told by a check."""
    settings.ROTATING_SESSIONS_FDI = ["ANTI_CSRF"]

    assert get_fdi_conf().anti_csrf == "custom_header"
