"""Rounds in which each contender has its turn, so that load of the machine hits all."""

from __future__ import annotations

import gc
from collections import defaultdict
from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Any

from django.db import connection
from django.http import HttpResponseBase

from benchmarks.beside.application import Call
from benchmarks.beside.contenders import Contender, Tokens

__all__ = [
    "FIRST",
    "OPERATIONS",
    "REFRESH",
    "REPEATED",
    "REPLAY",
    "UNREAD",
    "Turns",
    "measure",
]

REPEATED = "request, repeated token"
UNREAD = "request, token not read before"
FIRST = "request, token first seen"
REFRESH = "refresh"
REPLAY = "replay of a superseded token"
OPERATIONS = (REPEATED, UNREAD, FIRST, REFRESH, REPLAY)

# Requests by the same token in each turn.
_REPEATS = 10


class Turns:
    """The turns of one contender: the time and the queries of each operation."""

    def __init__(self, contender: Contender) -> None:
        """Log in, warm up, and count the queries while nothing is measured."""
        self.contender = contender
        self.microseconds: dict[str, list[float]] = defaultdict(list)
        self.queries: dict[str, int] = {}
        self._executed = 0
        self._tokens = contender.log_in()
        self.take()
        with connection.execute_wrapper(self._count):
            self.take()
        self.microseconds.clear()

    def take(self) -> None:
        """Do everything that the contender can, and keep how long it took."""
        tokens = self._tokens
        for _ in range(_REPEATS):
            self._ask(REPEATED, tokens)
        self.contender.forget()
        self._ask(UNREAD, tokens)
        if self.contender.refreshes:
            answer = self._time(REFRESH, self.contender.refresh(tokens))
            tokens = self.contender.read(answer, tokens.user_pk)
        else:
            tokens = self.contender.log_in()
        self._ask(FIRST, tokens)
        self._tokens = tokens
        if self.contender.refreshes:
            self._replay()

    def _replay(self) -> None:
        """Let a thief come with the first token of a session that has had three."""
        stolen = tokens = self.contender.log_in()
        for _ in range(2):
            tokens = self.contender.refreshed(tokens)
        self._time(REPLAY, self.contender.replay(stolen))
        is_over = self.contender.detects_theft
        then = self.contender.replay if is_over else self.contender.refresh
        self.contender.send(then(tokens))

    def _ask(self, operation: str, tokens: Tokens) -> None:
        answer = self._time(operation, self.contender.ask(tokens))
        self.contender.verify(answer, tokens)

    def _time(self, operation: str, call: Call) -> HttpResponseBase:
        executed, began = self._executed, perf_counter_ns()
        answer = self.contender.send(call)
        self.microseconds[operation].append((perf_counter_ns() - began) / 1000)
        # Nobody counts while it is measured: the highest is of the turn before.
        counted = self._executed - executed
        self.queries[operation] = max(counted, self.queries.get(operation, 0))
        return answer

    def _count(self, execute: Callable[..., Any], *args: Any) -> Any:
        self._executed += 1
        return execute(*args)


def measure(contenders: Sequence[Contender], rounds: int) -> list[Turns]:
    """
    Measure all contenders in turns.

    Each round begins with the next one, so that nobody always runs after the same.
    Garbage is collected between the rounds, and not during them.
    """
    turns = [Turns(contender) for contender in contenders]
    gc.collect()
    gc.freeze()
    gc.disable()
    for number in range(rounds):
        start = number % len(turns)
        for each in turns[start:] + turns[:start]:
            each.take()
        gc.collect()
    gc.enable()
    return turns
