"""Honest clients and thieves of a server, while something strikes it over and over."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from subprocess import Popen
from typing import Any

from tests.browsing import Api
from tests.faults.aftermath import (
    Answer,
    Honest,
    Request,
    assert_ended,
    carries_on,
    newcomer,
    theft_is_caught,
)
from tests.faults.crew import started
from tests.faults.tempo import GRACE_PERIOD
from tests.figures import count

_CLIENTS = 4
_THIEVES = 4


class Fleet:
    """A server of several workers, in processes of their own."""

    def __init__(self, process: Popen[str]) -> None:
        assert process.stdout is not None
        self._lines = process.stdout
        self.port = int(self._lines.readline())
        self._workers: list[int] = []
        threading.Thread(target=self._read, daemon=True).start()

    def kill_one(self) -> None:
        """Kill one of the workers that are alive, as soon as there is one."""
        while not self._workers:
            time.sleep(0.001)
        worker = self._workers.pop(random.randrange(len(self._workers)))  # noqa: S311
        os.kill(worker, signal.SIGKILL)

    def call(self, request: Request) -> Answer | None:
        """Send a request, and return the answer, or None where it was lost."""
        line = HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Host": "testserver", "Content-Type": "application/json"}
        if request.access:
            headers["Authorization"] = f"Bearer {request.access}"
        body = None if request.body is None else json.dumps(request.body)
        try:
            line.request("GET" if body is None else "POST", request.path, body, headers)
            response = line.getresponse()
            text = response.read()
        except (OSError, HTTPException):
            return None
        finally:
            line.close()
        # A worker that died over its answer may have sent the beginning of it.
        if len(text) != int(response.headers.get("Content-Length", "-1")):
            return None
        body = json.loads(text)
        return Answer(status=response.status, body=body, headers=dict(response.headers))

    def _read(self) -> None:
        for line in self._lines:
            self._workers.append(int(line))


@contextmanager
def fleet() -> Iterator[Fleet]:
    """Run a server on this test's database while the context lasts."""
    with started("fleet") as process:
        yield Fleet(process)


def wait() -> None:
    """Let a grace period pass."""
    time.sleep(GRACE_PERIOD.total_seconds())


def stolen(rf: Any) -> tuple[Honest, Request]:
    """Return a client, and a request with a token that was superseded and confirmed."""
    client = newcomer(rf)
    client.refreshes()
    client.visits.send(Api())
    wait()
    return client, Request(
        path="/auth/refresh/", body={"refresh": client.superseded[-1]}
    )


def withstand(
    target: Fleet, rf: Any, strike: Callable[[], None], *, times: int
) -> None:
    """Strike so often while clients refresh and thieves try, and look what is left."""
    heard: Counter[object] = Counter()
    clients = [newcomer(rf) for _ in range(_CLIENTS)]
    thefts = [stolen(rf) for _ in range(_THIEVES)]
    over = threading.Event()
    threads = [
        *(
            threading.Thread(target=_live, args=(target, client, over, heard))
            for client in clients
        ),
        threading.Thread(
            target=_steal, args=(target, [request for _, request in thefts], heard)
        ),
    ]
    for thread in threads:
        thread.start()
    try:
        for _ in range(times):
            _watch_a_while(heard)
            strike()
    finally:
        over.set()
        for thread in threads:
            thread.join()

    # What honest clients and thieves were told, and nothing else.
    assert heard.keys() <= {"lost", 503, 200, "theft refused"}, heard
    assert heard["theft refused"] == _THIEVES, heard
    count("answers lost on the way", heard["lost"])
    count("answers of 503", heard[503])
    count("requests answered under fire", heard[200])
    for client, _ in thefts:
        assert_ended(client, "reused")
        count("thefts caught after a fault")
    for client in clients:
        carries_on(client, wait)
        theft_is_caught(client, wait)


def _watch_a_while(heard: Counter[object]) -> None:
    """Let some requests pass and then a moment, to strike in the middle of one."""
    enough = heard.total() + random.randint(3, 12)  # noqa: S311 - no secret
    while heard.total() < enough:
        time.sleep(0.001)
    time.sleep(random.uniform(0, 0.02))  # noqa: S311 - no secret


def _live(
    target: Fleet, client: Honest, over: threading.Event, heard: Counter[object]
) -> None:
    """Refresh and visit; where there is no answer, come again with the same token."""
    while not over.is_set():
        answer = target.call(client.asks)
        heard[_outcome(answer)] += 1
        if answer is None or answer.status != 200:
            time.sleep(0.02)
            continue
        client.take(answer)
        visit = target.call(client.visits)
        heard[_outcome(visit)] += 1


def _steal(target: Fleet, requests: list[Request], heard: Counter[object]) -> None:
    """Present each stolen token until it is answered."""
    for request in requests:
        answer = None
        while answer is None or answer.status == 503:
            answer = target.call(request)
            time.sleep(0.02)
        refused = answer.code == (401, "session_ended")
        heard["theft refused" if refused else ("theft", answer.code)] += 1


def _outcome(answer: Answer | None) -> object:
    """Return what counts of an answer: its status, or all of it if it is a surprise."""
    if answer is None:
        return "lost"
    return answer.status if answer.status in {200, 503} else answer.code
