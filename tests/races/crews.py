"""
Who races: sixteen threads, of this process or of four others.

Each thread keeps a connection of its own from race to race, and all of them wait for
each other before each.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Protocol
from uuid import UUID

import django
from django.conf import settings
from django.db import connection, connections
from django.test import override_settings

from tests.races.levels import Level, connections_at

SIZE = 16
_PROCESSES = 4
# Long, because the machine may have other things to do.
_PATIENCE = 300

Job = Callable[[], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """What the jobs of one race returned, and which sessions were announced to end."""

    answers: list[Any]
    announced: list[UUID]


class Crew(Protocol):
    """Runs SIZE jobs at one moment."""

    def race(self, jobs: Sequence[Job]) -> Race:
        """Run the jobs, whose results come in their order."""


class Threads:
    """The threads of one process; its jobs may be any callables."""

    def __init__(self, size: int = SIZE, barrier: Any = None) -> None:
        self._size = size
        self._barrier = barrier or threading.Barrier(size)
        self._pool = ThreadPoolExecutor(size)

    def race(self, jobs: Sequence[Job]) -> Race:
        """Run the jobs, one in each thread."""
        # Not at the top: a new process imports this module before Django is set up.
        from rotating_sessions.signals import session_revoked  # noqa: PLC0415
        from tests.acting import heard  # noqa: PLC0415

        with heard(session_revoked) as events:
            answers = list(self._pool.map(self._run, jobs))
        return Race(answers=answers, announced=[event["family_id"] for event in events])

    def close(self) -> None:
        """Close every thread's connection."""
        list(self._pool.map(self._run, [connections.close_all] * self._size))
        self._pool.shutdown()

    def _run(self, job: Job) -> Any:
        connection.ensure_connection()
        self._barrier.wait(timeout=_PATIENCE)
        return job()


class Processes:
    """Threads in processes of their own; their jobs have to survive pickling."""

    def __init__(self, level: Level) -> None:
        context = multiprocessing.get_context("spawn")
        # Kept, because it is gone from the system with the last reference to it here.
        self._barrier = context.Barrier(SIZE)
        name = str(connection.settings_dict["NAME"])
        self._workers = []
        for _ in range(_PROCESSES):
            ours, theirs = context.Pipe()
            arguments = (theirs, self._barrier, name, level)
            worker = context.Process(target=_work, args=arguments, daemon=True)
            worker.start()
            self._workers.append((worker, ours))

    def race(self, jobs: Sequence[Job]) -> Race:
        """Deal the jobs to the processes, so that each has some of every kind."""
        for number, (_, pipe) in enumerate(self._workers):
            pipe.send(jobs[number::_PROCESSES])
        answers: list[Any] = [None] * SIZE
        announced: list[UUID] = []
        for number, (_, pipe) in enumerate(self._workers):
            race = pipe.recv()
            answers[number::_PROCESSES] = race.answers
            announced += race.announced
        return Race(answers=answers, announced=announced)

    def close(self) -> None:
        """Let the processes end by themselves."""
        for _, pipe in self._workers:
            pipe.send(None)
        for worker, _ in self._workers:
            worker.join(_PATIENCE)


def _work(pipe: Connection, barrier: Any, database: str, level: Level) -> None:
    """Race in a process of its own, until there is nothing more to do."""
    settings.DATABASES["default"]["NAME"] = database
    django.setup()
    # Only now, for it imports models.
    from django.contrib.contenttypes.models import ContentType  # noqa: PLC0415

    from tests.races.site import SETTINGS  # noqa: PLC0415

    connections.settings["default"]["CONN_MAX_AGE"] = None
    with override_settings(**SETTINGS), connections_at(level):
        crew = Threads(SIZE // _PROCESSES, barrier)
        while (jobs := pipe.recv()) is not None:
            # Each test leaves the tables empty, and the next one fills them anew.
            ContentType.objects.clear_cache()
            pipe.send(crew.race(jobs))
        crew.close()


@contextmanager
def threads() -> Iterator[Crew]:
    crew = Threads()
    yield crew
    crew.close()


@contextmanager
def processes(level: Level) -> Iterator[Crew]:
    crew = Processes(level)
    yield crew
    crew.close()
