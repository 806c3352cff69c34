"""Requests after a mass revocation: the revoked are refused, and the living go on."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.http import HttpResponse
from django.test import AsyncRequestFactory, RequestFactory
from django.test.utils import CaptureQueriesContext

from rotating_sessions import revocations
from rotating_sessions.middleware import RotatingSessionMiddleware
from rotating_sessions.models import RevokedReason, SessionFamily
from rotating_sessions.services import revoke_sessions
from rotating_sessions.transports import TokenPair
from tests.acting import MOMENT, columns, log_in, present, rows_of
from tests.browsing import HOME, count, database_down
from tests.factories import SessionFamilyFactory, UserFactory

pytestmark = pytest.mark.django_db(transaction=True)

POLL = timedelta(seconds=5)
MINUTE = timedelta(minutes=1)
# Late commits, and clocks that are apart.
LATENESS = 5 * MINUTE + timedelta(seconds=5)

Visit = Callable[[TokenPair], str]


def outcome(response: Any) -> str:
    if response.status_code == 200:
        return "welcome"
    return f"{response.status_code} {json.loads(response.content)['code']}"


def start_process(kind: str) -> Visit:
    """Begin a process that knows nothing; return how it is visited."""
    revocations.reset()
    if kind == "WSGI":
        serve: Any = RotatingSessionMiddleware(lambda _request: HttpResponse())
        factory: Any = RequestFactory()
    else:

        async def view(_request: Any) -> HttpResponse:
            return HttpResponse()

        serve = async_to_sync(RotatingSessionMiddleware(view))
        factory = AsyncRequestFactory()

    def visit(pair: TokenPair) -> str:
        request = factory.get("/")
        request.META["HTTP_AUTHORIZATION"] = f"Bearer {pair.access}"
        request.META["REMOTE_ADDR"] = HOME
        return outcome(serve(request))

    return visit


@pytest.fixture(params=["WSGI", "ASGI"])
def kind(request: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a kind of process, each of which lists two revoked families at most."""
    monkeypatch.setattr(revocations, "_LISTED", 2)
    return str(request.param)


@pytest.fixture
def visit(kind: str) -> Visit:
    """Return how a process is visited that has just begun."""
    return start_process(kind)


def revoke_elsewhere(*pairs: TokenPair, at: Any) -> None:
    """Revoke sessions, and then four others, as another process does."""
    for pair in pairs:
        rows_of(pair).update(revoked_at=at, revoked_reason="staff")
    SessionFamilyFactory.create_batch(4, now=at, revoked_at=at + timedelta(seconds=1))


def counting(visit: Visit, pair: TokenPair) -> tuple[str, int, int]:
    """Return the outcome of a visit, and how many statements read and wrote."""
    with CaptureQueriesContext(connection) as queries:
        seen = visit(pair)
    return (seen, *count(queries))


@pytest.mark.parametrize("warm", [False, True])
def test_session_that_is_not_listed_ends_all_the_same(rf, first, clock, visit, warm):
    """I-1, I-18: Of a mass revocation the sessions left out are refused as well."""
    if warm:
        visit(first)
    revoke_elsewhere(first, at=clock.now)

    seen = [visit(first) for _ in range(2) if clock.forward(POLL)]

    assert not revocations.is_revoked(columns(first)["id"])
    assert seen == ["401 session_ended"] * 2


def test_live_session_goes_on_and_is_looked_at_once(first, clock, visit):
    """Nobody is logged out for another's end: one look at the row, and no refresh."""
    visit(first)
    revoke_elsewhere(at=clock.now)
    clock.forward(LATENESS + MOMENT)

    seen = [counting(visit, first) for _ in range(3)]
    clock.forward(POLL)
    seen.append(counting(visit, first))

    # The poll and the look; nothing; nothing; and a poll.
    assert seen == [
        ("welcome", 2, 0),
        ("welcome", 0, 0),
        ("welcome", 0, 0),
        ("welcome", 1, 0),
    ]


def test_look_serves_until_the_poll_while_commits_may_be_late(first, clock, visit):
    """I-18: As long as a revocation may be committed late, each poll asks anew."""
    visit(first)
    revoke_elsewhere(at=clock.now)
    clock.forward(POLL)

    seen = [counting(visit, first) for _ in range(2)]
    clock.forward(POLL)
    seen += [counting(visit, first) for _ in range(2)]

    assert seen == [("welcome", 2, 0), ("welcome", 0, 0)] * 2


