"""The test's side of `worker`: give it jobs, and hear what became of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.utils import timezone

from tests.faults.aftermath import Answer, Request
from tests.faults.elsewhere import database_url
from tests.faults.steps import Point

_ROOT = Path(__file__).parents[2]
_START = "import django; django.setup(); from tests.faults.{0} import main; main()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a job: its steps and answer, or the signal that ended it."""

    signal: int | None = None
    steps: tuple[str, ...] = ()
    answer: Answer | None = None


class Crew:
    """A process whose forks do the work of a server's workers."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def work(self, request: Request, *, dying_at: Point | None = None) -> Outcome:
        """Let a worker answer a request at the time it is now, or die over it."""
        point = None if dying_at is None else asdict(dying_at)
        job = {
            "now": timezone.now().isoformat(),
            "request": asdict(request),
            "point": point,
        }
        result = self._ask(job)
        if "signal" in result:
            return Outcome(signal=result["signal"])
        answer = Answer(**result["answer"])
        return Outcome(steps=tuple(result["steps"]), answer=answer)

    def _ask(self, job: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextmanager
def hired() -> Iterator[Crew]:
    """Run a crew while the context lasts."""
    with started("worker") as process:
        yield Crew(process)


@contextmanager
def started(module: str) -> Iterator[subprocess.Popen[str]]:
    """Run the `main` of a module here on this test's database, until its input ends."""
    environment = {
        **os.environ,
        "DATABASE_URL": database_url(),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    with subprocess.Popen(  # noqa: S603 - this very Python
        [sys.executable, "-c", _START.format(module)],
        cwd=_ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()
