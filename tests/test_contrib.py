"""Counters of signals: the same events for Prometheus and for OpenTelemetry."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import prometheus_client
import pytest
from django.apps import apps
from django.test import modify_settings
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from rotating_sessions import signals
from rotating_sessions.contrib.events import EVENTS, count_events
from rotating_sessions.exceptions import RefreshTokenReused
from rotating_sessions.models import RevokedReason
from rotating_sessions.services import revoke_session, start_anonymous_session
from tests.acting import W, client_at, columns, log_in, present, restore, rows_of
from tests.browsing import TRAIN

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).parent.parent

# What was counted: by name and, where there is one, by the value of the label.
Counts = dict[tuple[str, str], float]


def install(name: str) -> Iterator[None]:
    """Put an app of contrib into INSTALLED_APPS, and take its counters off again."""
    app = f"rotating_sessions.contrib.{name}"
    with modify_settings(INSTALLED_APPS={"append": app}):
        yield
    for event in EVENTS:
        uid = f"rotating_sessions_{name}.{event.name}"
        assert event.signal.disconnect(dispatch_uid=uid)


@pytest.fixture
def prometheus() -> Iterator[Callable[[], Counts]]:
    """Return how to read what a scrape shows."""

    def read() -> Counts:
        return {
            (sample.name, "".join(sample.labels.values())): sample.value
            for family in prometheus_client.REGISTRY.collect()
            for sample in family.samples
            if sample.name.startswith("rotating_sessions_")
            and sample.name.endswith("_total")
        }

    installed = install("prometheus")
    next(installed)
    yield read
    next(installed, None)


@pytest.fixture(scope="session")
def reader() -> InMemoryMetricReader:
    """Return the reader of the one meter provider that a process can have."""
    found = InMemoryMetricReader()
    metrics.set_meter_provider(MeterProvider(metric_readers=[found]))
    return found


@pytest.fixture
def opentelemetry(reader: InMemoryMetricReader) -> Iterator[Callable[[], Counts]]:
    """Return how to read what an exporter would send."""

    def read() -> Counts:
        data = reader.get_metrics_data()
        found: Counts = {}
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                assert scope.scope.name == "rotating_sessions"
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        label = "".join(map(str, (point.attributes or {}).values()))
                        found[metric.name, label] = point.value
        return found

    installed = install("opentelemetry")
    next(installed)
    yield read
    next(installed, None)


@pytest.fixture(params=["prometheus", "opentelemetry"])
def read(request: pytest.FixtureRequest) -> Callable[[], Counts]:
    """Return how to read the counters of either app, which is installed."""
    return request.getfixturevalue(request.param)


def normal(counts: Counts) -> dict[tuple[str, str], float]:
    """Return the counts by the names that both apps have in common."""
    return {
        (re.sub(r"^rotating_sessions[._]|_total$", "", name), label): value
        for (name, label), value in counts.items()
    }


def increase(read: Callable[[], Counts], act: Callable[[], object]) -> Counts:
    """Return what an act adds to the counters."""
    before = normal(read())
    act()
    after = normal(read())
    changes = {key: value - before.get(key, 0) for key, value in after.items()}
    return {key: change for key, change in changes.items() if change}


def test_a_life_is_counted(read, rf, user, clock):
    """Login, refresh, another network, theft: each counts once, with its label."""

    def live() -> None:
        first = log_in(rf, user)
        newest = present(first, client_at(TRAIN))
        clock.forward(W)
        present(newest)
        clock.forward(W)
        with pytest.raises(RefreshTokenReused):
            present(first)

    assert increase(read, live) == {
        ("logins", "true"): 1,
        ("refreshes", ""): 2,
        ("network_changes", ""): 1,
        ("reuses", ""): 1,
        ("revocations", "reused"): 1,
    }


def test_a_known_device_and_a_revocation_are_counted_by_label(read, rf, user):
    """A second login on the device is none on a new one, and a reason is a label."""
    log_in(rf, user)

    def act() -> None:
        again = log_in(rf, user)
        revoke_session(rows_of(again).get().pk, reason=RevokedReason.STAFF)

    assert increase(read, act) == {
        ("logins", "false"): 1,
        ("revocations", "staff"): 1,
    }


def test_a_visitor_is_no_login(read, rf):
    """An anonymous session that starts is counted apart from logins."""
    counted = increase(read, lambda: start_anonymous_session(rf.get("/")))

    assert counted == {("anonymous_sessions", ""): 1}


def test_a_lost_commit_is_counted(read, first):
    """A token that is ahead of its row counts as a lost commit, and as a refresh."""
    saved = columns(first)
    ahead = present(first)
    restore(first, saved)

    counted = increase(read, lambda: present(ahead))

    assert counted == {("lost_commits", ""): 1, ("refreshes", ""): 1}


def test_all_kinds_are_there_from_the_start(prometheus):
    """LG-06: Prometheus shows each of few labels at 0 from the start, or misses one."""
    shown = normal(prometheus())

    expected = {
        (event.name, value) for event in EVENTS for value in event.values or ("",)
    }
    assert set(shown) == expected
    assert ("revocations", "unconfirmed_limit") in expected


def test_an_app_that_is_ready_twice_counts_once(read, rf, user):
    """Settings that are overridden in a test make every app ready again."""
    for config in apps.get_app_configs():
        if config.name.startswith("rotating_sessions.contrib"):
            config.ready()

    counted = increase(read, lambda: log_in(rf, user))

    assert counted == {("logins", "true"): 1}


def test_a_counter_that_fails_is_logged(rf, user, caplog):
    """Whatever a counter raises, the login goes on."""

    def fail(*args: object) -> None:
        raise RuntimeError("no metrics today")

    count_events("failing", fail)

    with caplog.at_level(logging.ERROR, logger="django.dispatch"):
        pair = log_in(rf, user)

    for event in EVENTS:
        event.signal.disconnect(dispatch_uid=f"failing.{event.name}")
    assert pair.refresh is not None
    assert "no metrics today" in caplog.text


def test_every_signal_is_counted():
    """No signal of the package is left out."""
    sent = {
        getattr(signals, name)
        for name in signals.__all__
        if name not in {"announce", "report"}
    }

    assert {event.signal for event in EVENTS} == sent


def test_every_counter_is_documented():
    """docs/operating.md lists each counter by both names, with its label."""
    text = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    section = text.split("\n## Metrics\n")[1].split("\n## ")[0]
    rows = re.findall(
        r"^\| `rotating_sessions_(\w+)_total` \| `rotating_sessions\.(\w+)` \| (.*?)\|",
        section,
        re.MULTILINE,
    )

    assert [row[:2] for row in rows] == [(event.name, event.name) for event in EVENTS]
    for row, event in zip(rows, EVENTS, strict=True):
        assert re.findall(r"^`(\w+)`", row[2]) == [event.label] * bool(event.label)


def test_a_site_without_contrib_needs_no_library():
    """The package starts where none of the libraries of contrib can be imported."""
    blocked = (
        "import sys\n"
        "blocked = 'prometheus_client', 'opentelemetry', 'allauth', 'drf_spectacular'\n"
        "sys.modules.update(dict.fromkeys(blocked))\n"
        "import django; django.setup()\n"
        "from rotating_sessions import middleware, urls, views"
    )

    subprocess.run(  # noqa: S603 - our own lines
        [sys.executable, "-c", blocked],
        cwd=ROOT,
        env={"DJANGO_SETTINGS_MODULE": "tests.settings"},
        check=True,
    )
