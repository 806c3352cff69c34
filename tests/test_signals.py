"""Announcements: after the commit, to everybody, and without a secret."""

from __future__ import annotations

import ast
import logging
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction

from rotating_sessions import signals
from rotating_sessions.models import RevokedReason, SessionFamily
from rotating_sessions.services import refresh_session, revoke_session
from rotating_sessions.signals import announce, report
from rotating_sessions.tokens.refresh import decode_refresh
from tests.acting import client_at, log_in
from tests.browsing import REFRESH
from tests.factories import PASSWORD

FAMILY = UUID("f2a90c17-64be-4d03-9b58-7e1d3c5a80b6")
SIGNALS = [
    "lost_commit",
    "network_changed",
    "refresh_token_reused",
    "session_refreshed",
    "session_revoked",
    "session_started",
]


# Whose session it was: of events that are about one.
WHOSE = {"family_id", "user_pk"}
EVENTS = {
    "session_started": WHOSE | {"new_device"},
    "session_refreshed": WHOSE | {"generation"},
    "network_changed": WHOSE | {"ip_address"},
    "refresh_token_reused": WHOSE | {"generation"},
    "session_revoked": WHOSE | {"reason"},
    "lost_commit": WHOSE | {"generation"},
    "generation_ahead": WHOSE | {"generation"},
    "address_unknown": set(),
    "cookie_refused": {"cookie"},
    "database_failure": set(),
    "revocations_stale": {"error"},
    "throttle_unavailable": {"scope"},
}


class Refused(Exception):
    """Ends a transaction."""


@pytest.fixture
def heard() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Return what every signal of the package says, in order."""
    said: list[tuple[str, dict[str, Any]]] = []
    receivers = {}
    for name in SIGNALS:

        def listen(name: str = name, **kwargs: Any) -> None:
            kwargs.pop("signal")
            said.append((name, kwargs))

        receivers[name] = listen
        getattr(signals, name).connect(listen)
    yield said
    for name, receiver in receivers.items():
        getattr(signals, name).disconnect(receiver)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Return the log of the package, which grows as the test goes on."""
    caplog.set_level(logging.INFO, logger="rotating_sessions.security")
    return caplog


def say(name: str, **fields: Any) -> None:
    announce(
        getattr(signals, name),
        sender=SessionFamily,
        using="default",
        family_id=FAMILY,
        user_pk="41",
        **fields,
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_is_sent_once_the_transaction_has_committed(heard, log, name):
    """I-5: Nothing is announced or logged before the commit, and all of it after."""
    with transaction.atomic():
        say(name, generation=7)
        before = [*heard, *log.records]

    [record] = log.records
    fields = {"family_id": FAMILY, "user_pk": "41", "generation": 7}
    assert before == []
    assert heard == [(name, {"sender": SessionFamily, **fields})]
    assert (record.event, record.family_id, record.user_pk) == (name, str(FAMILY), "41")
    assert record.generation == 7


@pytest.mark.django_db(transaction=True)
def test_nothing_is_announced_of_what_was_rolled_back(heard, log):
    """A transaction that ends in an error announces and logs nothing."""
    with suppress(Refused), transaction.atomic():
        say("session_revoked", reason="logout")
        raise Refused

    assert heard == []
    assert log.records == []


@pytest.mark.django_db(transaction=True)
def test_nothing_is_announced_of_an_undone_savepoint(heard):
    """What an inner block rolled back is not announced by the outer one."""
    with transaction.atomic():
        say("session_started", new_device=True)
        with suppress(Refused), transaction.atomic():
            say("session_revoked", reason="logout")
            raise Refused

    assert [name for name, _ in heard] == ["session_started"]


@pytest.mark.django_db(transaction=True)
def test_without_a_transaction_a_signal_is_sent_at_once(heard):
    """In autocommit, what is announced is committed already."""
    say("lost_commit", generation=9)

    assert [name for name, _ in heard] == ["lost_commit"]


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("session_started", logging.INFO),
        ("session_refreshed", logging.INFO),
        ("session_revoked", logging.INFO),
        ("network_changed", logging.INFO),
        ("refresh_token_reused", logging.WARNING),
        ("lost_commit", logging.ERROR),
    ],
)
@pytest.mark.django_db(transaction=True)
def test_theft_and_lost_commits_are_louder(log, name, level):
    """LG-02: Theft is logged as a warning, and lost commits as an error."""
    say(name)

    assert [record.levelno for record in log.records] == [level]


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING])
def test_a_report_is_a_record_with_fields(log, level):
    """LG-02: A security event is logged under its name, its facts as fields."""
    report("cookie_refused", level=level, cookie="x")

    [record] = log.records
    assert record.getMessage() == record.event == "cookie_refused"
    assert (record.levelno, record.cookie) == (level, "x")
    assert record.name == "rotating_sessions.security"


