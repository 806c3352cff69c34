"""
A real server, to be shot at: `main` runs in a process of its own, with Django set up.

The parent listens and forks workers, each of which answers one request at a time over
HTTP. A worker that dies is replaced, and each that starts is told to the test by a line
with its process id.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from typing import NoReturn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.test import Client
from django.test.utils import setup_test_environment

from tests.faults.tempo import SETTINGS

_WORKERS = 3
_HOST = "127.0.0.1"


def main() -> None:
    """Serve until standard input ends."""
    setup_test_environment(debug=False)
    settings.ROTATING_SESSIONS = SETTINGS
    # Needs no database, and loads what no worker has to load anew.
    Client().get("/auth/login/")
    listener = socket.create_server((_HOST, 0), backlog=100)
    print(listener.getsockname()[1], flush=True)  # noqa: T201 - to the test
    workers = {_start_worker(listener) for _ in range(_WORKERS)}
    while not select.select([sys.stdin], [], [], 0.01)[0]:
        pid, _ = os.waitpid(-1, os.WNOHANG)
        if pid:
            workers.remove(pid)
            workers.add(_start_worker(listener))
    for pid in workers:
        os.kill(pid, signal.SIGKILL)


def _start_worker(listener: socket.socket) -> int:
    pid = os.fork()
    if pid == 0:
        _serve(listener)
    print(pid, flush=True)  # noqa: T201 - to the test
    return pid


class _Quiet(WSGIRequestHandler):
    """A handler that keeps quiet about its requests."""

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def _serve(listener: socket.socket) -> NoReturn:
    server = WSGIServer((_HOST, 0), _Quiet, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.server_name, server.server_port = listener.getsockname()
    server.setup_environ()
    server.set_app(WSGIHandler())
    server.serve_forever()
    raise SystemExit
