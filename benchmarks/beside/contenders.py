"""Who is measured: how each logs in, asks and refreshes, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponseBase

from benchmarks.beside.application import Application, Call, get, post

__all__ = [
    "PASSWORD",
    "USERNAME",
    "Contender",
    "Tokens",
    "WrongAnswer",
    "list_contenders",
]

USERNAME, PASSWORD = "ada", "difference-engine"

_SESSIONS = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
)


class WrongAnswer(Exception):
    """A contender answered what it should not have: nothing measured counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What a client holds of its session."""

    access: str
    refresh: str = ""


class Contender:
    """
    A way to authenticate a view.

    A subclass names its endpoints: `asks`, the guarded view; `logs_in` and `refreshes`.
    Where it cannot refresh, or does so as one before it, `refreshes` is empty. `floor`
    is the same view unguarded. `stores` tells whether what it keeps is to be weighed.
    """

    name: str
    asks: str
    logs_in = ""
    refreshes = ""
    floor = "no authentication, DRF"
    middleware: tuple[str, ...] = ()
    settings: Mapping[str, Any] = {}
    is_form = False
    user: str | None = "1"
    stores = True
    names = ("access", "refresh")
    scheme = "Bearer"
    refused = 401

    def __init__(self) -> None:
        self._application = Application(*self.middleware, **self.settings)

    def send(self, call: Call) -> HttpResponseBase:
        """
        Send a request.

        Raises:
            WrongAnswer: The status is not the one that was to come.
        """
        response = self._application.send(call)
        if response.status_code != call.status:
            answer = f"{response.status_code} {getattr(response, 'content', b'')[:500]}"
            raise WrongAnswer(f"{self.name}, {call.environ['PATH_INFO']}: {answer}")
        return response

    def log_in(self) -> Tokens:
        """Begin a session."""
        data = {"username": USERNAME, "password": PASSWORD}
        return self.read(self.send(self._post(self.logs_in, data, 200)))

    def ask(self, tokens: Tokens) -> Call:
        """Return a request for the guarded view."""
        return get(self.asks, {"Authorization": f"{self.scheme} {tokens.access}"})

    def refresh(self, tokens: Tokens) -> Call:
        """Return a request for new tokens."""
        return self._post(self.refreshes, self._proof(tokens), 200)

    def refreshed(self, tokens: Tokens) -> Tokens:
        """Return the successors of the tokens."""
        return self.read(self.send(self.refresh(tokens)))

    def replay(self, tokens: Tokens) -> Call:
        """Return the same request by tokens that were superseded."""
        return self._post(self.refreshes, self._proof(tokens), self.refused)

    def read(self, response: HttpResponseBase) -> Tokens:
        """Return the tokens that an answer brings."""
        body = self._read_body(response)
        access, refresh = self.names
        return Tokens(access=body[access], refresh=body[refresh])

    def verify(self, response: HttpResponseBase) -> None:
        """
        Make sure that the view saw the user.

        Raises:
            WrongAnswer: It saw another, or none.
        """
        user = json.loads(response.content)["user"]
        if user != self.user:
            raise WrongAnswer(f"{self.name} takes the user for {user}")

    def _read_body(self, response: HttpResponseBase) -> Mapping[str, Any]:
        return json.loads(response.content)

    def _proof(self, tokens: Tokens) -> Mapping[str, str]:
        return {self.names[1]: tokens.refresh}

    def _post(self, path: str, data: Mapping[str, str], status: int) -> Call:
        return post(path, data, status=status, is_form=self.is_form)


class _Floor(Contender):
    user = None
    stores = False

    def log_in(self) -> Tokens:
        return Tokens(access="none")

    def ask(self, tokens: Tokens) -> Call:
        return get(self.asks)


class _Django(_Floor):
    name = floor = "no authentication, Django"
    asks = "/floor/django/"
    refreshes = "/floor/update/"
    refused = 200

    def read(self, response: HttpResponseBase) -> Tokens:
        return Tokens(access="none")


class _Drf(_Floor):
    name = "no authentication, DRF"
    asks = "/floor/drf/"


class _Ours(Contender):
    name = "rotating_sessions"
    floor = "no authentication, Django"
    asks = "/ours/claims/"
    logs_in, refreshes = "/ours/login/", "/ours/refresh/"
    middleware = ("rotating_sessions.middleware.RotatingSessionMiddleware",)


class _OursUser(_Ours):
    name = "rotating_sessions, user"
    asks = "/ours/user/"
    refreshes, stores = "", False


class _OursDrf(_Ours):
    name = "rotating_sessions, DRF, user"
    floor = "no authentication, DRF"
    asks = "/ours/drf/"
    refreshes, stores = "", False


class _SimpleJwt(Contender):
    name = "simplejwt, stateless"
    asks = "/simplejwt/stateless/"
    logs_in, refreshes = "/simplejwt/login/", "/simplejwt/refresh/"


class _SimpleJwtUser(_SimpleJwt):
    name = "simplejwt, user"
    asks = "/simplejwt/user/"
    refreshes, stores = "", False


class _Sessions(Contender):
    floor = "no authentication, Django"
    asks = "/django/user/"
    logs_in = "/django/login/"
    middleware = _SESSIONS

    def __init__(self, engine: str) -> None:
        self.name = f"Django sessions, {engine}"
        self.settings = {"SESSION_ENGINE": f"django.contrib.sessions.backends.{engine}"}
        super().__init__()

    def read(self, response: HttpResponseBase) -> Tokens:
        return Tokens(access=response.cookies["sessionid"].value)

    def ask(self, tokens: Tokens) -> Call:
        return get(self.asks, {"Cookie": f"sessionid={tokens.access}"})


def list_contenders() -> list[Contender]:
    """Return all contenders, the floors first."""
    return [
        _Django(),
        _Drf(),
        _Ours(),
        _OursUser(),
        _OursDrf(),
        _SimpleJwt(),
        _SimpleJwtUser(),
        *map(_Sessions, ("db", "cached_db", "signed_cookies")),
    ]
