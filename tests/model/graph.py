"""Every world that can be reached, each looked at once, and how they hang together."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

__all__ = ["Edge", "Graph", "find_cycle_with", "name_acts"]

World = TypeVar("World", bound=Hashable)
Story = list[tuple[Enum, World]]


class Edge(NamedTuple):
    """What leads from one world, by its number, to another."""

    before: int
    act: Enum
    after: int


class Graph(Generic[World]):
    """Worlds by number, in the order found: breadth first, so stories are shortest."""

    def __init__(
        self, start: World, steps: Callable[[World], Iterable[tuple[Enum, World]]]
    ) -> None:
        self.worlds = [start]
        self.transitions = 0
        self._parents: list[tuple[int, Enum | None]] = [(0, None)]
        self._numbers = {start: 0}
        self._steps = steps

    def grow(self) -> Iterator[Edge]:
        """Walk on to worlds not seen yet; yield every transition once."""
        queue = deque([0])
        while queue:
            before = queue.popleft()
            for act, world in self._steps(self.worlds[before]):
                after = self._numbers.setdefault(world, len(self.worlds))
                if after == len(self.worlds):
                    self.worlds.append(world)
                    self._parents.append((before, act))
                    queue.append(after)
                self.transitions += 1
                yield Edge(before, act, after)

    def story(self, edge: Edge) -> Story[World]:
        """Return the shortest way to an edge and over it, each step with its act."""
        story = [(edge.act, self.worlds[edge.after])]
        before, act = edge.before, self._parents[edge.before][1]
        while act is not None:
            story.append((act, self.worlds[before]))
            before = self._parents[before][0]
            act = self._parents[before][1]
        return story[::-1]


def name_acts(story: Story[World]) -> list[str]:
    """Return the acts of a story by their names."""
    return [act.name for act, _world in story]


def find_cycle_with(wanted: set[Enum], edges: list[Edge], size: int) -> Edge | None:
    """
    Return the first edge of an endless run in which each of the wanted acts recurs.

    Such a run there is where a strongly connected part has all of them within.
    """
    after: list[array[int]] = [array("l") for _ in range(size)]
    for edge in edges:
        after[edge.before].append(edge.after)
    parts = _number_parts(after)
    within: dict[int, set[Enum]] = {}
    for edge in edges:
        if parts[edge.before] == parts[edge.after]:
            within.setdefault(parts[edge.before], set()).add(edge.act)
    for edge in edges:
        part = parts[edge.before]
        if part == parts[edge.after] and within[part] >= wanted:
            return edge
    return None


def _number_parts(after: list[array[int]]) -> list[int]:
    """Return for each vertex its strongly connected part: Tarjan's, not recursive."""
    unseen = -1
    found, low, parts = ([unseen] * len(after) for _ in range(3))
    pile: list[int] = []
    counter = 0
    for root in range(len(after)):
        work = [(root, 0)] if found[root] == unseen else []
        while work:
            vertex, position = work.pop()
            if position == 0:
                found[vertex] = low[vertex] = counter
                counter += 1
                pile.append(vertex)
            else:
                child = after[vertex][position - 1]
                low[vertex] = min(low[vertex], low[child])
            while position < len(after[vertex]):
                child = after[vertex][position]
                position += 1
                if found[child] == unseen:
                    work += [(vertex, position), (child, 0)]
                    break
                if parts[child] == unseen:
                    low[vertex] = min(low[vertex], found[child])
            else:
                while low[vertex] == found[vertex] and parts[vertex] == unseen:
                    parts[pile.pop()] = vertex
    return parts
