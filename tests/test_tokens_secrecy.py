"""Error reports about the codecs, and what hands them tokens: no token is in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone
from django.views.debug import ExceptionReporter

from rotating_sessions.services import end_proven_session, refresh_session
from rotating_sessions.services.reading import prove_refresh
from rotating_sessions.tokens.access import decode_access, encode_access
from rotating_sessions.tokens.refresh import (
    decode_refresh,
    digest_refresh,
    encode_refresh,
)
from tests.acting import client_at


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
        lambda: prove_refresh(CANARY),
        lambda: refresh_session(CANARY, client=client_at(), transport="header"),
        lambda: end_proven_session(CANARY, reason=CANARY),
    ],
)
def test_no_error_report_shows_what_a_codec_works_on(work: Callable[[], object]):
    """LG-01: Where work on a token fails, the report hides the variables of it."""
    with pytest.raises(Exception) as failure:  # noqa: PT011 - whichever, it is reported
        work()

    reporter = ExceptionReporter(None, *failure._excinfo)
    frames = {
        frame["function"]: str(frame["vars"])
        for frame in reporter.get_traceback_frames()
        if frame["tb"].tb_frame.f_globals["__name__"].startswith("rotating_sessions.")
    }
    assert frames
    assert [name for name, shown in frames.items() if "plain sight" in shown] == []
