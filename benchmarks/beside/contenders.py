"""How a contender logs in, asks and refreshes, over HTTP."""

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
]

USERNAME, PASSWORD = "ada", "difference-engine"


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
    is the same view unguarded. `stores` names what it keeps, where that is to be
    weighed; `refused` is the status of a superseded token, and `detects_theft` tells
    whether it ends the session.
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
    stores = ""
    names = ("access", "refresh")
    scheme = "Bearer"
    refused = 401
    detects_theft = False

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
        return self.read(self.send(self._post(self.logs_in, self.identify(), 200)))

    def ask(self, tokens: Tokens) -> Call:
        """Return a request for the guarded view."""
        return get(self.asks, {"Authorization": f"{self.scheme} {tokens.access}"})

    def refresh(self, tokens: Tokens) -> Call:
        """Return a request for new tokens."""
        return self._post(self.refreshes, self.prove(tokens), 200)

    def refreshed(self, tokens: Tokens) -> Tokens:
        """Return the successors of the tokens."""
        return self.read(self.send(self.refresh(tokens)))

    def replay(self, tokens: Tokens) -> Call:
        """Return the same request by tokens that were superseded."""
        return self._post(self.refreshes, self.prove(tokens), self.refused)

    def read(self, response: HttpResponseBase) -> Tokens:
        """Return the tokens that an answer brings."""
        body = self.read_body(response)
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

    def read_body(self, response: HttpResponseBase) -> Mapping[str, Any]:
        """Return what an answer holds, the tokens among it."""
        return json.loads(response.content)

    def identify(self) -> Mapping[str, str]:
        """Return what a login takes."""
        return {"username": USERNAME, "password": PASSWORD}

    def prove(self, tokens: Tokens) -> Mapping[str, str]:
        """Return what a refresh takes."""
        return {self.names[1]: tokens.refresh}

    def _post(self, path: str, data: Mapping[str, str], status: int) -> Call:
        return post(path, data, status=status, is_form=self.is_form)
