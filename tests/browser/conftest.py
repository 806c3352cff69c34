"""What the browser tests share: the system's Chromium, a site, and visitors."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.server import serve
from tests.browser.visitor import Visitor
from tests.faults.elsewhere import database_url

_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *(
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ),
)
# Playwright's loop runs in this thread, where Django then suspects async code.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --screenshots: where to put a picture of each page."""
    parser.addoption("--screenshots", type=Path, help="a folder for pictures of pages")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Return the system's Chromium: a machine without one fails."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.fail(
            "There is no `chromium` on PATH. On Debian: apt-get install chromium"
        )
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=chromium,
            args=_FLAGS,
            # Which users have.
            ignore_default_args=["--disable-back-forward-cache"],
        )
        yield running
        running.close()


@pytest.fixture(autouse=True)
def _database(django_db_reset_sequences: None) -> None:
    """Commit for real, because the server has to see it, by the ids that it knows."""


@pytest.fixture(scope="session")
def site(django_db_setup: None) -> Iterator[str]:
    """Return the address of the example project, served on this test's database."""
    with serve(database_url()) as address:
        yield address


@pytest.fixture(scope="session")
def plain_site(django_db_setup: None) -> Iterator[str]:
    """Return the address of the same site with the package's own templates."""
    with serve(database_url(), settings="tests.browser.plain_settings") as address:
        yield address


@pytest.fixture
def visit(browser: Browser, site: str) -> Iterator[Callable[..., Visitor]]:
    """Return what makes visitors, whose browsers may complain of nothing."""
    visitors: list[Visitor] = []

    def come(address: str = site, **options: Any) -> Visitor:
        visitors.append(Visitor(browser, address, **options))
        return visitors[-1]

    yield come
    complaints = [line for visitor in visitors for line in visitor.complaints]
    for visitor in visitors:
        visitor.context.close()
    assert complaints == []


@pytest.fixture
def visitor(visit: Callable[..., Visitor]) -> Visitor:
    """Return somebody with a browser at a desk."""
    return visit()