def logged() -> dict[str, set[str]]:
    """Return the events that the package logs, by its source, with their fields."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in Path(signals.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            called = getattr(getattr(node, "func", None), "id", "")
            if called not in {"report", "announce"} or not node.args:
                continue
            given = {keyword.arg for keyword in node.keywords} - {"level"}
            if called == "report" and isinstance(node.args[0], ast.Constant):
                found[node.args[0].value] |= given
            elif called == "announce" and node.args[0].id in SIGNALS:
                found[node.args[0].id] |= given | WHOSE
    return found


def test_each_event_has_its_fields_and_no_other():
    """LG-02: What is logged is these events, and what each tells is these fields."""
    assert logged() == EVENTS


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("hostile", ["x\r\nroot logged in", "\x1b[31m\x07", "\x85"])
def test_no_client_writes_into_the_log(log, api, user, hostile):
    """LG-03: Whatever a client calls itself, no record holds a control character."""
    headers = {
        "HTTP_USER_AGENT": hostile,
        "HTTP_X_FORWARDED_FOR": hostile,
        "HTTP_COOKIE": f"{REFRESH}={hostile}; {REFRESH}={hostile}",
    }
    guess = {"username": hostile, "password": hostile}
    for address in ("", hostile, "203.0.113.5"):
        api.log_in(user)
        for path in ("login", "refresh", "logout"):
            api.send(f"/auth/{path}/", guess, REMOTE_ADDR=address, **headers)
    login = {"username": user.username, "password": PASSWORD}
    api.send("/auth/login/", login, REMOTE_ADDR=hostile, **headers)

    ours = [record for record in log.records if hasattr(record, "event")]
    values = [
        str(getattr(record, name))
        for record in ours
        for name in ("msg", "event", *EVENTS[record.event])
    ]
    events = {record.event for record in ours}
    assert events == {"session_started", "address_unknown", "cookie_refused"}
    assert [value for value in values if not value.isprintable()] == []


@pytest.mark.django_db(transaction=True)
def test_a_receiver_that_raises_changes_nothing(rf, user):
    """RT-11: The session stays revoked, and the receivers after it still hear of it."""
    pair = log_in(rf, user)
    family_id = decode_refresh(pair.refresh).family_id

    def fail(**kwargs: Any) -> None:
        raise Refused

    def listen(**kwargs: Any) -> None:
        later.append(kwargs["family_id"])

    later: list[UUID] = []
    signals.session_revoked.connect(fail)
    signals.session_revoked.connect(listen)
    try:
        ended = revoke_session(family_id, reason=RevokedReason.LOGOUT)
    finally:
        signals.session_revoked.disconnect(fail)
        signals.session_revoked.disconnect(listen)

    family = SessionFamily.objects.get(pk=family_id)
    assert ended
    assert family.revoked_at is not None
    assert later == [family_id]


@pytest.mark.django_db(transaction=True)
def test_announcements_hold_no_token(rf, user, heard, caplog):
    """I-21, LG-01: Neither signals nor the log carry a token, digest or secret."""
    caplog.set_level(logging.DEBUG, logger="rotating_sessions")
    first = log_in(rf, user)
    token = decode_refresh(first.refresh)
    second = refresh_session(
        first.refresh, client=client_at("198.51.100.7"), transport="header"
    )
    revoke_session(token.family_id, reason=RevokedReason.STAFF)
    family = SessionFamily.objects.get(pk=token.family_id)

    said = str(heard) + str([record.__dict__ for record in caplog.records])

    secrets = [first.refresh, first.access, second.refresh, second.access]
    hidden = [family.secret, family.current_digest, family.previous_digest]
    assert [name for name, _ in heard] == [
        "session_started",
        "network_changed",
        "session_refreshed",
        "session_revoked",
    ]
    assert all(kwargs["user_pk"] == str(user.pk) for _, kwargs in heard)
    assert all(kwargs["family_id"] == family.pk for _, kwargs in heard)
    assert not any(secret in said for secret in secrets)
    assert not any(repr(bytes(value)) in said for value in hidden)
    assert not any(bytes(value).hex() in said for value in hidden)
