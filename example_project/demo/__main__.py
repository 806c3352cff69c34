"""Play the whole story over HTTP: `python -m example_project.demo [--once]`."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from typing import NoReturn

from example_project.demo.endings import end
from example_project.demo.pages import browse
from example_project.demo.rotation import rotate
from example_project.demo.scenery import ACCESS_LIFETIME, GRACE_PERIOD
from example_project.demo.server import Server, ServerFailed, serve_example
from example_project.demo.telling import Story, Unexpected
from example_project.logins import LOGINS

# What the example's settings read: short spans, so that hours pass in moments, and one
# trusted proxy, so that clients can come from different addresses.
_SETTINGS = {
    "EXAMPLE_ACCESS_LIFETIME": str(ACCESS_LIFETIME),
    "EXAMPLE_RECENT_LOGIN": "30",
    "EXAMPLE_GRACE_PERIOD": str(GRACE_PERIOD),
    "EXAMPLE_POLL_INTERVAL": "0.5",
    "EXAMPLE_PROXIES": "1",
}


def main() -> int:
    """Return the exit status: 0 where every step went as it must."""
    parser = argparse.ArgumentParser(
        prog="python -m example_project.demo", description="Play the whole story."
    )
    parser.add_argument(
        "--once", action="store_true", help="exit after the story, instead of serving"
    )
    once = parser.parse_args().once
    # A terminal that cannot show a character shows another, and each line at once.
    sys.stdout.reconfigure(errors="replace", line_buffering=True)
    signal.signal(signal.SIGTERM, _stop)
    # A shell starts what it puts in the background deaf to Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return _run(once=once)
    except (ServerFailed, Unexpected) as error:
        print(error)
        print("\nThe demo failed.")
        return 1
    except KeyboardInterrupt:
        print("\nStopped.")
        return 130


def _stop(_number: int, _frame: object) -> NoReturn:
    """Leave in an orderly way when the system asks for it."""
    sys.exit(143)


def _run(*, once: bool) -> int:
    print("Preparing a new database and starting the example …")
    with serve_example(_SETTINGS) as server:
        print(f"The example is at {server.address}")
        print(
            f"So that it takes seconds, an access token lives {ACCESS_LIFETIME} s here "
            f"(else 30 min), and the\ngrace period W is {GRACE_PERIOD} s (else 60 s)."
        )
        story, started = Story(), time.monotonic()
        for chapters in (rotate, end, browse):
            chapters(story, server.port)
        print(
            f"\nAll {story.steps} steps went as they must: {story.facts} facts checked "
            f"in {time.monotonic() - started:.0f} s."
        )
        if once:
            return 0
        return _serve(server)


def _serve(server: Server) -> int:
    print(f"\nThe example goes on serving at {server.address}\n")
    for login in LOGINS:
        place = f"{server.address}{'admin/' if login.is_staff else 'sign-in/'}"
        print(f"    {login.username:<7}{login.password:<19}{place}")
    print(f"\n    The mails that it sends:  {server.address}mails/")
    print("\nCtrl-C stops it and removes its database.")
    try:
        server.wait()
    except KeyboardInterrupt:
        print("\nStopped.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
