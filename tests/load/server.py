"""The site in gunicorn, on a free port of the loopback, for as long as a run takes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.load.scenery import HOST

__all__ = ["Server", "ServerFailed", "serve", "stop"]

_ROOT = Path(__file__).resolve().parent.parent.parent
_THREADS = 4  # in each worker
_START_TIMEOUT = 60  # seconds, on a busy machine
_STOP_TIMEOUT = 10  # seconds


class ServerFailed(Exception):
    """The server did not start, or stopped by itself: the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server, and what it wrote."""

    port: int
    threads: int
    process: subprocess.Popen[bytes]
    log: Path

    def has_stopped(self) -> bool:
        """Tell whether it is gone."""
        return self.process.poll() is not None

    def tail(self) -> str:
        """Return the last lines that it wrote."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-40:])


@contextmanager
def serve(workers: int) -> Iterator[Server]:
    """
    Serve the site until the block ends.

    Args:
        workers: How many processes.

    Raises:
        ServerFailed: It did not answer in time.
    """
    # The socket is ours, and open before anybody asks: no port is guessed or lost.
    with (
        TemporaryDirectory(prefix="rotating-sessions-load-") as folder,
        socket.create_server((HOST, 0), backlog=2048) as listener,
    ):
        log = Path(folder) / "server.log"
        port = listener.getsockname()[1]
        process = _start(listener.fileno(), workers, log)
        try:
            threads = workers * _THREADS
            server = Server(port=port, threads=threads, process=process, log=log)
            _await(server)
            yield server
        finally:
            stop(process)


def _start(descriptor: int, workers: int, log: Path) -> subprocess.Popen[bytes]:
    command = (
        sys.executable,
        "-m",
        "gunicorn",
        f"--bind=fd://{descriptor}",
        f"--workers={workers}",
        f"--threads={_THREADS}",
        "--backlog=2048",
        "--graceful-timeout=5",
        "--log-level=warning",
        "--no-control-socket",
        "--preload",
        "django.core.wsgi:get_wsgi_application()",
    )
    with log.open("wb") as output:
        return subprocess.Popen(  # noqa: S603 - a command of our own
            command,
            cwd=_ROOT,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.load.settings"},
            pass_fds=(descriptor,),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Ctrl-C is for the run, which then stops the server in good order.
            start_new_session=True,
        )


def _await(server: Server) -> None:
    """Return once it answers."""
    deadline = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < deadline:
        if server.has_stopped():
            break
        try:
            address = f"http://{HOST}:{server.port}/plain/"
            with urllib.request.urlopen(address, timeout=2):
                return
        except urllib.error.HTTPError as error:
            raise ServerFailed(f"It answers {error.code}:\n{server.tail()}") from error
        except OSError:
            continue
    raise ServerFailed(f"It does not answer. It wrote:\n{server.tail()}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop gunicorn, by force where it does not stop by itself."""
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        # The session that it leads is its workers.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
