"""The outside of a test: a client over HTTP, and what it can tell of an answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import OperationalError, connection
from django.http import HttpResponse
from django.test import Client as DjangoClient
from django.test.utils import CaptureQueriesContext

from rotating_sessions.models import RefreshToken, SessionFamily
from tests.factories import PASSWORD

HOME = "203.0.113.5"
TRAIN = "198.51.100.7"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
ACCESS = "__Host-rs_access"
REFRESH = "__Host-rs_refresh"


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

    def submit(self, path: str, form: Any = None, **extra: Any) -> HttpResponse:
        """Post a form of a page, with the CSRF token that is in it."""
        token = self.cookies["csrftoken"].value
        return self.post(path, {"csrfmiddlewaretoken": token, **(form or {})}, **extra)

    def log_in(
        self, user: Any, transport: str = "header", url: str = "/auth/"
    ) -> dict[str, Any]:
        """Log in over HTTP and return the answer's body."""
        if transport == "cookie":
            self.get(f"{url}login/")
        body = {"username": user.get_username(), "password": PASSWORD}
        response = self.send(f"{url}login/", {**body, "transport": transport})
        assert response.status_code == 200, response.content
        return json.loads(response.content)


def bearer(access: str) -> dict[str, str]:
    """Return the extra arguments that make a test request carry an access token."""
    return {"HTTP_AUTHORIZATION": f"Bearer {access}"}


def refusal(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def rows() -> list[Any]:
    """Return every row of the package, in full."""
    return [*SessionFamily.objects.values(), *RefreshToken.objects.values()]


def clears_cookies(response: Any) -> bool:
    """Tell whether the response makes the browser forget both session cookies."""
    return all(
        name in response.cookies
        and response.cookies[name].value == ""
        and response.cookies[name]["max-age"] == 0
        for name in (ACCESS, REFRESH)
    )


def touches_cookies(response: Any) -> bool:
    """Tell whether the response sets or clears any session cookie."""
    return ACCESS in response.cookies or REFRESH in response.cookies


def count(queries: CaptureQueriesContext) -> tuple[int, int]:
    """Return how many statements read and how many write."""
    verbs = [query["sql"].lstrip().split()[0] for query in queries.captured_queries]
    return verbs.count("SELECT"), sum(
        verb in {"INSERT", "UPDATE", "DELETE", "REPLACE"} for verb in verbs
    )


@contextmanager
def database_down(
    only: str = "", error: type[Exception] = OperationalError
) -> Iterator[None]:
    """Make the database fail every statement, or those with the given text in them."""

    def fail(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001
        if only in sql:
            raise error("the server has gone away")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(fail):
        yield
