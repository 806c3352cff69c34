"""What tests share: a clean process, a user, and a client that speaks JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client as DjangoClient

from rotating_sessions import revocations
from rotating_sessions.clients import Client
from rotating_sessions.services import start_session
from rotating_sessions.transports import TokenPair
from tests.factories import PASSWORD, UserFactory

HOME = "203.0.113.5"
TRAIN = "198.51.100.7"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


class Api(DjangoClient):
    """A client that posts JSON, comes from HOME and has to pass the CSRF check."""

    def __init__(self, **defaults: Any) -> None:
        defaults = {"REMOTE_ADDR": HOME, "HTTP_USER_AGENT": FIREFOX, **defaults}
        super().__init__(enforce_csrf_checks=True, **defaults)

    def send(self, path: str, body: Any = None, **extra: Any) -> HttpResponse:
        """Post a JSON body, with the CSRF token of the jar where it holds one."""
        if "csrftoken" in self.cookies:
            extra.setdefault("HTTP_X_CSRFTOKEN", self.cookies["csrftoken"].value)
        text = json.dumps({} if body is None else body)
        return self.post(path, text, content_type="application/json", **extra)

    def log_in(self, user: Any, transport: str = "header") -> dict[str, Any]:
        """Log in over HTTP and return the answer's body."""
        if transport == "cookie":
            self.get("/auth/login/")
        body = {"username": user.get_username(), "password": PASSWORD}
        response = self.send("/auth/login/", {**body, "transport": transport})
        assert response.status_code == 200, response.content
        return json.loads(response.content)


def bearer(access: str) -> dict[str, str]:
    """Return the extra arguments that make a test request carry an access token."""
    return {"HTTP_AUTHORIZATION": f"Bearer {access}"}


def client_at(address: str | None = HOME) -> Client:
    """Return the client value that `services` takes, as seen from an address."""
    network = None if address is None else f"{address}/32"
    return Client(ip_address=address, network=network, user_agent=FIREFOX)


def log_in(rf: Any, user: Any, *, transport: str = "header") -> TokenPair:
    """Start a session through the service, from HOME."""
    request = rf.post("/login/", REMOTE_ADDR=HOME, HTTP_USER_AGENT=FIREFOX)
    return start_session(request, user, transport=transport)


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
