"""A front end as its developers left it: the SDK on a page, and what it does there."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from playwright.sync_api import Page

from tests.browser.visitor import Visitor
from tests.factories import PASSWORD

__all__ = ["FrontEnd", "open_front_end", "refreshes"]

_INIT = """([api, mode, timeout]) => {
  // Which docs/supertokens.md has, for answers that may hang.
  const preAPIHook = async (context) => {
    if (context.action === "REFRESH_SESSION") {
      context.requestInit.signal = AbortSignal.timeout(timeout);
    }
    return context;
  };
  window.api = api;
  window.events = [];
  SuperTokens.init({
    apiDomain: api,
    apiBasePath: "/auth",
    tokenTransferMethod: mode,
    onHandleEvent: ({ action }) => events.push(action),
    ...(timeout ? { preAPIHook } : {}),
  });
}"""
_FETCH = """async ([path, init]) => {
  try {
    const response = await fetch(api + path, init);
    return [response.status, await response.json().catch(() => null)];
  } catch (error) {
    return [0, error.message ?? "failed"];
  }
}"""
_XHR = """([path]) => new Promise((done) => {
  const request = new XMLHttpRequest();
  request.open("GET", api + path);
  request.onload = () => done([request.status, JSON.parse(request.responseText)]);
  request.onerror = () => done([0, "failed"]);
  request.send();
})"""


class FrontEnd:
    """One tab of it."""

    def __init__(
        self, page: Page, api: str, mode: str, timeout: float | None = None
    ) -> None:
        self.page, self.api, self.mode, self.timeout = page, api, mode, timeout
        self.start()

    def start(self) -> None:
        """Start the SDK on the page, as each page load does."""
        self.page.evaluate(_INIT, [self.api, self.mode, self.timeout])

    def reload(self) -> None:
        """Load the page again."""
        self.page.reload()
        self.start()

    def fetch(self, path: str, **init: Any) -> list[Any]:
        """Return status and JSON, or 0 and what the SDK threw."""
        answer: list[Any] = self.page.evaluate(_FETCH, [path, init])
        return answer

    def post(self, path: str, body: str) -> list[Any]:
        """Post JSON."""
        headers = {"Content-Type": "application/json"}
        return self.fetch(path, method="POST", headers=headers, body=body)

    def xhr(self, path: str) -> list[Any]:
        """Get by the older way of browsers."""
        answer: list[Any] = self.page.evaluate(_XHR, [path])
        return answer

    def sign_in(self, user: AbstractBaseUser) -> list[Any]:
        """Sign in."""
        body = f'{{"username": "{user.get_username()}", "password": "{PASSWORD}"}}'
        return self.post("/api/sign-in", body)

    def refresh(self) -> bool:
        """Let the SDK refresh, due or not; tell whether there is a session after it."""
        there: bool = self.page.evaluate("SuperTokens.attemptRefreshingSession()")
        return there

    def sign_out(self) -> None:
        """Sign out."""
        self.page.evaluate("SuperTokens.signOut()")

    def has_session(self) -> bool:
        """Tell whether the SDK believes to have one."""
        there: bool = self.page.evaluate("SuperTokens.doesSessionExist()")
        return there

    def events(self) -> list[str]:
        """Return what the SDK has told its page."""
        events: list[str] = self.page.evaluate("events")
        return events


def open_front_end(
    visitor: Visitor,
    *,
    mode: str = "cookie",
    api: str | None = None,
    timeout: float | None = None,
) -> FrontEnd:
    """Open the front end in a new tab; with a timeout, it gives refreshes up."""
    return FrontEnd(visitor.open(), api or visitor.address, mode, timeout)


def refreshes(visitor: Visitor) -> int:
    """Return how many refreshes the SDK has sent to the site that it is on."""
    return visitor.sent.count("POST /auth/session/refresh")
