"""What is asked of a site in each round, and how long it takes to answer."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from time import perf_counter_ns
from typing import TypeVar

from django.contrib.auth import get_user_model
from django.http import HttpResponseBase
from django.test import Client as Browser
from django.utils import timezone

from benchmarks.beside.application import Application, Call, get, post
from benchmarks.scale.holders import Holder
from benchmarks.scale.routing import choose
from benchmarks.scale.sites import ADDRESS, PASSWORD, Site
from rotating_sessions import revocations
from rotating_sessions.clients import Client
from rotating_sessions.services import confirm, purge_sessions, refresh_session
from rotating_sessions.tokens.access import decode_access
from rotating_sessions.transports import TokenPair

__all__ = ["CLIENT", "HOLDERS_OF_A_TURN", "REVOKED", "Turns"]

# Sessions that each turn uses up.
HOLDERS_OF_A_TURN = 7
# What a poll finds.
REVOKED = 2000
# Few, so that the smallest site has enough of them for every turn.
_PURGED = 20

CLIENT = Client(ip_address=ADDRESS, network=f"{ADDRESS}/32", user_agent="benchmark")

_LIST = "/admin/rotating_sessions/sessionfamily/"
_Result = TypeVar("_Result")


class WrongAnswer(Exception):
    """The site answered what it should not have: nothing measured counts."""


class Turns:
    """
    The turns of one site: how long each operation took, in milliseconds.

    What is "at random" concerns a session that was not touched since it was drawn, and
    "again" the same one a moment later.
    """

    def __init__(self, site: Site, application: Application) -> None:
        """Sign a member of staff in."""
        self.site = site
        self.milliseconds: dict[str, list[float]] = defaultdict(list)
        self._application = application
        choose(site.alias)
        self._staff = Browser()
        staff, _ = get_user_model().objects.get_or_create(
            username="staff", is_staff=True, is_superuser=True
        )
        self._staff.force_login(staff)

    def take(self, holders: Iterator[Holder]) -> None:
        """Do everything once, or at random and again."""
        choose(self.site.alias)
        self._refresh_by_service(next(holders))
        self._refresh_over_http(next(holders))
        self._read_user(next(holders))
        self._list("session list, API", "/auth/sessions/", next(holders))
        self._list("session list, page", "/sessions/", next(holders))
        self._log_in(next(holders))
        self._search(next(holders))
        self._time("admin, list", lambda: self._look({}))
        self._time(f"poll that loads {REVOKED:,} revocations", _poll)
        self._time(f"purge of {_PURGED} sessions", _purge)

    def _refresh_by_service(self, holder: Holder) -> None:
        pair = self._time(
            "refresh, service, at random", lambda: refresh(holder.refresh)
        )
        self._time("confirmation, service", lambda: use(pair))
        self._time("refresh, service, again", lambda: refresh(pair.refresh or ""))

    def _refresh_over_http(self, holder: Holder) -> None:
        first = self._send("refresh, HTTP, at random", _refresh(holder.refresh))
        tokens = json.loads(first.content)
        ask = _ask("/claims/", tokens["access"])
        self._send("request, token first seen (confirms)", ask)
        self._send("request, the same token", ask)
        self._send("refresh, HTTP, again", _refresh(tokens["refresh"]))

    def _read_user(self, holder: Holder) -> None:
        call = _ask("/user/", holder.access)
        self._send("request.user, token first seen, at random", call)
        self._send("request.user, again", call)

    def _list(self, name: str, path: str, holder: Holder) -> None:
        # The confirmation of its token is no part of it.
        self._application.send(_ask("/claims/", holder.access))
        for when in ("at random", "again"):
            self._send(f"{name}, {when}", _ask(path, holder.access))

    def _log_in(self, holder: Holder) -> None:
        data = {"username": holder.username, "password": PASSWORD}
        call = post("/auth/login/", data, status=200, is_form=False)
        self._send("login, HTTP, at random", call)

    def _search(self, holder: Holder) -> None:
        for when in ("at random", "again"):
            self._time(
                f"admin, search for a user, {when}",
                lambda: self._look({"q": holder.username}),
            )

    def _look(self, query: dict[str, str]) -> None:
        status = self._staff.get(_LIST, query).status_code
        if status != 200:
            raise WrongAnswer(f"The admin answers {status}.")

    def _send(self, operation: str, call: Call) -> HttpResponseBase:
        response = self._time(operation, lambda: self._application.send(call))
        if response.status_code != call.status:
            raise WrongAnswer(f"{operation}: {response.status_code}")
        return response

    def _time(self, operation: str, work: Callable[[], _Result]) -> _Result:
        began = perf_counter_ns()
        result = work()
        self.milliseconds[operation].append((perf_counter_ns() - began) / 1e6)
        return result


def refresh(token: str) -> TokenPair:
    """Rotate."""
    return refresh_session(token, client=CLIENT, transport="header")


def use(pair: TokenPair) -> None:
    """Confirm."""
    confirm(decode_access(pair.access, timezone.now()), client=CLIENT)


def _ask(path: str, access: str) -> Call:
    call = get(path, {"Authorization": f"Bearer {access}"})
    call.environ["REMOTE_ADDR"] = ADDRESS
    return call


def _refresh(token: str) -> Call:
    call = post("/auth/refresh/", {"refresh": token}, status=200, is_form=False)
    call.environ["REMOTE_ADDR"] = ADDRESS
    return call


def _poll() -> None:
    revocations.reset()
    revocations.poll(timezone.now())


def _purge() -> None:
    (count,) = purge_sessions(batch_size=_PURGED, max_batches=1)
    if count.families != _PURGED:
        raise WrongAnswer("Nothing is left to be purged.")
