"""
Purge beside simplejwt's flushexpiredtokens: `python -m benchmarks.purge --sessions N`.

Fills both with the same sessions in a PostgreSQL database of its own, purges them one
after the other, and prints what it measured. The refreshes that are gone per second are
compared: each leaves one row here, and two with simplejwt.
"""

from __future__ import annotations

import os
import resource
import time
from argparse import ArgumentParser, Namespace

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
django.setup()

from django.core.management import call_command  # noqa: E402 - once Django is set up

from benchmarks.filling import (  # noqa: E402
    Sessions,
    fill_ours,
    fill_theirs,
    fill_users,
)
from benchmarks.live import LiveSession, describe_latency  # noqa: E402
from benchmarks.scratch import scratch_database  # noqa: E402
from rotating_sessions.services import PurgeCount, purge_sessions  # noqa: E402

_ALONE = 5  # seconds


def main() -> None:
    """Measure, and print what came of it."""
    options = _read_options()
    live = options.sessions // 4
    sessions = Sessions(ended=options.sessions, live=live, refreshes=options.refreshes)
    gone = options.sessions * options.refreshes
    print(
        f"{options.sessions} ended and {live} live sessions, {gone} refreshes to purge"
    )
    with scratch_database():
        fill_users()
        fill_ours(sessions)
        ours = _measure_ours()
        print(f"purge: {ours:.1f} s, {gone / ours:.0f} refreshes/s")
        fill_theirs(sessions)
        theirs = _measure_theirs()
        print(f"flushexpiredtokens: {theirs:.1f} s, {gone / theirs:.0f} refreshes/s")
        print(f"ratio: {theirs / ours:.1f}")


def _read_options() -> Namespace:
    parser = ArgumentParser(prog="benchmarks.purge")
    parser.add_argument("--sessions", type=int, default=20_000, help="ended sessions")
    parser.add_argument("--refreshes", type=int, default=20, help="of each session")
    return parser.parse_args()


def _measure_ours() -> float:
    with LiveSession() as alone:
        time.sleep(_ALONE)
    before, longest, total = _memory(), 0.0, PurgeCount()
    with LiveSession() as beside:
        began = last = time.monotonic()
        for count in purge_sessions():
            now = time.monotonic()
            longest, last, total = max(longest, now - last), now, total + count
        seconds = time.monotonic() - began
    print(f"purged: {total.families} sessions, {total.tokens} token records")
    print(f"longest batch, the read before it included: {longest:.2f} s")
    print(f"memory: {before} MB before, {_memory()} MB at most")
    print(f"a live session's refresh alone: {describe_latency(alone.seconds)}")
    print(f"a live session's refresh beside: {describe_latency(beside.seconds)}")
    return seconds


def _measure_theirs() -> float:
    began = time.monotonic()
    call_command("flushexpiredtokens", skip_checks=True)
    seconds = time.monotonic() - began
    print(f"memory with flushexpiredtokens: {_memory()} MB at most")
    return seconds


def _memory() -> int:
    """Return the most memory that the process has had so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
