"""
The example project as gunicorn serves it here: with its files, and with losses.

A browser that sends `Lose-Answers: n` gets no answer to every n-th refresh that a
process takes up: the refresh is done, and the connection ends. Whoever has it that the
answer to a refresh takes longer sends `Delay-Answers` with seconds.
"""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Iterable
from typing import Any

from django.contrib.staticfiles.handlers import StaticFilesHandler

from example_project.wsgi import application as _example
from tests.browser.scenery import HOME

__all__ = ["application"]

_REFRESHES = {"/auth/refresh/", "/auth/session/refresh"}
_site = StaticFilesHandler(_example)
_refreshes = itertools.count(1)


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer, or do as asked and then say nothing."""
    # Stands in for the proxy that the settings trust.
    environ.setdefault("HTTP_X_FORWARDED_FOR", HOME)
    answer = _site(environ, start_response)
    if environ["PATH_INFO"] in _REFRESHES and environ["REQUEST_METHOD"] == "POST":
        time.sleep(float(environ.get("HTTP_DELAY_ANSWERS", 0)))
        every = int(environ.get("HTTP_LOSE_ANSWERS", 0))
        if every and next(_refreshes) % every == 0:
            environ["gunicorn.socket"].shutdown(socket.SHUT_RDWR)
    return answer
