"""Django's whole stack, from WSGI to WSGI, with no server and no network before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponseBase
from django.test import RequestFactory, override_settings

__all__ = ["PLAIN", "Application", "Call", "get", "post"]

# What every contender has; each adds what it needs, and no more.
PLAIN = (
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
)

_factory = RequestFactory()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that is ready to be sent once, and the status it shall bring."""

    environ: dict[str, Any]
    status: int


class Application:
    """A WSGI application with middleware, and settings, of its own."""

    def __init__(self, *middleware: str, **settings: Any) -> None:
        with override_settings(MIDDLEWARE=[*PLAIN, *middleware], **settings):
            self._handler = WSGIHandler()

    def send(self, call: Call) -> HttpResponseBase:
        """Answer a request, as a server has it answered, to its end."""
        response = self._handler(call.environ, _start_response)
        response.close()
        return response


def get(path: str, headers: Mapping[str, str] | None = None) -> Call:
    """Return a request for a guarded view."""
    return Call(environ=_factory.get(path, headers=headers).environ, status=200)


def post(path: str, data: Mapping[str, Any], *, status: int, is_form: bool) -> Call:
    """Return a request that posts JSON, or a form."""
    kind = {} if is_form else {"content_type": "application/json"}
    return Call(environ=_factory.post(path, data, **kind).environ, status=status)


def _start_response(status: str, headers: list[tuple[str, str]]) -> None:
    """Take what a server would send."""
