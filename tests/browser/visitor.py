"""Somebody with a browser: their pages, and what the browser sent and logged."""

from __future__ import annotations

import re
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Route,
    TimeoutError,  # noqa: A004 - Playwright's
    WebError,
)

from rotating_sessions.models import SessionFamily
from tests.factories import PASSWORD

__all__ = ["Visitor", "call", "family_of", "log_in", "meddle", "press"]

# The browser logs each answer that is no success. Whether it was due, a test knows.
_ROUTINE = "Failed to load resource"
_NOT_ON_THE_WAY = re.compile(r"^(?!.*/refresh-page/)")
# What a page says whose form was sent after the access token's end.
_RENEWED = "Nothing has been changed yet"
_LOAD = """async (options) => {
  const { SessionClient } = await import("/static/rotating_sessions/client.js");
  window.client = new SessionClient(options);
  window.ended = [];
  client.addEventListener("ended", ({ detail }) => ended.push(detail.code));
}"""
_CALL = """async ([url, init]) => {
  try {
    const response = await client.fetch(url, init);
    return [response.status, await response.json().catch(() => null)];
  } catch (error) {
    return [0, error.name];
  }
}"""


class Visitor:
    """A browser with cookies of its own, which any number of tabs share."""

    def __init__(self, browser: Browser, address: str, **options: Any) -> None:
        self.address = address
        self.complaints: list[str] = []
        self.sent: list[str] = []
        self.failed: list[str] = []
        self.context: BrowserContext = browser.new_context(base_url=address, **options)
        self.context.set_default_timeout(10_000)
        self.context.on("console", self._hear)
        self.context.on("weberror", self._hear_error)
        self.context.on("request", self._see)
        self.context.on("requestfailed", self._miss)

    def open(self, path: str = "/") -> Page:
        """Open a page in a new tab."""
        page = self.context.new_page()
        page.goto(path)
        return page

    def sign_in(self, user: AbstractBaseUser, path: str = "/account/") -> Page:
        """Open a page that asks to sign in, do so, and return the page."""
        page = self.open(path)
        page.get_by_label("User name").fill(user.get_username())
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(path)
        return page

    def open_client(self, **options: Any) -> Page:
        """Open a page that nothing but a session client runs in, as `client`."""
        page = self.open()
        self.load_client(page, **options)
        return page

    def load_client(self, page: Page, **options: Any) -> None:
        """Make a session client on a page, as `client`."""
        page.evaluate(_LOAD, options)

    def sign_in_to_admin(self, user: AbstractBaseUser) -> Page:
        """Open the admin, which has a login of its own, and return the page."""
        page = self.open("/admin/")
        page.get_by_label("Username").fill(user.get_username())
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url("/admin/")
        return page

    def go_to(self, address: str, *, delay: float = 0) -> None:
        """Come from this address of the net, with answers to refreshes this late."""
        headers = {"X-Forwarded-For": address, "Delay-Answers": str(delay)}
        self.context.set_extra_http_headers(headers)

    def refreshes(self) -> int:
        """Return how many refreshes the browser has sent."""
        return self.sent.count("POST /auth/refresh/")

    def _see(self, request: Request) -> None:
        self.sent.append(f"{request.method} {request.url.removeprefix(self.address)}")

    def _miss(self, request: Request) -> None:
        self.failed.append(request.url.removeprefix(self.address))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and _ROUTINE not in message.text:
            self.complaints.append(message.text)

    def _hear_error(self, error: WebError) -> None:
        self.complaints.append(str(error.error))


def meddle(page: Page, *, times: int = 1, **headers: str) -> None:
    """Send these headers with the next refreshes, which `site` acts upon."""

    def add(route: Route) -> None:
        route.continue_(headers={**route.request.headers, **headers})

    page.route("**/auth/refresh/", add, times=times)


def press(page: Page, button: str, password: str | None = None) -> None:
    """Press a button, and again where the session had to be renewed first."""
    while True:
        if password is not None:
            page.get_by_label("Your password").fill(password)
        with page.expect_navigation():
            page.get_by_role("button", name=button).click()
        try:
            page.wait_for_url(_NOT_ON_THE_WAY, timeout=3_000)
        except TimeoutError:
            # Where there are no scripts, nobody else presses it.
            page.get_by_role("button", name="Continue").click()
            page.wait_for_url(_NOT_ON_THE_WAY)
        if not page.get_by_text(_RENEWED).count():
            return


def log_in(page: Page, user: AbstractBaseUser) -> int:
    """Log in by the page's client, and return the status."""
    credentials = {"username": user.get_username(), "password": PASSWORD}
    status: int = page.evaluate(
        "async (credentials) => (await client.login(credentials)).status", credentials
    )
    return status


def call(page: Page, url: str, **init: Any) -> list[Any]:
    """Fetch by the page's client; return status and JSON, or 0 and the error's name."""
    answer: list[Any] = page.evaluate(_CALL, [url, init])
    return answer


def family_of(user: AbstractBaseUser) -> SessionFamily:
    """Return the one session that the user has ever had."""
    return SessionFamily.objects.get(user_pk=str(user.pk))
