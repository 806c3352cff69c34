"""Walk through every state that can be reached, and look for what must not be there."""

from __future__ import annotations

from collections import deque

from tests.model import browser, thief
from tests.model.server import Decide
from tests.model.thief import Act

__all__ = ["Graph", "find_coexistence", "find_false_revocation"]

Graph = dict[thief.Theft, list[tuple[Act, thief.Theft]]]

# A run in which both go on for ever needs time to pass and requests of both.
_LIFE = {Act.TICK, Act.VICTIM_REQUEST, Act.THIEF_REQUEST}


def find_false_revocation(
    decide: Decide, limit: int | None = None
) -> tuple[list[browser.Browser], int]:
    """
    Return the shortest story in which an honest browser is logged out, and the states.

    The story is empty where there is none. `limit` bounds the states looked at.
    """
    came_from: dict[browser.Browser, browser.Browser | None] = {browser.START: None}
    queue = deque([browser.START])
    while queue and (limit is None or len(came_from) < limit):
        world = queue.popleft()
        for step in browser.steps(world, decide):
            after = browser.normalize(step)
            if after in came_from:
                continue
            came_from[after] = world
            if after.row.revoked:
                return _story(after, came_from), len(came_from)
            queue.append(after)
    return [], len(came_from)


def find_coexistence(
    decide: Decide, limit: int | None = None
) -> tuple[set[thief.Theft], int]:
    """
    Return states that thief and victim can share for ever, and how many states exist.

    They are a strongly connected part of the graph in which time passes and both make
    authenticated requests; empty where there is none.
    """
    graph = _reach(decide, limit)
    for part in _strong_parts(graph):
        acts = {act for world in part for act, after in graph[world] if after in part}
        if acts >= _LIFE:
            return part, len(graph)
    return set(), len(graph)


def _story(
    last: browser.Browser, came_from: dict[browser.Browser, browser.Browser | None]
) -> list[browser.Browser]:
    story = [last]
    while (before := came_from[story[-1]]) is not None:
        story.append(before)
    return story[::-1]


def _reach(decide: Decide, limit: int | None) -> Graph:
    graph: Graph = {}
    queue = deque([thief.START])
    while queue and (limit is None or len(graph) < limit):
        world = queue.popleft()
        if world not in graph:
            graph[world] = list(thief.steps(world, decide))
            queue.extend(after for _act, after in graph[world])
    return graph


def _strong_parts(graph: Graph) -> list[set[thief.Theft]]:
    """Return the strongly connected parts, by Kosaraju's algorithm, not recursive."""
    order: list[thief.Theft] = []
    seen: set[thief.Theft] = set()
    for root in graph:
        stack = [(root, False)]
        while stack:
            world, done = stack.pop()
            if done:
                order.append(world)
            elif world not in seen:
                seen.add(world)
                stack.append((world, True))
                stack += [(after, False) for _act, after in graph.get(world, ())]
    backwards: dict[thief.Theft, list[thief.Theft]] = {}
    for world, edges in graph.items():
        for _act, after in edges:
            backwards.setdefault(after, []).append(world)
    parts: list[set[thief.Theft]] = []
    seen.clear()
    for root in reversed(order):
        part: set[thief.Theft] = set()
        pile = [root]
        while pile:
            world = pile.pop()
            if world not in seen and world in graph:
                seen.add(world)
                part.add(world)
                pile += backwards.get(world, [])
        parts.append(part)
    return parts
