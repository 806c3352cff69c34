"""Cuts: the line to the database breaks, before it hears or before it is heard."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection

from rotating_sessions import revocations
from tests.acting import columns, rows_of
from tests.browsing import Api
from tests.factories import PASSWORD
from tests.faults.aftermath import (
    Honest,
    Request,
    assert_ended,
    assert_unavailable,
    carries_on,
    newcomer,
    outline,
    passing,
    theft_is_caught,
)
from tests.faults.elsewhere import elsewhere
from tests.faults.proxy import Proxy, between
from tests.faults.stages import HONEST, first_use, rotation, theft
from tests.faults.steps import Point, is_committed, points
from tests.figures import count

_PORTS = {"postgresql": 5432, "mysql": 3306}
_PLAIN = {
    # The proxy reads along, so nothing is to be encrypted.
    "postgresql": {"sslmode": "disable", "gssencmode": "disable"},
    "mysql": {},
}
REFRESHES = [stage for stage in HONEST.values() if stage is not first_use]


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """Return what all of this test's statements go through."""
    place = connection.settings_dict
    port = int(place["PORT"] or _PORTS[connection.vendor])
    options = {**place["OPTIONS"], **_PLAIN[connection.vendor]}
    with (
        between(place["HOST"] or "127.0.0.1", port) as line,
        # Kept from one request to the next, unless a test closes it.
        elsewhere(HOST="127.0.0.1", PORT=line.port, OPTIONS=options, CONN_MAX_AGE=None),
    ):
        yield line


def watch(proxy: Proxy, point: Point | None = None, *, kept: bool) -> None:
    """Count rounds from here, on a connection that is as the next request finds it."""
    if not kept:
        connection.close()
    proxy.watch(point, kept=kept)


@pytest.mark.parametrize(
    ("stage", "kept"),
    # What a new connection adds, its greeting, is the same for all of them.
    [*((stage, True) for stage in REFRESHES), (rotation, False)],
)
def test_client_carries_on_wherever_the_line_is_cut(rf, clock, proxy, stage, kept):
    """I-5, I-6: A cut is 503 and no token, and what was committed can be resumed."""
    client = newcomer(rf)
    request = stage(client, clock)
    before = outline(client)
    watch(proxy, kept=kept)
    assert request.send(Api()).status == 200
    steps, after = proxy.steps(), outline(client)
    assert ("COMMIT" in steps) is (after != before)

    for point in points(steps):
        client = newcomer(rf)
        request = stage(client, clock)
        row = columns(client)

        watch(proxy, point, kept=kept)
        answer = request.send(Api())

        assert proxy.has_cut, point
        count("connections cut")
        if is_committed(steps, point):
            assert outline(client) == after, point
        else:
            assert columns(client) == row, point
        # What breaks after the commit may be known to be nobody's loss.
        if answer.status != 200:
            assert_unavailable(answer, at=point)
        client.take(answer)
        if stage.__name__ != "lost_commit":
            carries_on(client, passing(clock), at=point)
            theft_is_caught(client, passing(clock), at=point)
        else:
            assert client.refreshes().status == 200, point


def test_theft_is_caught_although_the_line_was_cut(rf, clock, proxy):
    """I-1, I-6: A cut lets no thief through, and the next presentation tells."""
    client = newcomer(rf)
    request = theft(client, clock)
    watch(proxy, kept=True)
    assert request.send(Api()).status == 401
    steps = proxy.steps()

    for point in points(steps):
        client = newcomer(rf)
        request = theft(client, clock)

        watch(proxy, point, kept=True)
        answer = request.send(Api())

        assert proxy.has_cut, point
        count("connections cut")
        revoked = columns(client)["revoked_reason"] == "reused"
        assert revoked is is_committed(steps, point), point
        if answer.status != 401:
            assert_unavailable(answer, at=point)
        assert request.send(Api()).code == (401, "session_ended"), point
        assert_ended(client, "reused", at=point)
        count("thefts caught after a fault")


def bring_access(client: Honest) -> Request:
    """Use the newest access token, which confirms."""
    client.refreshes()
    return client.visits


def call_api(client: Honest) -> Request:
    """Use it in a DRF view of the site."""
    client.refreshes()
    return Request(path="/api/profile/", access=client.access)


def list_sessions(client: Honest) -> Request:
    """Ask for the sessions of the user."""
    return Request(path="/auth/sessions/", access=client.access)


def log_in_again(client: Honest) -> Request:
    """Log in once more, on another device."""
    name = rows_of(client).get().user.get_username()
    body = {"username": name, "password": PASSWORD}
    return Request(path="/auth/login/", body=body)


def log_out(client: Honest) -> Request:
    """End the session by the refresh token."""
    return Request(path="/auth/logout/", body={"refresh": client.refresh})


def log_out_everywhere(client: Honest) -> Request:
    """End all sessions of the user but this one."""
    body = {"password": PASSWORD, "keep_current": True}
    return Request(path="/auth/logout-everywhere/", body=body, access=client.access)


@pytest.mark.parametrize(
    "wish",
    [
        bring_access,
        call_api,
        list_sessions,
        log_in_again,
        log_out,
        log_out_everywhere,
    ],
)
def test_no_cut_is_taken_for_a_refusal(rf, clock, proxy, wish):
    """RT-12, I-6: What a cut meets is answered in full or by 503: never 401 or 500."""
    client = newcomer(rf)
    request = wish(client)
    revocations.reset()
    watch(proxy, kept=True)
    answer = request.send(Api())
    assert answer.status in {200, 204}
    done, steps = answer.status, proxy.steps()

    for point in points(steps):
        client = newcomer(rf)
        request = wish(client)
        revocations.reset()

        watch(proxy, point, kept=True)
        answer = request.send(Api())

        assert proxy.has_cut, point
        count("connections cut")
        if answer.status != done:
            assert_unavailable(answer, at=point)
        revocations.reset()
        assert request.send(Api()).status == done, point


@pytest.mark.parametrize("noise", [bytes(64), b"D" + b"\xff" * 64, b"E\0\0\0\5\0"])
def test_answer_that_makes_no_sense_is_no_refusal(rf, clock, proxy, noise):
    """RT-12, I-6: A line that ends in noise is 503, and the token serves later."""
    client = newcomer(rf)
    columns(client)
    proxy.watch(kept=True)
    client.refreshes()

    for point in points(proxy.steps()):
        if not point.after:
            continue
        client = newcomer(rf)

        proxy.watch(point, kept=True, last_words=noise)
        answer = client.asks.send(Api())

        assert proxy.has_cut, point
        count("answers garbled")
        if answer.status != 200:
            assert_unavailable(answer, at=point)
        carries_on(client, passing(clock), at=point)


def test_connection_that_died_at_rest_costs_one_answer(rf, clock, proxy):
    """I-6: A kept connection that was cut while idle is 503 once, and replaced."""
    client = newcomer(rf)
    proxy.cut_idle()

    answer = client.refreshes()

    assert_unavailable(answer)
    count("connections cut")
    carries_on(client, passing(clock))
    theft_is_caught(client, passing(clock))
