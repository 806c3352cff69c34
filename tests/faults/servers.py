"""Database servers of our own, to be restarted: from Debian's packages, as anybody."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

_DATABASE = "faults"


class Server(Protocol):
    """A running database server."""

    place: dict[str, Any]

    def restart(self) -> None:
        """Pull its plug, and start it again."""


class PostgreSQL:
    """A cluster in a folder, or a replica of one, as `postgres` where we are root."""

    def __init__(
        self, folder: Path, port: int, *, primary: PostgreSQL | None = None
    ) -> None:
        self._as = _become("postgres", folder)
        self._data = folder / "data"
        self._options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
        self.place = _place(port, user="postgres", name="postgres")
        if primary is None:
            how = ("initdb", "-A", "trust", "-E", "UTF8", "--no-sync")
        else:
            where = ("-h", "127.0.0.1", "-p", str(primary.place["PORT"]))
            how = ("pg_basebackup", *where, "-R", "-c", "fast", "--no-sync")
        self._run(*how, "-U", "postgres")
        self._start()

    def restart(self) -> None:
        """Let it forget everything that it has not written down, and recover."""
        self.stop()
        self._start()

    def stop(self) -> None:
        """Stop without a shutdown, as a crash does; twice is once."""
        if (self._data / "postmaster.pid").exists():
            self._run("pg_ctl", "stop", "-m", "immediate")

    def promote(self) -> None:
        """Make a replica the primary."""
        self._run("pg_ctl", "promote", "-w")

    def _start(self) -> None:
        log = str(self._data.with_name("log"))
        self._run("pg_ctl", "start", "-w", "-l", log, "-o", self._options)

    def _run(self, program: str, *args: str) -> None:
        command = [*self._as, str(_postgresql() / program), "-D", str(self._data)]
        # What pg_ctl starts inherits its output: a pipe would never end.
        subprocess.run(  # noqa: S603 - Debian's own programs
            [*command, *args], check=True, stdout=subprocess.DEVNULL
        )


class MariaDB:
    """A server on a folder, started as `mysql` where we are root."""

    def __init__(self, folder: Path, port: int) -> None:
        self._as = _become("mysql", folder)
        self._socket = folder / "socket"
        data = f"--datadir={folder / 'data'}"
        self._command = [
            *(*self._as, "mariadbd", "--no-defaults", data, f"--port={port}"),
            *(f"--socket={self._socket}", "--bind-address=127.0.0.1"),
            *("--skip-name-resolve", f"--log-error={folder / 'log'}"),
        ]
        self.place = _place(port, user="root", name=_DATABASE)
        _run_quietly(
            *(*self._as, "mariadb-install-db", "--no-defaults", data),
            *("--auth-root-authentication-method=normal", "--skip-test-db"),
        )
        self._start()
        create = f"CREATE DATABASE {_DATABASE} CHARACTER SET utf8mb4"
        client = ["mariadb", "--no-defaults", f"--socket={self._socket}", "-uroot"]
        _run_quietly(*client, "-e", create)

    def restart(self) -> None:
        """Let it forget everything that it has not written down, and recover."""
        self.stop()
        self._start()

    def stop(self) -> None:
        """Stop without a shutdown, as a crash does."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def _start(self) -> None:
        self._process = subprocess.Popen(self._command)  # noqa: S603
        while not _listens(self.place["PORT"]):
            assert self._process.poll() is None, self._command
            time.sleep(0.05)


@contextmanager
def own_server(vendor: str) -> Iterator[Server]:
    """Run a server of our own while the context lasts."""
    kind = {"postgresql": PostgreSQL, "mysql": MariaDB}[vendor]
    with _folder() as folder:
        server = kind(folder, _free_port())
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def own_replica() -> Iterator[tuple[PostgreSQL, PostgreSQL]]:
    """Run a primary, and a replica that streams from it, while the context lasts."""
    with ExitStack() as stack:
        primary = PostgreSQL(stack.enter_context(_folder()), _free_port())
        stack.callback(primary.stop)
        folder = stack.enter_context(_folder())
        replica = PostgreSQL(folder, _free_port(), primary=primary)
        stack.callback(replica.stop)
        yield primary, replica


@contextmanager
def _folder() -> Iterator[Path]:
    """Return a folder for a server, which goes when it has stopped."""
    folder = Path(tempfile.mkdtemp(prefix="faults"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _become(user: str, folder: Path) -> list[str]:
    """Return what runs a command as the server's own user, if we are root."""
    if os.geteuid() != 0:
        return []
    shutil.chown(folder, user, user)
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]


def _place(port: int, **names: str) -> dict[str, Any]:
    settings = {name.upper(): value for name, value in names.items()}
    return {"HOST": "127.0.0.1", "PORT": port, "PASSWORD": "", **settings}


def _postgresql() -> Path:
    """Return where the newest PostgreSQL has its programs: Debian hides them."""
    found = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(found, key=lambda path: int(path.parts[-3]), default=None)
    return Path(newest or shutil.which("initdb") or "initdb").parent


def _run_quietly(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
