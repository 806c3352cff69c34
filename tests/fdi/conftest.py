"""What these tests share with those of the browser: Chromium, and visitors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import settings as suite
from tests.browser.conftest import _database, browser, visit, visitor
from tests.browser.server import serve
from tests.faults.elsewhere import database_url
from tests.fdi.sdk import build_sdk

__all__ = ["_database", "browser", "visit", "visitor"]


@pytest.fixture(scope="session")
def _sdk() -> None:
    """Put the SDK where the site finds it among its static files."""
    build_sdk(suite.FILES / "build" / "supertokens" / "supertokens.js")


@pytest.fixture(scope="session")
def site(_sdk: None, django_db_setup: None) -> Iterator[str]:
    """Return the address of the site that the front end is on, and its API."""
    with serve(database_url(), settings="tests.fdi.settings") as address:
        yield address


@pytest.fixture(scope="session")
def api_site(django_db_setup: None) -> Iterator[str]:
    """Return the address of the same API on an origin of its own."""
    with serve(database_url(), settings="tests.fdi.settings") as address:
        yield address


@pytest.fixture(scope="session")
def token_site(_sdk: None, django_db_setup: None) -> Iterator[str]:
    """Return the address of the same site with anti-CSRF tokens."""
    with serve(database_url(), settings="tests.fdi.token_settings") as address:
        yield address
