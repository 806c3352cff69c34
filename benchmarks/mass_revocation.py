"""
A mass revocation: `python -m benchmarks.mass_revocation --sessions N`.

Fills a PostgreSQL database of its own, revokes all sessions but one through the
package, and lets processes that know nothing poll: with the list bounded as it ships,
and without a bound. Each step runs in a process of its own, so that memory is its own.
"""

from __future__ import annotations

import os
import re
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any, TypeVar
from urllib.parse import urlsplit

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402 - once Django is set up
from django.db import connection  # noqa: E402
from django.test import RequestFactory  # noqa: E402
from django.utils import timezone  # noqa: E402

from benchmarks.filling import fill_ours, fill_users  # noqa: E402
from benchmarks.scratch import scratch_database  # noqa: E402
from rotating_sessions import revocations  # noqa: E402
from rotating_sessions.conf import get_conf  # noqa: E402
from rotating_sessions.models import RevokedReason, SessionFamily  # noqa: E402
from rotating_sessions.services import (  # noqa: E402
    check_not_revoked,
    revoke_sessions,
    start_session,
)
from rotating_sessions.tokens.access import AccessClaims, decode_access  # noqa: E402

_UNBOUNDED = 10**9
_POLLS = 4
_LOOKS = 1000

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """What one step took: seconds, rows read, and megabytes more than before."""

    seconds: float
    rows: int
    memory: int

    def __str__(self) -> str:
        return f"{self.rows} rows, {self.seconds:.3f} s, {self.memory} MB more"


def main() -> None:
    """Measure, and print what came of it."""
    options = _read_options()
    print(f"{options.sessions} sessions are revoked, one is live")
    with scratch_database(), _for_new_processes():
        print(_describe_surroundings())
        fill_users()
        fill_ours(ended=0, live=options.sessions, refreshes=0)
        survivor = _log_in()
        revoked = _anew(_revoke, survivor)
        print(f"revocation: {revoked.seconds:.0f} s, {revoked.memory} MB more")
        for name, limit in (
            ("bounded", revocations._LISTED),  # noqa: SLF001 - what ships
            ("unbounded", _UNBOUNDED),
        ):
            for number, step in enumerate(_anew(_poll, limit), start=1):
                print(f"{name}, poll {number} of a process: {step}")
        microseconds = _anew(_look, survivor) * 1_000_000
        print(f"look at the row of a live session: {microseconds:.0f} µs")
        print(_anew(_explain))


def _read_options() -> Namespace:
    parser = ArgumentParser(prog="benchmarks.mass_revocation")
    parser.add_argument("--sessions", type=int, default=1_000_000)
    return parser.parse_args()


def _describe_surroundings() -> str:
    load = ", ".join(f"{average:.1f}" for average in os.getloadavg())
    server = ".".join(map(str, connection.get_database_version()))
    date = timezone.now().date().isoformat()
    return f"{date}, {os.cpu_count()} cores, load {load}, PostgreSQL {server}"


@contextmanager
def _for_new_processes() -> Iterator[None]:
    """Let processes that begin now use the database of this run."""
    default = "postgres://postgres@127.0.0.1:5432/postgres"
    before = os.environ.get("DATABASE_URL", default)
    name = connection.settings_dict["NAME"]
    os.environ["DATABASE_URL"] = urlsplit(before)._replace(path=f"/{name}").geturl()
    try:
        yield
    finally:
        os.environ["DATABASE_URL"] = before


def _anew(work: Callable[..., _Result], *args: Any) -> _Result:
    """Return what the work returns in a process that knows nothing yet."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(work, args)


def _log_in() -> AccessClaims:
    request = RequestFactory().post("/", REMOTE_ADDR="203.0.113.7")
    user = get_user_model().objects.order_by("pk")[0]
    pair = start_session(request, user, transport="header")
    return decode_access(pair.access, timezone.now())


def _revoke(survivor: AccessClaims) -> _Step:
    rows = SessionFamily.objects.exclude(pk=survivor.family_id)
    return _measure(lambda: revoke_sessions(rows, reason=RevokedReason.STAFF))


def _poll(limit: int) -> list[_Step]:
    revocations._LISTED = limit  # noqa: SLF001 - to see what the bound is worth
    revocations.reset()
    now, interval = timezone.now(), get_conf().poll_interval
    moments = [now + number * interval for number in range(_POLLS)]
    return [_measure(lambda at=at: revocations.poll(at)) for at in moments]


def _look(survivor: AccessClaims) -> float:
    """Return the seconds of one look, the median of many."""
    revocations.poll(timezone.now())
    return median(
        _measure(lambda: check_not_revoked(survivor)).seconds for _ in range(_LOOKS)
    )


def _explain() -> str:
    """Return how PostgreSQL carries the first poll of a process out."""
    plans = []

    def note(execute: Any, sql: str, params: Any, *args: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {sql}", params)
            plans.extend(line for (line,) in cursor.fetchall())
        return execute(sql, params, *args)

    with connection.execute_wrapper(note):
        revocations.poll(timezone.now())
    return "\n".join(plans)


def _measure(work: Callable[[], object]) -> _Step:
    """Do the work, on a connection that is open, and tell what it took."""
    connection.ensure_connection()
    read = 0

    def count(execute: Any, sql: str, *args: Any) -> Any:
        nonlocal read
        result = execute(sql, *args)
        if sql.startswith("SELECT"):
            read += max(args[-1]["cursor"].rowcount, 0)
        return result

    before = _memory()
    began = time.perf_counter()
    with connection.execute_wrapper(count):
        work()
    seconds = time.perf_counter() - began
    return _Step(seconds=seconds, rows=read, memory=_memory() - before)


def _memory() -> int:
    """Return the most memory that this process has had so far, in megabytes."""
    # Of Linux, because `getrusage` begins with what the parent had.
    [line] = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(line) // 1024


if __name__ == "__main__":
    main()
