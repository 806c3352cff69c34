"""One run: a database, a server, the sessions, and the verdict."""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
from time import monotonic
from typing import NoReturn

from rotating_sessions.transports import COOKIE, HEADER
from tests.load.client import Client
from tests.load.database import audit, create_users, own_database
from tests.load.report import compare, tell
from tests.load.scenery import HOST, home_of
from tests.load.server import Server, ServerFailed, serve
from tests.load.tally import Tally
from tests.load.visits import Session
from tests.load.wallet import Wallet
from tests.load.wire import Wire

__all__ = ["main"]

_DEVICES_OF_A_USER = 3
# Seconds that logins and the last visits may take, beside those that were asked for.
_OVERTIME = 600
_NEWS = 15  # seconds between two lines of progress


def main() -> int:
    """Return the exit status: 0 where nothing happened that must not."""
    options = _read_options()
    # A terminal that cannot show a character shows another, and each line at once.
    sys.stdout.reconfigure(errors="replace", line_buffering=True)
    signal.signal(signal.SIGTERM, _stop)
    # A shell starts what it puts in the background deaf to Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return _run(options)
    except ServerFailed as error:
        print(f"{error}\nThe server failed.")
        return 1
    except KeyboardInterrupt:
        print("\nStopped.")
        return 130


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.load", description="Put a site under load."
    )
    parser.add_argument("--deep", action="store_true", help="run for minutes")
    parser.add_argument("--sessions", type=int, help="at a time (150; deep: 2000)")
    parser.add_argument("--seconds", type=int, help="of new visits (15; deep: 300)")
    parser.add_argument("--visits", type=float, default=12, help="a second (12)")
    parser.add_argument("--workers", type=int, default=2, help="of gunicorn (2)")
    parser.add_argument("--seed", type=int, default=1, help="of what happens (1)")
    options = parser.parse_args()
    options.sessions = options.sessions or (2000 if options.deep else 150)
    options.seconds = options.seconds or (300 if options.deep else 15)
    return options


def _stop(_number: int, _frame: object) -> NoReturn:
    """Leave in an orderly way when the system asks for it."""
    sys.exit(143)


def _run(options: argparse.Namespace) -> int:
    tally = Tally()
    print("Preparing a new database and starting the site …")
    with own_database():
        names = [f"user{n // _DEVICES_OF_A_USER}" for n in range(options.sessions)]
        create_users(set(names))
        with serve(options.workers) as server:
            print(f"The site is at http://{HOST}:{server.port}/")
            seconds = asyncio.run(_drive(server, names, options, tally))
            if server.has_stopped():
                raise ServerFailed(f"It stopped. It wrote:\n{server.tail()}")
            log = server.tail()
        found = audit()
    compare(tally, found)
    tell(tally, found, sessions=options.sessions, seconds=seconds)
    if not tally.faults:
        print("\nNothing happened that must not.")
        return 0
    print(f"\nThe run failed.{log and ' The server wrote:'}\n{log}".rstrip())
    return 1


async def _drive(
    server: Server, names: list[str], options: argparse.Namespace, tally: Tally
) -> float:
    """Let all sessions log in and then live; return how many seconds it took."""
    chance = random.Random(options.seed)  # noqa: S311 - no secret depends on it
    wire = Wire(server.port, tally, at_once=server.threads)
    sessions = [
        Session(
            number,
            Client(
                wire,
                tally,
                user=name,
                address=home_of(number, 0),
                wallet=Wallet(transport=(HEADER, COOKIE)[number % 2]),
            ),
            wire.turn,
            random.Random(chance.random()),  # noqa: S311 - as above
            tally,
        )
        for number, name in enumerate(names)
    ]
    started = monotonic()
    news = asyncio.create_task(_tell_news(tally))
    try:
        async with asyncio.timeout(options.seconds + _OVERTIME):
            await _log_in(sessions)
            until = monotonic() + options.seconds
            pause = options.sessions / options.visits
            await asyncio.gather(*(session.live(until, pause) for session in sessions))
    except TimeoutError as error:
        raise ServerFailed("The visits came to no end.") from error
    finally:
        news.cancel()
    return monotonic() - started


async def _log_in(sessions: list[Session]) -> None:
    started = monotonic()
    await asyncio.gather(*(session.log_in() for session in sessions))
    print(f"{len(sessions):,} logged in, in {monotonic() - started:.0f} s.")


async def _tell_news(tally: Tally) -> None:
    """Print now and then how it goes, until cancelled."""
    started = monotonic()
    while True:
        await asyncio.sleep(_NEWS)
        print(
            f"{monotonic() - started:5.0f} s: {len(tally.requests):,} requests, "
            f"{tally.full + tally.access_only:,} refreshes, {tally.thefts:,} thefts, "
            f"{tally.faults.total():,} faults"
        )
