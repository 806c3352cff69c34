"""
Worker processes, to be killed: `main` runs in a process of its own, with Django set up.

It reads a job a line, as JSON, and answers each with a line. Every job runs in a fork
of its own, with no connection and no knowledge but what it makes itself: what a real
worker is when its server starts it, without the seconds that Django takes to load.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.test.utils import setup_test_environment
from django.utils import timezone

from rotating_sessions.clients import describe_device
from tests.browsing import FIREFOX, Api
from tests.faults.aftermath import Request
from tests.faults.steps import Point, Steps


def main() -> None:
    """Answer jobs until there are no more."""
    setup_test_environment(debug=False)
    # Neither needs the database, and both load what no child has to load anew.
    Api().get("/auth/login/")
    describe_device(FIREFOX)
    for line in sys.stdin:
        print(_run_in_child(json.loads(line)), flush=True)  # noqa: T201 - to the test


def _run_in_child(job: dict[str, Any]) -> str:
    """Return the outcome of a job: an answer, or the signal that ended its process."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with os.fdopen(writer, "w") as pipe:
            json.dump(_work(job), pipe)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        outcome = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return json.dumps({"signal": os.WTERMSIG(status)})
    return outcome or json.dumps({"exit": os.waitstatus_to_exitcode(status)})


def _work(job: dict[str, Any]) -> dict[str, Any]:
    """Send the job's request, at its moment, and die where it says."""
    if job["now"]:
        now = datetime.fromisoformat(job["now"])
        timezone.now = lambda: now
    point = job["point"] and Point(**job["point"])
    with Steps(point, _die).watched() as steps:
        answer = Request(**job["request"]).send(Api())
    return {"steps": steps.taken, "answer": asdict(answer)}


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
