"""What tests share: a clean process, a user, and a client that speaks JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache

from rotating_sessions import revocations
from rotating_sessions.transports import TokenPair
from tests import figures
from tests.acting import MOMENT, Clock, log_in
from tests.browsing import Api
from tests.factories import UserFactory


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --deep: the same tests, over far more states, rounds or inputs."""
    parser.addoption("--deep", action="store_true", help="run for longer")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the figures that the tests counted."""
    for line in figures.lines():
        terminalreporter.write_line(f"figure: {line}")


@pytest.fixture(scope="session")
def deep(request: pytest.FixtureRequest) -> bool:
    """Tell whether this is the run that takes its time."""
    return bool(request.config.getoption("--deep"))  # pragma: no cover - for proofs


@pytest.fixture(autouse=True)
def _clean_process() -> Iterator[None]:
    """Let no test see what another one made this process know."""
    revocations.reset()
    cache.clear()
    yield
    revocations.reset()


@pytest.fixture
def user(db: None) -> Any:
    """Return a user who can log in."""
    return UserFactory.create()


@pytest.fixture
def api() -> Api:
    """Return a browser or program at HOME."""
    return Api()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def first(rf: Any, user: Any, clock: Clock) -> TokenPair:
    """Return the pair of a login, a moment ago."""
    pair = log_in(rf, user)
    clock.forward(MOMENT)
    return pair
