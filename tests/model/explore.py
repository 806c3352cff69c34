"""Look for the stories that must not happen, in every world that can be reached."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

from tests.model import browser, thief
from tests.model.bounds import Bounds
from tests.model.browser import Act, Browser
from tests.model.graph import Edge, Graph, find_cycle_with, name_acts
from tests.model.server import Rules, Server
from tests.model.thief import Deed, Theft

__all__ = ["Findings", "find_break_in", "find_shared_life", "find_sign_out"]

# Most steps of neighbours lead to the same worlds.
_REMEMBERED = 1 << 18

# What recurs in a run that goes on for ever, and for both.
_SHARED_LIFE: set[Enum] = {Act.TICK, Act.DELIVER, Deed.REFRESH}


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """
    How much was looked at, and the shortest story found: the names of its acts.

    Without a story there is none, and all there is was looked at.
    """

    states: int
    transitions: int
    story: list[str] | None = None


def find_sign_out(rules: Rules, bounds: Bounds) -> Findings:
    """Look for a story at whose end an honest browser is signed out."""
    server = Server(rules, grace=bounds.grace)

    @lru_cache(_REMEMBERED)
    def normalize(world: Browser) -> Browser:
        return browser.normalize(world, bounds)

    def steps(world: Browser) -> Iterator[tuple[Act, Browser]]:
        for act, after in browser.steps(world, server, bounds):
            yield act, normalize(after)

    graph = Graph(browser.START, steps)
    for edge in graph.grow():
        if graph.worlds[edge.after].signed_out:
            return _report(graph, edge)
    return _report(graph, None)


def find_break_in(rules: Rules, bounds: Bounds) -> Findings:
    """Look for a story at whose end a thief breaks in though locked out."""
    graph = _follow_theft(rules, bounds)
    for edge in graph.grow():
        if edge.act is Deed.BREAK_IN:
            return _report(graph, edge)
    return _report(graph, None)


def find_shared_life(rules: Rules, bounds: Bounds) -> Findings:
    """Look for the story with which thief and victim begin to share a life for ever."""
    graph = _follow_theft(rules, bounds)
    # A thief who breaks in is answered as well.
    edges = [
        edge._replace(act=Deed.REFRESH) if edge.act is Deed.BREAK_IN else edge
        for edge in graph.grow()
    ]
    return _report(graph, find_cycle_with(_SHARED_LIFE, edges, len(graph.worlds)))


def _follow_theft(rules: Rules, bounds: Bounds) -> Graph[Theft]:
    server = Server(rules, grace=bounds.grace)

    @lru_cache(_REMEMBERED)
    def normalize(world: Theft) -> Theft:
        return thief.normalize(world, bounds)

    def steps(world: Theft) -> Iterator[tuple[Enum, Theft]]:
        for act, after in thief.steps(world, server, bounds):
            yield act, normalize(after)

    return Graph(thief.START, steps)


def _report(graph: Graph[Any], last: Edge | None) -> Findings:
    return Findings(
        states=len(graph.worlds),
        transitions=graph.transitions,
        story=None if last is None else name_acts(graph.story(last)),
    )