def test_revocation_that_is_committed_late_is_seen(first, clock, visit):
    """I-18: A session that ended before all that is listed is refused at the poll."""
    begun = clock.now
    clock.forward(MINUTE)
    revoke_elsewhere(at=clock.now)
    clock.forward(MOMENT)
    before = visit(first)
    rows_of(first).update(revoked_at=begun)

    seen = [visit(first) for _ in range(2) if clock.forward(POLL)]

    assert before == "welcome"
    assert seen == ["401 session_ended"] * 2


def test_confirmation_is_the_look(first, clock, visit):
    """One statement answers both: who was confirmed just now is not revoked."""
    second = present(first)
    revoke_elsewhere(at=clock.now)
    clock.forward(MOMENT)

    seen = counting(visit, second)

    assert seen == ("welcome", 1, 1)
    assert columns(second)["confirmed_at"] is not None


@pytest.mark.parametrize(
    "issued",
    [
        (LATENESS, "503 unavailable"),
        (LATENESS + timedelta(seconds=1), "welcome"),
    ],
)
def test_token_issued_after_the_last_late_commit_is_in_no_doubt(
    rf, first, clock, visit, issued
):
    """Who logs in once all is committed needs no look, not even at first sight."""
    age, seen = issued
    revoke_elsewhere(at=clock.now - timedelta(seconds=1))
    clock.forward(age)
    pair = log_in(rf, UserFactory.create())
    clock.forward(MOMENT)
    visit(first)

    with database_down("rotating_sessions"):
        assert visit(pair) == seen


def test_process_that_starts_after_a_mass_revocation_knows(rf, first, clock, kind):
    """RV-05: A process that begins later refuses the revoked, and serves the living."""
    other = log_in(rf, UserFactory.create())
    revoke_elsewhere(first, at=clock.now)
    clock.forward(20 * MINUTE)
    visit = start_process(kind)

    seen = visit(first), visit(other)

    assert seen == ("401 session_ended", "welcome")


def test_session_revoked_by_itself_afterwards_is_listed(first, clock, visit):
    """I-18: What is revoked after a mass revocation is refused with no look."""
    revoke_elsewhere(at=clock.now)
    clock.forward(LATENESS + MOMENT)
    visit(first)
    rows_of(first).update(revoked_at=clock.now, revoked_reason="logout")
    clock.forward(POLL)
    seen = [visit(first)]

    seen.append(counting(visit, first))

    assert seen == ["401 session_ended", ("401 session_ended", 0, 0)]


@pytest.mark.parametrize("confirmed", [False, True])
def test_what_is_in_doubt_is_refused_without_a_database(first, clock, visit, confirmed):
    """RV-07: Who cannot be looked up after a mass revocation is 503, and no more."""
    if confirmed:
        visit(first)
    revoke_elsewhere(at=clock.now)
    clock.forward(POLL)
    revocations.poll(clock.now)

    with database_down("rotating_sessions"):
        down = visit(first)

    assert down == "503 unavailable"
    assert visit(first) == "welcome"


def test_who_was_looked_at_goes_on_without_a_database(first, clock, visit):
    """I-18: A look serves for MAX_STALENESS where the poll fails, as the list does."""
    revoke_elsewhere(at=clock.now)
    visit(first)

    with database_down("rotating_sessions"):
        clock.forward(timedelta(seconds=59))
        before = visit(first)
        clock.forward(timedelta(seconds=1))
        after = visit(first)

    assert (before, after) == ("welcome", "503 unavailable")


def test_session_that_is_gone_has_ended(first, clock, visit):
    """A family that is in doubt and has no row is refused."""
    visit(first)
    revoke_elsewhere(at=clock.now)
    clock.forward(POLL)
    rows_of(first).delete()

    assert visit(first) == "401 session_ended"


def test_process_that_revokes_them_all_refuses_them_at_once(rf, first, clock, visit):
    """RV-01: A mass revocation of this process is complete before the next poll."""
    pairs = [first, *(log_in(rf, UserFactory.create()) for _ in range(4))]
    seen = [visit(pair) for pair in pairs]
    live = log_in(rf, UserFactory.create())
    others = SessionFamily.objects.exclude(pk=columns(live)["id"])

    revoke_sessions(others, reason=RevokedReason.STAFF)

    assert seen == ["welcome"] * 5
    assert [visit(pair) for pair in pairs] == ["401 session_ended"] * 5
    assert visit(live) == "welcome"


def test_warm_request_after_the_doubt_is_as_before(first, clock, visit):
    """I-19: A request that is in no doubt any more does no SQL."""
    revoke_elsewhere(at=clock.now)
    visit(first)

    assert counting(visit, first) == ("welcome", 0, 0)
