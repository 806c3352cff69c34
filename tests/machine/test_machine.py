"""
Many clients, thieves, staff, clocks, keys and failovers, over the real services.

The bounded run is always the same. The deep one is not: when it fails it prints the
story, shortened, and `pytest tests/machine --deep --hypothesis-seed=N`, with the seed
that pytest printed, tells it again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.acting import TICK, W
from tests.machine.keys import IDLE, LIMIT
from tests.machine.machine import Machine

pytestmark = pytest.mark.django_db(transaction=True)

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
BOUNDED = settings(
    max_examples=110,
    stateful_step_count=60,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=SLOW,
)
DEEP = settings(
    BOUNDED,
    max_examples=1_000,
    stateful_step_count=80,
    derandomize=False,
    print_blob=True,
)
# To find a story is enough, where it need not be told well.
BRIEF = settings(BOUNDED, max_examples=600, phases=[Phase.generate])


def stories_of(number: int) -> list[list[tuple[Any, ...]]]:
    """Return what happened, and with which answers, in the runs of one seed."""
    stories = []

    @seed(number)
    class Told(Machine):
        def teardown(self) -> None:
            stories.append(self.trace)
            super().teardown()

    few = settings(BOUNDED, max_examples=3, derandomize=False)
    run_state_machine_as_test(Told, settings=few)
    return stories


def test_invariants_hold_whatever_anybody_does(*, deep: bool) -> None:
    """I-1 to I-24: No sequence of acts found breaks an invariant."""
    run_state_machine_as_test(Machine, settings=DEEP if deep else BOUNDED)


def test_same_seed_tells_the_same_story() -> None:
    """A run depends on its seed alone: the same acts, answered in the same way."""
    first, second, other = stories_of(7), stories_of(7), stories_of(8)

    assert first == second
    assert first != other


@pytest.mark.parametrize(
    "site",
    [
        {"GRACE_PERIOD": W - TICK},
        {"GRACE_PERIOD": W + TICK},
        {"BIND_NETWORK": False},
        {"SESSION_LIMIT": LIMIT + 1},
        {"IDLE_TIMEOUT": IDLE + timedelta(hours=1)},
    ],
    ids=lambda site: next(iter(site)),
)
def test_site_that_breaks_its_promise_by_a_little_is_caught(site: Any) -> None:
    """The machine finds a story in which a site is not quite as it claims to be."""

    class Careless(Machine):
        pass

    Careless.site = site

    with pytest.raises(AssertionError):
        run_state_machine_as_test(Careless, settings=BRIEF)
