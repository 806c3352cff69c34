"""When a rule of the machine may run, and what it draws."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from tests.acting import SKEW, TICK, W
from tests.machine.keys import POLL
from tests.machine.people import ADDRESSES

__all__ = [
    "addresses",
    "anyone",
    "delays",
    "has_clients",
    "has_room",
    "hosts",
    "is_blow_due",
    "is_change_due",
    "pauses",
    "transports",
    "wants_login",
]

MAX_CLIENTS = 8
# Every how many steps something may change, and something may end sessions.
CHANGE = 3
BLOW = 13

# Whom a rule is about: counted off among those who are there when it runs.
anyone = st.integers(0, MAX_CLIENTS - 1)
hosts = st.sampled_from([0, 1])
transports = st.sampled_from(["header", "cookie"])
addresses = st.sampled_from(ADDRESSES)
# Both edges of the grace period and of the poll, to the microsecond.
pauses = st.sampled_from(
    [
        timedelta(),
        timedelta(seconds=20),
        *(W - TICK, W, W, W + SKEW),
        timedelta(minutes=5),
    ]
)
delays = st.sampled_from(
    [timedelta(), timedelta(seconds=3), POLL - TICK, POLL, timedelta(minutes=31)]
)


def has_clients(machine: Any) -> bool:
    return bool(machine.active())


def has_room(machine: Any) -> bool:
    world = machine.world
    return len(machine.active()) < MAX_CLIENTS and len(world.clients) < 4 * MAX_CLIENTS


def wants_login(machine: Any) -> bool:
    due = is_change_due(machine) and has_room(machine)
    return due and bool(machine.who_may_log_in())


def is_change_due(machine: Any) -> bool:
    """Let clients refresh and make requests between one change and the next."""
    return len(machine.trace) % CHANGE == 0 or not machine.active()


def is_blow_due(machine: Any) -> bool:
    """Let sessions grow old between one end, or long wait, and the next."""
    return len(machine.trace) % BLOW == 0
