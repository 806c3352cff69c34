"""How a contender logs in, asks and refreshes, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import make_password
from django.http import HttpResponseBase

from benchmarks.beside.application import Application, Call, get, post

__all__ = [
    "Contender",
    "Tokens",
    "WrongAnswer",
    "create_users",
]

_PASSWORD = "difference-engine"  # noqa: S105 - of nobody
# Enough that no user has many sessions: some contenders read all that a user has.
_USERS = 1000


def create_users() -> None:
    """Create those who log in."""
    users, password = get_user_model(), make_password(_PASSWORD)
    users.objects.bulk_create(
        users(username=f"user{number}", password=password) for number in range(_USERS)
    )


class WrongAnswer(Exception):
    """A contender answered what it should not have: nothing measured counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What a client holds of its session, and whose it is."""

    user_pk: str | None
    access: str
    refresh: str = ""


class Contender:
    """
    A way to authenticate a view.

    A subclass names its endpoints: `asks`, the guarded view; `logs_in` and `refreshes`.
    Where it cannot refresh, or does so as one before it, `refreshes` is empty. `floor`
    is the same view unguarded. `stores` names what it keeps, where that is to be
    weighed; `refused` is the status of a superseded token, and `detects_theft` tells
    whether it ends the session. `is_trimmed` tells whether our purge bounds what it
    keeps.
    """

    name: str
    asks: str
    logs_in = ""
    refreshes = ""
    floor = "no authentication, DRF"
    middleware: tuple[str, ...] = ()
    settings: Mapping[str, Any] = {}
    is_form = False
    stores = ""
    names = ("access", "refresh")
    scheme = "Bearer"
    refused = 401
    detects_theft = False
    is_trimmed = False

    def __init__(self) -> None:
        self._application = Application(*self.middleware, **self.settings)
        self._users = cycle(get_user_model().objects.order_by("pk"))

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
        """Begin a session of the next user."""
        user = next(self._users)
        call = self._post(self.logs_in, self.identify(user), 200)
        return self.read(self.send(call), str(user.pk))

    def ask(self, tokens: Tokens) -> Call:
        """Return a request for the guarded view."""
        return get(self.asks, {"Authorization": f"{self.scheme} {tokens.access}"})

    def forget(self) -> None:
        """Forget which tokens were read, where that is remembered."""

    def refresh(self, tokens: Tokens) -> Call:
        """Return a request for new tokens."""
        return self._post(self.refreshes, self.prove(tokens), 200)

    def refreshed(self, tokens: Tokens) -> Tokens:
        """Return the successors of the tokens."""
        return self.read(self.send(self.refresh(tokens)), tokens.user_pk)

    def replay(self, tokens: Tokens) -> Call:
        """Return the same request by tokens that were superseded."""
        return self._post(self.refreshes, self.prove(tokens), self.refused)

    def read(self, response: HttpResponseBase, user_pk: str | None) -> Tokens:
        """Return the tokens that an answer brings a user."""
        body = self.read_body(response)
        access, refresh = self.names
        return Tokens(user_pk=user_pk, access=body[access], refresh=body[refresh])

    def verify(self, response: HttpResponseBase, tokens: Tokens) -> None:
        """
        Make sure that the view saw whose tokens they are.

        Raises:
            WrongAnswer: It saw another, or none.
        """
        seen = json.loads(response.content)["user"]
        if seen != tokens.user_pk:
            raise WrongAnswer(f"{self.name} takes {tokens.user_pk} for {seen}")

    def read_body(self, response: HttpResponseBase) -> Mapping[str, Any]:
        """Return what an answer holds, the tokens among it."""
        return json.loads(response.content)

    def identify(self, user: AbstractBaseUser) -> Mapping[str, str]:
        """Return what a login takes."""
        return {"username": user.get_username(), "password": _PASSWORD}

    def prove(self, tokens: Tokens) -> Mapping[str, str]:
        """Return what a refresh takes."""
        return {self.names[1]: tokens.refresh}

    def _post(self, path: str, data: Mapping[str, str], status: int) -> Call:
        return post(path, data, status=status, is_form=self.is_form)
