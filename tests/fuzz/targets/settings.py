"""The settings: the checks never fail themselves, and what they pass works."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from typing import Any

from django.core.checks import CheckMessage, Error
from django.test import Client, override_settings

from rotating_sessions.checks import check_deployment, check_surroundings, check_values
from rotating_sessions.conf import Conf
from rotating_sessions.services import purge_sessions
from tests.browsing import HOME
from tests.factories import PASSWORD
from tests.fuzz.source import Source
from tests.fuzz.visitor import arrive

__all__ = ["fuzz"]

NAMES = [field.name.upper() for field in fields(Conf)]
SPANS = [timedelta(seconds=seconds) for seconds in (0, 1e-6, 1, 10, 60, 1800, 86400)]
SPANS += [timedelta(days=days) for days in (-1, 14, 30, 400, 36500, 10**6, 999_999_999)]
SPANS += [timedelta.max, timedelta.min]
NUMBERS = [0, 1, -1, 2, 5, 8, 16, 32, 64, 100, 128, 2**31, 2**63, 2**64, 10**5000]
TEXTS = [
    *("", "a", "header", "cookie", "20/min", "1/s", "0/min", "/admin/", "/", "/auth/"),
    *("10.0.0.1", "10.0.0.0/8", "0.0.0.0/0", "::/0", "a" * 40, "b" * 201, "\x00"),
    *("1/0min", "1/", "/m", "a/min", "1/min/min", "1e3/min", "9" * 30 + "/min"),
    *("\ud800" * 40, "1_0/hour", " 1 / d", "300.1.1.1", "10.", "fe80::1%eth0"),
    *("é" * 40, "1/days", "9" * 5000 + "/min"),
]


def fuzz(data: bytes) -> None:
    """Check a site with up to four settings of any type and value, then visit it."""
    source = Source(data)
    given: Any = {source.pick(NAMES): _setting(source) for _ in range(source.number(4))}
    if source.number(15) == 15:
        given = source.value() if source.flag() else {source.text(): source.value()}
    with override_settings(ROTATING_SESSIONS=given):
        messages = _checked()
    if not any(isinstance(message, Error) for message in messages):
        visitor = arrive()
        with override_settings(ROTATING_SESSIONS=given):
            _visit(visitor.user.get_username(), given)


def _checked() -> list[CheckMessage]:
    messages = [*check_values(), *check_surroundings(), *check_deployment()]
    assert all(isinstance(message, CheckMessage) for message in messages)
    # Django prints them.
    return [message for message in messages if str(message)]


def _setting(source: Source) -> Any:
    """Return a value that may well be right, or anything."""
    texts = [source.pick(TEXTS) for _ in range(source.number(3))]
    right = [
        source.pick(SPANS),
        timedelta(seconds=source.number(2**24)),
        source.pick(NUMBERS),
        source.pick([*TEXTS, source.text()]),
        source.pick([True, False, None]),
        tuple(texts),
        texts,
        source.value(),
        source.pick([b"bytes", object, 1j, {"a"}, {1: 2}, range(3), lambda: None]),
    ]
    return source.pick(right)


def _visit(username: str, given: object) -> None:
    """Log in, look, refresh, and clean up: no step fails, whatever its answer is."""
    transport = Conf().default_transport
    if isinstance(given, Mapping):
        transport = given.get("DEFAULT_TRANSPORT", transport)
    client = Client(REMOTE_ADDR=HOME)
    body = {"username": username, "password": PASSWORD, "transport": transport}
    tokens = _post(client, "/auth/login/", body)
    bearer = {"Authorization": f"Bearer {tokens.get('access', '')}"}
    headers = bearer if transport == "header" else {}
    listed = client.get("/auth/sessions/", headers=headers)
    # A lifetime of microseconds is over by now.
    assert listed.status_code in {200, 401}, listed.content
    refresh = tokens.get("refresh", "")
    _post(client, "/auth/refresh/", {"refresh": refresh} if headers else {})
    list(purge_sessions())


def _post(client: Client, path: str, body: dict[str, Any]) -> Any:
    response = client.post(path, json.dumps(body), content_type="application/json")
    assert response.status_code in {200, 401}, (path, response.content)
    return json.loads(response.content)
