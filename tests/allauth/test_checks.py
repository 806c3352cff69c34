"""The system check of how allauth is set up."""

from __future__ import annotations

import pytest
from django.core.checks import run_checks
from django.test import override_settings

from tests.settings import MIDDLEWARE


def found():
    return [
        message.id
        for message in run_checks()
        if message.id.startswith("rotating_sessions_allauth")
    ]


def test_the_settings_of_the_suite_pass():
    """What docs/allauth.md shows is not complained about."""
    assert found() == []


@pytest.mark.parametrize(
    ("changes", "ids"),
    [
        (
            {
                "HEADLESS_TOKEN_STRATEGY": (
                    "allauth.headless.tokens.strategies.sessions.SessionTokenStrategy"
                )
            },
            ["E001"],
        ),
        (
            {
                "HEADLESS_TOKEN_STRATEGY": (
                    "allauth.headless.tokens.strategies.sessions.SessionTokenStrategy"
                ),
                "HEADLESS_CLIENTS": ("browser",),
            },
            [],
        ),
        (
            {"MIDDLEWARE": [m for m in MIDDLEWARE if "LoginMiddleware" not in m]},
            ["E002"],
        ),
        ({"MIDDLEWARE": MIDDLEWARE[::-1]}, ["E002"]),
        ({"MIDDLEWARE": MIDDLEWARE[-1:]}, ["E002"]),
        (
            {
                "MIDDLEWARE": [m for m in MIDDLEWARE if "LoginMiddleware" not in m],
                "HEADLESS_CLIENTS": ("app",),
            },
            [],
        ),
        ({"ROTATING_SESSIONS": {"TRANSPORTS": ("header",)}}, ["E003"]),
        (
            {"ROTATING_SESSIONS": {"TRANSPORTS": ("cookie",)}},
            ["E003"],
        ),
    ],
)
def test_what_cannot_work_is_found(changes, ids):
    """A strategy, a middleware or a transport that is missing is an error."""
    with override_settings(**changes):
        assert found() == [f"rotating_sessions_allauth.{number}" for number in ids]
