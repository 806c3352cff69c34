"""What happened to a session is told so that a theft needs no explanation."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from rotating_sessions.models import RefreshToken, RevokedReason, SessionFamily
from rotating_sessions.timeline import (
    EventKind,
    History,
    State,
    TokenState,
    explain,
    state_of,
    tell,
)
from tests.acting import START
from tests.browsing import FIREFOX, HOME

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NOW = START
THIEF = {
    "reused_at": NOW - HOUR,
    "reused_ip_address": "198.51.100.9",
    "reused_user_agent": "curl/8.5.0",
}
GONE = EventKind.MISSING


def family(**fields: Any) -> SessionFamily:
    """Return a session of two days that was refreshed three times."""
    values = {
        "user_pk": "41",
        "device": "Firefox on Linux",
        "generation": 3,
        "previous": 2,
        "created_at": NOW - 2 * DAY,
        "auth_time": NOW - 2 * DAY,
        "rotated_at": NOW - 2 * HOUR,
        "confirmed_at": NOW - 2 * HOUR + MINUTE,
        "idle_at": NOW + 13 * DAY,
        "expires_at": NOW + 28 * DAY,
    }
    return SessionFamily(**{**values, **fields})


def token(generation: int, **fields: Any) -> RefreshToken:
    """Return a token of it: the newest is two hours old, each other an hour older."""
    values = {
        "generation": generation,
        "issued_at": NOW - 5 * HOUR + generation * HOUR,
        "ip_address": HOME,
        "user_agent": FIREFOX,
    }
    return RefreshToken(**{**values, **fields})


def history(*tokens: RefreshToken, **fields: Any) -> History:
    return History(tokens=sorted(tokens, key=lambda t: -t.generation), **fields)


def stolen(**fields: Any) -> SessionFamily:
    ended = {"revoked_at": NOW - HOUR, "revoked_reason": RevokedReason.REUSED}
    return family(**{**ended, **fields})


@pytest.fixture(autouse=True)
def _utc() -> Iterator[None]:
    with timezone.override(UTC):
        yield


def test_moments_are_in_the_readers_zone():
    """A moment is told in the time zone of whoever reads it."""
    ended = family(revoked_at=NOW - HOUR, revoked_reason=RevokedReason.LOGOUT)

    with timezone.override(ZoneInfo("Asia/Tokyo")):
        text = explain(ended, history(), NOW)

    assert text == "On March 4, 2031, 1:06 p.m. the user logged out."


def test_story_of_a_theft():
    """The events of a theft are told in their order, with who did what from where."""
    reused = token(1, **THIEF)
    record = history(*map(token, (0, 2, 3)), reused, reused=reused)

    events = list(tell(stolen(auth_time=NOW - 5 * HOUR + MINUTE), record, NOW))

    assert [event.text for event in events] == [
        "A superseded token was used again: theft",
        "Theft: token 1 came back",
        "Token 3 was first seen in use",
        "Token 3 issued",
        "Token 2 issued",
        "Token 1 issued",
        "Logged in again, in the same session",
        "Token 0 issued",
        "Logged in",
    ]
    assert all(later.at >= earlier.at for later, earlier in pairwise(events))
    assert [event.state for event in events if event.state] == [
        TokenState.CONFIRMED,
        TokenState.SUPERSEDED,
        TokenState.REUSED,
        TokenState.SUPERSEDED,
    ]
    theft = events[1]
    assert (theft.kind, theft.generation) == (EventKind.REUSED, 1)
    assert (theft.ip_address, theft.device) == ("198.51.100.9", "curl")
    assert (events[3].ip_address, events[3].device) == (HOME, "Firefox on Linux")
    assert [event.text for event in events if event.is_alarm] == [
        "Theft: token 1 came back",
        "Token 1 issued",
    ]


def test_session_that_just_began():
    """A new session has two events, of one moment: the login, and then its token."""
    new = family(generation=0, previous=None, rotated_at=None, confirmed_at=None)
    first = token(0, issued_at=new.created_at, user_agent="", ip_address=None)

    events = list(tell(new, history(first), NOW))

    assert [event.text for event in events] == ["Token 0 issued", "Logged in"]
    assert events[0].state is TokenState.UNCONFIRMED
    assert events[0].device == ""


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"idle_at": NOW}, "Ended: Idle"),
        ({"expires_at": NOW}, "Ended: Expired"),
        ({"revoked_at": NOW, "revoked_reason": "logout"}, "Logged out"),
        ({"revoked_at": NOW}, "Revoked"),
    ],
)
def test_end_comes_first(fields, text):
    """How a session ended is told before all else."""
    first, *others = tell(family(**fields), history(), NOW)

    assert (first.at, first.text) == (NOW, text)
    assert all(other.at < NOW for other in others)


@pytest.mark.parametrize(
    ("generations", "hidden_below", "texts"),
    [
        ((3, 2, 1, 0), 0, []),
        ((3, 2), 0, ["Tokens 0 to 1: no record is left"]),
        ((3, 0), 0, ["Tokens 1 to 2: no record is left"]),
        ((2, 1, 0), 0, ["Tokens 3 to 3: no record is left"]),
        ((), 0, ["Tokens 0 to 3: no record is left"]),
        ((3, 2), 2, ["Tokens 0 to 1: not shown here, see the export"]),
        (
            (3, 1),
            1,
            [
                "Tokens 2 to 2: no record is left",
                "Tokens 0 to 0: not shown here, see the export",
            ],
        ),
    ],
)
def test_gap_in_the_record_is_told(generations, hidden_below, texts):
    """Where tokens are not on record, or not shown, the timeline says which."""
    record = history(*map(token, generations), hidden_below=hidden_below)

    events = list(tell(family(), record, NOW))

    assert [event.text for event in events if event.kind is GONE] == texts


@pytest.mark.parametrize(
    ("previous", "generation", "state"),
    [
        (1, 1, TokenState.SUPERSEDED),
        (1, 2, TokenState.DISPLACED),
        (1, 3, TokenState.CONFIRMED),
        (2, 2, TokenState.SUPERSEDED),
        (None, 0, TokenState.SUPERSEDED),
    ],
)
def test_state_of_a_token(previous, generation, state):
    """A token between the newest and its predecessor was lost on its way."""
    events = tell(family(previous=previous), history(token(generation)), NOW)

    assert [event.state for event in events if event.state] == [state]


def test_theft_is_explained_in_two_sentences():
    """The explanation names both clients and all three moments, and judges."""
    reused = token(1, **THIEF)

    text = explain(stolen(), history(reused=reused, replaced_at=NOW - 3 * HOUR), NOW)

    assert text == (
        "A token issued on March 4, 2031, 1:06 a.m. to Firefox on Linux at 203.0.113.5 "
        "was replaced on March 4, 2031, 2:06 a.m. and came back on March 4, 2031, "
        "4:06 a.m. from curl at 198.51.100.9. "
        "One of the two is a thief; the session was ended for both."
    )


@pytest.mark.parametrize(
    ("previous", "replaced_at", "fields", "parts"),
    [
        (2, None, {}, ["although it had been replaced.", "One of the two is a thief"]),
        (0, NOW - 3 * HOUR, {}, ["was taken for lost on its way, and replaced on"]),
        (
            2,
            NOW - 3 * HOUR,
            {"reused_ip_address": None, "reused_user_agent": ""},
            ["from an unknown device at an unknown address."],
        ),
        (
            2,
            NOW - 3 * HOUR,
            {"reused_ip_address": HOME, "reused_user_agent": FIREFOX},
            ["Both seem to be the same browser"],
        ),
    ],
)
def test_theft_is_explained_by_what_is_known(previous, replaced_at, fields, parts):
    """The explanation says what is on record, and does not guess the rest."""
    reused = token(1, **{**THIEF, **fields})
    record = history(reused=reused, replaced_at=replaced_at)

    text = explain(stolen(previous=previous), record, NOW)

    assert all(part in text for part in parts)
    assert "the session was ended for both." in text.lower()


@pytest.mark.parametrize("reason", ["", *RevokedReason.values])
def test_each_reason_has_its_sentence(reason):
    """Whatever ended a session, one sentence says it, with the moment."""
    ended = family(revoked_at=NOW - HOUR, revoked_reason=reason)
    others = {
        explain(family(revoked_at=NOW - HOUR, revoked_reason=other), history(), NOW)
        for other in ("", *RevokedReason.values)
        if other != reason
    }

    text = explain(ended, history(), NOW)

    assert "March 4, 2031, 4:06 a.m." in text
    assert text not in others


def test_reason_of_another_version_is_no_error():
    """A reason that this version does not know is an end like any other."""
    ended = family(revoked_at=NOW - HOUR, revoked_reason="unheard of")

    text = explain(ended, history(), NOW)

    assert text == "On March 4, 2031, 4:06 a.m. this session was ended."


@pytest.mark.parametrize(
    ("fields", "state", "text"),
    [
        (
            {},
            State.LIVE,
            (
                "The session is live. Its last login or refresh was on March 4, 2031, "
                "3:06 a.m.; on March 17, 2031, 5:06 a.m. it ends unless it is "
                "refreshed before, and on April 1, 2031, 5:06 a.m. in any case."
            ),
        ),
        (
            {"rotated_at": None, "idle_at": NOW},
            State.IDLE,
            (
                "On March 4, 2031, 5:06 a.m. the session ended, for the last login or "
                "refresh was on March 2, 2031, 5:06 a.m. already."
            ),
        ),
        (
            {"expires_at": NOW},
            State.EXPIRED,
            (
                "On March 4, 2031, 5:06 a.m. the session reached the age at which "
                "every session ends."
            ),
        ),
    ],
)
def test_session_that_nobody_revoked_is_explained(fields, state, text):
    """A live session has its deadlines told, one that is over which of them passed."""
    current = family(**fields)

    assert state_of(current, NOW) is state
    assert explain(current, history(), NOW) == text
