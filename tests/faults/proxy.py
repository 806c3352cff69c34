"""A proxy between the application and its database that cuts the line on command."""

from __future__ import annotations

import re
import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.faults.steps import COMMIT, Point

_LOOPBACK = "127.0.0.1"

# As PostgreSQL and MariaDB are told.
_OPENS = re.compile(rb"BEGIN|autocommit ?= ?0", re.IGNORECASE)
_WRITES = re.compile(rb"WITH rotated|(UPDATE|INSERT INTO|DELETE FROM) [\"`]")


class Proxy:
    """
    Forward connections, and cut one at a given round.

    A round is what the application says until the database answers: the greeting, a
    statement, COMMIT. It is cut before the database hears it, or after the database
    did it and before its answer arrives.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server((_LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self._point: Point | None = None
        self._lines: list[socket.socket] = []
        self._watched = 0
        self._last_words = b""
        self._said: list[bytes] = []
        self._answered = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def watch(
        self, point: Point | None = None, *, kept: bool, last_words: bytes = b""
    ) -> None:
        """Count the rounds of the open connection or else the next, and cut at one."""
        self._last_words = last_words
        self._said, self._answered = [], 0
        self._point = point
        self._watched = len(self._lines) - 1 if kept else len(self._lines)

    @property
    def has_cut(self) -> bool:
        """Tell whether the cut that was asked for was made."""
        return self._point is None

    def steps(self) -> list[str]:
        """Return the rounds that were answered, as far as it matters what was said."""
        steps, is_open = [], False
        for text in self._said[: self._answered]:
            is_open = is_open or _OPENS.search(text) is not None
            # With no transaction around it a statement is a commit.
            commits = b"COMMIT" in text or (not is_open and _WRITES.search(text))
            steps.append(COMMIT if commits else "")
            is_open = is_open and not commits
        return steps

    def cut_idle(self) -> None:
        """Cut every connection that is open."""
        for line in self._lines:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Take no connections any more."""
        self.cut_idle()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            self._lines.append(client)
            number = len(self._lines) - 1
            with suppress(OSError):
                self._forward(client, server, number)

    def _forward(
        self, client: socket.socket, server: socket.socket, number: int
    ) -> None:
        """Carry what either side says to the other, until one hangs up or the cut."""
        selector = selectors.DefaultSelector()
        selector.register(client, selectors.EVENT_READ)
        selector.register(server, selectors.EVENT_READ)
        speaker = server
        while True:
            for key, _ in selector.select():
                data = key.fileobj.recv(65536)
                if not data:
                    return
                if number == self._watched and self._is_cut_by(
                    data, answer=key.fileobj is server, turn=key.fileobj is not speaker
                ):
                    client.sendall(self._last_words)
                    return
                (server if key.fileobj is client else client).sendall(data)
                speaker = key.fileobj

    def _is_cut_by(self, data: bytes, *, answer: bool, turn: bool) -> bool:
        """Note what is said, and tell whether this is where the line breaks."""
        if answer:
            self._answered = len(self._said)
        elif turn:
            self._said.append(data)
        else:
            self._said[-1] += data
        if self._point != Point(step=len(self._said) - 1, after=answer):
            return False
        self._point = None
        return True


@contextmanager
def between(host: str, port: int) -> Iterator[Proxy]:
    """Run a proxy to a server while the context lasts."""
    proxy = Proxy((host, port))
    try:
        yield proxy
    finally:
        proxy.close()
