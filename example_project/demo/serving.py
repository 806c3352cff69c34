"""
Make a database and serve the example: `python -m example_project.demo.serving`.

Standard output gets one line, the port, once the server listens.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIServer, make_server

from django.conf import settings
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.management import call_command

from example_project.demo.scenery import HOST
from example_project.wsgi import application

# The usual port, or where something else listens there, any that is free.
_PORTS = (8000, 0)
_site = StaticFilesHandler(application)


class _ThreadingServer(ThreadingMixIn, WSGIServer):
    """A server that answers each request in a thread of its own."""

    daemon_threads = True


def _behind_proxy(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Stand in for the proxy that the demo trusts, for clients that play no network."""
    environ.setdefault("HTTP_X_FORWARDED_FOR", environ["REMOTE_ADDR"])
    return _site(environ, start_response)


def _prepare() -> None:
    for command in ("migrate", "createcachetable", "seed"):
        call_command(command, stdout=sys.stderr)


def _listen() -> WSGIServer:
    for port in _PORTS:
        try:
            return make_server(HOST, port, _behind_proxy, _ThreadingServer)
        except OSError:
            continue
    raise SystemExit(f"There is no free port on {HOST}.")


def main() -> None:
    """Serve until the process is stopped."""
    _prepare()
    server = _listen()
    settings.SITE_URL = f"http://{HOST}:{server.server_port}"
    print(server.server_port, flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
