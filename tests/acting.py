"""The inside of a test: the services as a client sees them, a clock, and counts."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import pytest
from django.db import OperationalError, connection, connections
from django.dispatch import Signal
from django.utils import timezone

from rotating_sessions.clients import Client
from rotating_sessions.models import RefreshToken, SessionFamily
from rotating_sessions.services import confirm, refresh_session, start_session
from rotating_sessions.tokens.access import AccessClaims, decode_access
from rotating_sessions.tokens.refresh import decode_refresh, encode_refresh
from rotating_sessions.transports import TokenPair
from tests.browsing import FIREFOX, HOME

START = datetime(2031, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
W = timedelta(seconds=60)
TICK = timedelta(microseconds=1)
MOMENT = timedelta(seconds=3)
SKEW = timedelta(seconds=5)


class Clock:
    """What django.utils.timezone.now says, until a test moves it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = START
        monkeypatch.setattr(timezone, "now", lambda: self.now)

    def forward(self, span: timedelta) -> datetime:
        self.now += span
        return self.now


def client_at(address: str | None = HOME) -> Client:
    """Return the client value that `services` takes, as seen from an address."""
    network = None if address is None else f"{address}/32"
    return Client(ip_address=address, network=network, user_agent=FIREFOX)


def log_in(rf: Any, user: Any, *, transport: str = "header") -> TokenPair:
    """Start a session through the service, from HOME."""
    request = rf.post("/login/", REMOTE_ADDR=HOME, HTTP_USER_AGENT=FIREFOX)
    return start_session(request, user, transport=transport)


@contextmanager
def heard(*signals: Signal) -> Iterator[list[dict[str, Any]]]:
    """Collect what the signals carry, in their order."""
    found: list[dict[str, Any]] = []

    def receive(signal: Signal, sender: type, **fields: Any) -> None:
        assert sender is SessionFamily
        found.append(fields)

    for signal in signals:
        signal.connect(receive)
    try:
        yield found
    finally:
        for signal in signals:
            signal.disconnect(receive)


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count the statements by their verb: SELECT, INSERT, UPDATE, DELETE."""
    verbs: Counter[str] = Counter()

    def count(execute: Any, sql: str, *args: Any) -> Any:
        verb = sql.split(maxsplit=1)[0]
        if verb == "WITH":  # pragma: no cover - on PostgreSQL
            # One statement of PostgreSQL's, which does what take two elsewhere.
            result = execute(sql, *args)
            verbs.update({"UPDATE": 1, "INSERT": args[-1]["cursor"].rowcount})
            return result
        if verb in {"SELECT", "INSERT", "UPDATE", "DELETE"}:
            verbs[verb] += 1
        return execute(sql, *args)

    with connection.execute_wrapper(count):
        yield verbs


@contextmanager
def calls_into(package: ModuleType) -> Iterator[Counter[str]]:
    """Count the calls of a package's functions, by their names."""
    root = str(Path(str(package.__file__)).parent)
    calls: Counter[str] = Counter()

    # What a profiler calls is not traced.
    def note(frame: FrameType, event: str, _arg: object) -> None:  # pragma: no cover
        if event == "call" and frame.f_code.co_filename.startswith(root):
            calls[frame.f_code.co_name] += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(before)


def reads(verbs: Counter[str]) -> int:
    return verbs["SELECT"]


def writes(verbs: Counter[str]) -> int:
    return verbs.total() - verbs["SELECT"]


@contextmanager
def overtaken(change: Callable[[], object]) -> Iterator[None]:
    """Let another request be first: change the row before the first write to it."""
    todo = [change]

    def intervene(execute: Any, sql: str, *args: Any) -> Any:
        if todo and sql.startswith(("UPDATE", "WITH")) and "sessionfamily" in sql:
            todo.pop()()
        return execute(sql, *args)

    with connection.execute_wrapper(intervene):
        yield


def lose_commit(monkeypatch: pytest.MonkeyPatch, *, arrived: bool) -> None:
    """Cut the connection at the next commit, before or after it took effect."""
    wrapper = connections["default"]
    original, wrappers = wrapper._commit, wrapper.execute_wrappers
    error = OperationalError("server closed the connection unexpectedly")

    def cut(commit: Callable[[], object]) -> None:
        monkeypatch.setattr(wrapper, "_commit", original)
        monkeypatch.setattr(wrapper, "execute_wrappers", wrappers)
        if arrived:
            commit()
        raise error

    def cut_statement(execute: Any, sql: str, *args: Any) -> Any:
        # A statement with no transaction around it commits by itself.
        if sql.startswith("WITH"):  # pragma: no cover - on PostgreSQL
            cut(lambda: execute(sql, *args))
        return execute(sql, *args)

    monkeypatch.setattr(wrapper, "_commit", lambda: cut(original))
    monkeypatch.setattr(wrapper, "execute_wrappers", [*wrappers, cut_statement])


def present(
    held: TokenPair | str, client: Client | None = None, transport: str = "header"
) -> TokenPair:
    """Present a refresh token, from HOME unless said otherwise."""
    value = held if isinstance(held, str) else held.refresh
    assert value is not None
    return refresh_session(value, client=client or client_at(), transport=transport)


def claims_of(pair: TokenPair) -> AccessClaims:
    return decode_access(pair.access, timezone.now())


def use(pair: TokenPair, client: Client | None = None) -> None:
    """Use the access token, as the middleware does at its first sight."""
    confirm(claims_of(pair), client=client or client_at())


def refresh_and_use(pair: TokenPair, clock: Clock, *, times: int) -> None:
    """Refresh every half hour, each time from a new network, and use what comes."""
    for number in range(times):
        clock.forward(timedelta(minutes=30))
        client = client_at(f"198.51.100.{number}")
        pair = present(pair, client)
        use(pair, client)


def rows_of(pair: TokenPair) -> Any:
    return SessionFamily.objects.filter(pk=decode_refresh(pair.refresh or "").family_id)


def columns(pair: TokenPair) -> dict[str, Any]:
    """Return every column of the pair's family."""
    return dict(rows_of(pair).values().get())


def digest_of(pair: TokenPair) -> bytes:
    return decode_refresh(pair.refresh or "").digest


def twin_of(pair: TokenPair, generation: int | None = None, **fields: Any) -> str:
    """Return another genuine token of the same family."""
    token = decode_refresh(pair.refresh or "")
    family = rows_of(pair).get()
    values = {
        "family_id": family.pk,
        "generation": token.generation if generation is None else generation,
        "user_pk": family.user_pk,
        "secret": bytes(family.secret),
        "issued_at": token.issued_at,
    }
    return encode_refresh(**{**values, **fields})


def restore(pair: TokenPair, saved: dict[str, Any]) -> None:
    """Take the database back to an earlier state of the family, as a failover does."""
    family = rows_of(pair)
    family.update(**saved)
    RefreshToken.objects.filter(
        family__in=family, generation__gt=saved["generation"]
    ).delete()
