"""What our middleware takes by itself, of requests by a token that it knows."""

from __future__ import annotations

import gc
from statistics import median
from time import perf_counter_ns

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse

from benchmarks.beside.contenders import Contender
from rotating_sessions.middleware import RotatingSessionMiddleware

__all__ = ["measure_middleware"]

# In each round, one right after the other.
_REQUESTS = 500


def measure_middleware(contender: Contender, rounds: int) -> float:
    """Return the median of its microseconds, around a view with an answer at hand."""
    tokens, answers = contender.log_in(), [HttpResponse()]
    middleware = RotatingSessionMiddleware(lambda _request: answers.pop())
    # Which confirms the session.
    middleware(WSGIRequest(contender.ask(tokens).environ))
    microseconds = []
    for _ in range(rounds):
        asked = [WSGIRequest(contender.ask(tokens).environ) for _ in range(_REQUESTS)]
        answers.extend(HttpResponse() for _ in asked)
        gc.collect()
        gc.disable()
        began = perf_counter_ns()
        for request in asked:
            middleware(request)
        microseconds.append((perf_counter_ns() - began) / 1000 / _REQUESTS)
        gc.enable()
    return median(microseconds)
