"""The example in gunicorn, on a free port of the loopback, on this test's database."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.browser.scenery import HOST
from tests.load.server import ServerFailed, stop

__all__ = ["serve"]

_ROOT = Path(__file__).parents[2]
_COMMAND = (
    *(sys.executable, "-m", "gunicorn", "--workers=2", "--threads=4", "--preload"),
    *("--graceful-timeout=5", "--log-level=warning", "--no-control-socket"),
    # A browser sends by itself again what it hears nothing of on a kept connection.
    "--keep-alive=0",
    "tests.browser.site:application",
)
_START_TIMEOUT = 60  # seconds, on a busy machine


@contextmanager
def serve(
    database_url: str, *, settings: str = "tests.browser.settings"
) -> Iterator[str]:
    """
    Serve the example until the block ends, at the address that this returns.

    Raises:
        ServerFailed: It did not answer in time, or has logged a fault.
    """
    # The socket is ours, and open before anybody asks: no port is guessed or lost.
    with (
        TemporaryDirectory(prefix="rotating-sessions-browser-") as folder,
        socket.create_server((HOST, 0), backlog=2048) as listener,
    ):
        log = Path(folder) / "server.log"
        environment = {
            **os.environ,
            "DATABASE_URL": database_url,
            "DJANGO_SETTINGS_MODULE": settings,
            "EXAMPLE_FILES": folder,
            "EXAMPLE_MODE": "development",
        }
        process = _start(listener.fileno(), environment, log)
        port = listener.getsockname()[1]
        try:
            _await(port, process, log)
            yield f"http://{HOST}:{port}"
        finally:
            stop(process)
        if faults := log.read_text(errors="replace"):
            raise ServerFailed(f"The server complained:\n{faults}")


def _start(
    descriptor: int, environment: dict[str, str], log: Path
) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(  # noqa: S603 - a command of our own
            (*_COMMAND, f"--bind=fd://{descriptor}"),
            cwd=_ROOT,
            env=environment,
            pass_fds=(descriptor,),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Ctrl-C is for the tests, which then stop the server in good order.
            start_new_session=True,
        )


def _await(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once it answers."""
    deadline = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/", timeout=5):
                return
        except urllib.error.HTTPError as error:
            raise ServerFailed(
                f"It answers {error.code}:\n{log.read_text()}"
            ) from error
        except OSError:
            continue
    raise ServerFailed(f"It does not answer. It wrote:\n{log.read_text()}")
