"""A front end of allauth's, and who uses it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.allauth.acting import App, Browser, give_address
from tests.browsing import Api
from tests.factories import PASSWORD


@pytest.fixture
def app() -> App:
    """Return a native app, at HOME."""
    return App(Api())


@pytest.fixture
def browser(api: Api) -> Browser:
    """Return a browser at a page of the site, at HOME."""
    return Browser(api)


@pytest.fixture
def address(user: Any) -> str:
    """Return the user's verified address."""
    return give_address(user)


@pytest.fixture
def logged_in(app: App, user: Any) -> App:
    """Return an app whose user has just logged in with the password."""
    body = {"username": user.get_username(), "password": PASSWORD}
    assert app.post("auth/login", body).status_code == 200
    return app
