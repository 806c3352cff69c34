"""The example project on a server of its own, which is gone afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from example_project.demo.scenery import HOST

__all__ = ["Server", "ServerFailed", "serve_example"]

_STOP_TIMEOUT = 5  # seconds
_ROOT = Path(__file__).resolve().parent.parent.parent
_SERVE = (sys.executable, "-m", "example_project.demo.serving")


class ServerFailed(Exception):
    """The example did not start, or stopped by itself: the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server, and what it wrote."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def address(self) -> str:
        """Return where a browser finds it."""
        return f"http://{HOST}:{self.port}/"

    def wait(self) -> None:
        """
        Return never: go on until somebody interrupts.

        Raises:
            ServerFailed: The server stopped by itself.
        """
        self.process.wait()
        raise ServerFailed(f"The server stopped. It wrote:\n{_tail(self.log)}")


@contextmanager
def serve_example(settings: Mapping[str, str]) -> Iterator[Server]:
    """
    Serve the example from a new database until the block ends, then remove all of it.

    Args:
        settings: Environment variables that the example's settings read.

    Raises:
        ServerFailed: It did not start.
    """
    with TemporaryDirectory(prefix="rotating-sessions-demo-") as name:
        folder = Path(name)
        environment = {
            **os.environ,
            **settings,
            "DJANGO_SETTINGS_MODULE": "example_project.settings",
            "EXAMPLE_FILES": name,
            "EXAMPLE_MODE": "development",
        }
        log = folder / "server.log"
        process = _start(log, environment)
        try:
            yield Server(port=_read_port(process, log), process=process, log=log)
        finally:
            _stop(process)


def _start(log: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(  # noqa: S603 - a command of our own
            _SERVE,
            cwd=_ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
        )


def _read_port(process: subprocess.Popen[bytes], log: Path) -> int:
    """Return the port that the server says it listens at, once it does."""
    line = process.stdout.readline()
    if not line:
        raise ServerFailed(f"The server did not start. It wrote:\n{_tail(log)}")
    return int(line)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return "\n".join(lines[-15:])
