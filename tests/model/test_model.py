"""The shipped rules, explored through every state that clients can bring them to."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from tests import figures
from tests.model import browser, mutants, thief
from tests.model.bounds import Bounds
from tests.model.explore import (
    Findings,
    find_break_in,
    find_shared_life,
    find_sign_out,
)
from tests.model.server import SHIPPED, Rules, Server

Search = Callable[[Rules, Bounds], Findings]

# What the client contract allows: timeout + linger + skew < W, all of it less than W/2.
BROWSERS = [
    Bounds(),
    Bounds(grace=4, skew=1),
    Bounds(grace=4, linger=2, outage=3),
    Bounds(lost_commits=2),
    # One at a time, given up for good: a longer wait will do, and a quick failover.
    Bounds(flights=1, grace=4, timeout=3, linger=3, outage=0),
]
DEEP_BROWSERS = [
    Bounds(flights=4),
    Bounds(flights=3, lost_commits=2),
    Bounds(failovers=2),
    Bounds(grace=5, timeout=2, linger=2, outage=3),
    Bounds(grace=6, timeout=2, linger=2, skew=1, lost_commits=2, outage=3),
    Bounds(grace=7, timeout=2, linger=4, outage=5),
    Bounds(grace=7, timeout=3, linger=3, outage=4),
    Bounds(grace=4, skew=1, flights=3, lost_commits=2),
]

# A thief may have all answers of the victim lost, for as long as it likes.
THEFTS = [
    Bounds(losses=None, flights=1),
    Bounds(losses=None, failovers=0),
]
DEEP_THEFTS = [
    Bounds(losses=None),
    Bounds(losses=None, flights=1, lost_commits=2),
    Bounds(losses=None, lost_commits=2),
    Bounds(losses=None, flights=1, failovers=2),
    Bounds(losses=None, flights=1, grace=4, skew=1, outage=4),
    Bounds(losses=None, failovers=0, flights=3),
    Bounds(losses=None, failovers=0, grace=4, skew=1),
    Bounds(losses=None, failovers=0, grace=5, timeout=2, linger=2),
]
# It takes two lost commits to be ahead of a victim who has gone on.
DEEP_BREAK_INS = [Bounds(losses=None, flights=1, lost_commits=2)]
ALONE = Bounds(losses=None, flights=1, failovers=0)

NAMED: dict[str, tuple[Rules, Search, Bounds]] = {
    "idempotent re-delivery": (mutants.idempotent_delivery, find_shared_life, ALONE),
    "no minimum interval": (mutants.no_minimum_interval, find_sign_out, Bounds()),
    "window not restarted": (mutants.window_not_restarted, find_sign_out, Bounds()),
    "no limit on re-rotation": (mutants.no_limit, find_shared_life, ALONE),
    "unconditional fast-forward": (
        mutants.unconditional_fast_forward,
        find_break_in,
        Bounds(losses=None, flights=1, lost_commits=2),
    ),
    "access-only confirming": (mutants.access_only_confirms, find_sign_out, Bounds()),
}
FURTHER: dict[str, tuple[Rules, Search, Bounds]] = {
    "no grace": (mutants.no_grace, find_sign_out, Bounds()),
    "lost answer is theft": (mutants.lost_answer_is_theft, find_sign_out, Bounds()),
    "confirmed is replaced": (mutants.confirmed_is_replaced, find_break_in, ALONE),
    "another digest is current": (
        mutants.another_digest_is_current,
        find_break_in,
        Bounds(losses=None, flights=1),
    ),
    "orphan is forgiven": (mutants.orphan_is_forgiven, find_shared_life, ALONE),
    "displaced is kept": (mutants.displaced_is_kept, find_sign_out, Bounds()),
    "lost commit is ahead": (mutants.lost_commit_is_ahead, find_sign_out, Bounds()),
    "shorter fast-forward": (
        mutants.shorter_fast_forward,
        find_sign_out,
        Bounds(lost_commits=2),
    ),
    "clocks agree": (mutants.clocks_agree, find_sign_out, Bounds(grace=4, skew=1)),
}


def find_nothing(search: Search, worlds: list[Bounds]) -> tuple[int, int]:
    """Look through all the worlds; return how many states and transitions there are."""
    states = transitions = 0
    for bounds in worlds:
        found = search(SHIPPED, bounds)
        assert found.story is None, bounds
        states += found.states
        transitions += found.transitions
    return states, transitions


def test_an_honest_browser_is_never_signed_out(*, deep: bool) -> None:
    """
    I-7: No lost, late, repeated or reordered message ends an honest browser's session.

    Nor does a failover that loses commits, nor do clocks that differ: as long as
    timeout + linger + skew < W, and at most three full answers in a row are lost.
    """
    worlds = BROWSERS + (DEEP_BROWSERS if deep else [])

    states, transitions = find_nothing(find_sign_out, worlds)

    figures.count("model: states of an honest browser", states)
    figures.count("model: transitions of an honest browser", transitions)


def test_thief_and_victim_never_share_a_session_for_ever(*, deep: bool) -> None:
    """I-8: However well a thief plays, no endless run refreshes both for ever."""
    worlds = THEFTS + (DEEP_THEFTS if deep else [])

    states, transitions = find_nothing(find_shared_life, worlds)

    figures.count("model: states of a theft", states)
    figures.count("model: transitions of a theft", transitions)


def test_once_locked_out_a_thief_does_not_break_in_again(*, deep: bool) -> None:
    """I-9: Once the newest token has been shown, no other yields a refresh token."""
    worlds = THEFTS + (DEEP_BREAK_INS if deep else [])

    find_nothing(find_break_in, worlds)


@pytest.mark.parametrize(
    ("rules", "search", "bounds"),
    [pytest.param(*mutant, id=name) for name, mutant in {**NAMED, **FURTHER}.items()],
)
def test_rules_with_one_thing_wrong_are_caught(
    rules: Rules, search: Search, bounds: Bounds
) -> None:
    """The model finds the story in which rules that look as good do harm."""
    found = search(rules, bounds)

    assert found.story is not None
    figures.count("model: mutants caught")


@pytest.mark.parametrize(
    ("bounds", "story"),
    [
        pytest.param(
            Bounds(grace=4, timeout=2, linger=2, outage=3),
            "SEND SERVE TICK TICK SEND DELIVER TICK TICK USE SERVE",
            id="a client that waits for W/2",
        ),
        pytest.param(
            Bounds(grace=4, timeout=3, linger=3, outage=4),
            "SEND SERVE TICK TICK TICK SEND DELIVER TICK USE SERVE",
            id="a client that waits for less than W",
        ),
        pytest.param(
            Bounds(grace=3, skew=1),
            "SEND SERVE TICK SEND DELIVER TICK USE SERVE",
            id="clocks as far apart as the contract leaves time",
        ),
        pytest.param(
            Bounds(grace=4, linger=3, outage=4),
            "SEND SERVE TICK SEND DELIVER TICK TICK TICK USE SERVE",
            id="a request taken up long after its client gave it up",
        ),
        pytest.param(
            Bounds(losses=4),
            " ".join(["SEND SERVE TICK LOSE TICK TICK"] * 4 + ["SEND SERVE"]),
            id="a fourth loss in a row",
        ),
        pytest.param(
            Bounds(outage=1),
            "SEND SEND SERVE DELIVER SEND FAIL_OVER SERVE SERVE",
            id="two in flight through a quick failover",
        ),
        pytest.param(
            Bounds(lost_commits=3),
            "SEND SERVE TICK DELIVER TICK TICK SEND SERVE TICK DELIVER TICK TICK "
            "SEND SERVE DELIVER FAIL_OVER SEND SERVE",
            id="three commits lost",
        ),
    ],
)
def test_beyond_the_contract_an_honest_browser_can_be_signed_out(
    bounds: Bounds, story: str
) -> None:
    """
    The contract asks for no more than it has to: a step further is a story that ends.

    The first is why a client waits for less than W/2: an answer is almost late, the
    next refresh starts with the old token just before it comes, and is late as well.
    """
    found = find_sign_out(SHIPPED, bounds)

    assert found.story == story.split()


@pytest.mark.parametrize("model", [browser, thief])
def test_worlds_that_are_made_the_same_go_on_the_same(model: Any) -> None:
    """Renumbering loses nothing: what follows a world follows its normal form."""
    dice = random.Random(7)  # noqa: S311 - no secret
    bounds = Bounds(losses=None, flights=1, lost_commits=2)
    server = Server(SHIPPED, grace=bounds.grace)

    def follow(world: Any) -> set[tuple[str, Any]]:
        after = model.steps(world, server, bounds)
        return {(act.name, model.normalize(step, bounds)) for act, step in after}

    for _walk in range(60):
        world = model.START
        for _step in range(40):
            assert follow(world) == follow(model.normalize(world, bounds))
            ways: dict[str, list[Any]] = {}
            for act, after in model.steps(world, server, bounds):
                ways.setdefault(act.name, []).append(after)
            # By act first: else time hardly ever passes.
            world = dice.choice(ways[dice.choice(list(ways))])
