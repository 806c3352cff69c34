"""
Error reports about the codecs, and about what works with tokens: none is in them.

One mark is enough for all that a function calls: Django looks for it up the stack.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpRequest
from django.utils import timezone
from django.views.debug import ExceptionReporter

from rotating_sessions.authentication import identify
from rotating_sessions.services import end_proven_session, refresh_session
from rotating_sessions.tokens.access import decode_access, encode_access
from rotating_sessions.tokens.keys import get_key_ring
from rotating_sessions.tokens.refresh import (
    decode_refresh,
    digest_refresh,
    encode_refresh,
)
from tests.acting import client_at, log_in, present
from tests.browsing import HOME, database_down

pytestmark = pytest.mark.django_db(transaction=True)


class Canary(str):
    """A token that nothing can be done with, and that tells where it was shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "a canary in plain sight"


# No text that can be encoded, nor anything else that a codec knows.
CANARY: Any = Canary("\ud800")


@pytest.mark.parametrize(
    "work",
    [
        lambda: encode_access(CANARY),
        lambda: decode_access(CANARY, timezone.now()),
        lambda: encode_refresh(
            family_id=CANARY,
            generation=7,
            user_pk="41",
            secret=CANARY,
            issued_at=timezone.now(),
        ),
        lambda: decode_refresh(CANARY),
        lambda: digest_refresh(CANARY),
        lambda: refresh_session(CANARY, client=client_at(), transport="header"),
        lambda: end_proven_session(CANARY, reason=CANARY),
    ],
)
def test_no_error_report_shows_what_a_codec_works_on(work: Callable[[], object]):
    """LG-01: Where work on a token fails, the report hides the variables of it."""
    assert "plain sight" not in report_of(work)


def report_of(work: Callable[[], object]) -> str:
    """Return what a report shows of the package's own variables, where work fails."""
    with pytest.raises(Exception) as failure:  # noqa: PT011 - whichever, it is reported
        work()
    frames = [
        frame
        for frame in ExceptionReporter(None, *failure._excinfo).get_traceback_frames()
        if frame["tb"].tb_frame.f_globals["__name__"].startswith("rotating_sessions.")
    ]
    assert frames
    return str([frame["vars"] for frame in frames])


def test_an_error_report_shows_what_nothing_hides():
    """A network is no secret: where it cannot be hashed, the report shows it."""
    report = report_of(lambda: get_key_ring().hash_network(CANARY))

    assert "plain sight" in report


@pytest.mark.parametrize(
    ("header", "spelled"),
    [("HTTP_AUTHORIZATION", "Bearer {}"), ("HTTP_COOKIE", "__Host-rs_access={}")],
)
@pytest.mark.parametrize("wrong", [{"IPV4_PREFIX": 33}, {"ACCESS_KEYS": ["/no.pem"]}])
def test_no_error_report_shows_the_token_of_a_request(
    first, settings, wrong, header, spelled
):
    """LG-01: Where a setting is wrong, every request fails, and no report shows it."""
    request = HttpRequest()
    request.META = {"REMOTE_ADDR": HOME, header: spelled.format(first.access)}
    settings.ROTATING_SESSIONS = wrong

    report = report_of(lambda: identify(request, timezone.now()))

    assert first.access not in report


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("/auth/login/", {"IPV4_PREFIX": 33}),
        ("/auth/refresh/", {"ACCESS_KEYS": ["/no.pem"]}),
    ],
)
def test_no_error_report_shows_what_an_endpoint_is_sent(
    api, first, settings, path, wrong
):
    """LG-01: Where a setting is wrong, no report shows a password or a token sent."""
    body = {"username": "ann", "password": "my secret", "refresh": first.refresh}
    settings.ROTATING_SESSIONS = wrong

    report = report_of(lambda: api.send(path, body))

    assert "my secret" not in report
    assert first.refresh not in report


def test_no_error_report_shows_the_token_of_a_login_that_failed(rf, user):
    """LG-01: Where a new session cannot be stored, the report hides its token."""
    with database_down(only="rotating_sessions_refreshtoken"):
        report = report_of(lambda: log_in(rf, user))

    assert "rsrt_" not in report


def test_no_error_report_shows_the_token_of_a_refresh_that_failed(first):
    """LG-01: Where a successor cannot be stored, the report hides it."""
    with database_down(only="rotating_sessions_refreshtoken"):
        report = report_of(lambda: present(first))

    assert "rsrt_" not in report
