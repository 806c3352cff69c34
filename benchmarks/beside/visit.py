"""What a refresh and its confirmation add to a session of many requests."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter_ns

from benchmarks.beside.application import Call, get
from benchmarks.beside.contenders import Contender, Tokens

__all__ = ["Visit", "format_visits", "measure_visits"]

# One each six seconds, for as long as an access token lives.
_REQUESTS = 300

# What each request is answered by.
_VIEWS = {
    "nothing": "/guarded/ours/",
    "one query": "/guarded/ours-query/",
    "request.user": "/guarded/ours-user/",
    "DRF: request.user, and 20 rows of a query": "/guarded/ours-page/",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """
    A session of 300 requests for one view, in milliseconds; each a median.

    `requests` is all of them with a token that was seen before; `refresh` and
    `confirmation` what a refresh takes, and the request after it over any other one.
    `whole` is measured by itself: all of it, with the refresh after half of them.
    """

    view: str
    requests: float
    refresh: float
    confirmation: float
    whole: float

    @property
    def share(self) -> float:
        """Return the share of refresh and confirmation in the whole of their sum."""
        added = self.refresh + self.confirmation
        return added / (self.requests + added)


def measure_visits(contender: Contender, rounds: int) -> list[Visit]:
    """Return a visit to each view: without and with a refresh, in turns."""
    gc.collect()
    gc.disable()
    visits = [_measure(contender, view, rounds) for view in _VIEWS]
    gc.enable()
    return visits


def format_visits(visits: Sequence[Visit]) -> str:
    """Return the visits as a table in Markdown."""
    head = f"each of {_REQUESTS} requests does | ms without a refresh | refresh"
    lines = [
        f"| {head} | confirmation | their share | ms with a refresh |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {each.view} | {each.requests:,.1f} | {each.refresh:.2f} "
        f"| {each.confirmation:.2f} | {each.share:.2%} | {each.whole:,.1f} |"
        for each in visits
    ]
    return "\n".join(lines)


def _measure(contender: Contender, view: str, rounds: int) -> Visit:
    path, tokens = _VIEWS[view], contender.log_in()
    contender.send(_ask(path, tokens))
    without, refreshes, confirmations, whole = [], [], [], []
    for _ in range(rounds):
        times = list(_time(contender, path, tokens, _REQUESTS))
        without.append(sum(times))
        first_half = list(_time(contender, path, tokens, _REQUESTS // 2))
        began = perf_counter_ns()
        answer = contender.send(contender.refresh(tokens))
        refreshes.append((perf_counter_ns() - began) / 1e6)
        tokens = contender.read(answer, tokens.user_pk)
        second_half = list(_time(contender, path, tokens, _REQUESTS // 2))
        confirmations.append(second_half[0] - median(second_half))
        whole.append(sum(first_half) + refreshes[-1] + sum(second_half))
        gc.collect()
    return Visit(
        view=view,
        requests=median(without),
        refresh=median(refreshes),
        confirmation=median(confirmations),
        whole=median(whole),
    )


def _time(
    contender: Contender, path: str, tokens: Tokens, requests: int
) -> Iterator[float]:
    """Yield how long each of so many requests takes, in milliseconds."""
    for call in [_ask(path, tokens) for _ in range(requests)]:
        began = perf_counter_ns()
        contender.send(call)
        yield (perf_counter_ns() - began) / 1e6


def _ask(path: str, tokens: Tokens) -> Call:
    return get(path, {"Authorization": f"Bearer {tokens.access}"})
