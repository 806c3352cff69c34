"""The last chapters: a browser without scripts, on a server-rendered site."""

from __future__ import annotations

from example_project.demo.clients import Browser
from example_project.demo.scenery import AFTER_ACCESS, FIREFOX, HOME, WHOAMI
from example_project.demo.telling import Story
from example_project.logins import ADA

__all__ = ["browse"]

_SESSION_COOKIES = {"rs_access", "rs_refresh"}
_ACCOUNT = "/account/"
_REFRESH_PAGE = "/auth/refresh-page/"


def browse(story: Story, port: int) -> None:
    """
    Sign in by a form and by JSON, refresh on the way to a page, and log out.

    Raises:
        Unexpected: The server answered otherwise than it must.
    """
    browser = Browser(port, address=HOME, user_agent=FIREFOX)
    _sign_in(story, browser)
    _pass_refresh_page(story, browser)
    _sign_out(story, browser)
    _use_json(story, browser)


def _sign_in(story: Story, browser: Browser) -> None:
    story.step(
        "Ada signs in with a browser that runs no scripts.",
        "The tokens live in cookies that no script can read.",
    )
    asked = browser.get(_ACCOUNT)
    story.expect("browser", f"GET {_ACCOUNT}", asked, "302")
    page = browser.get(str(asked.location))
    story.expect("browser", "GET /sign-in/", page, "200")
    answer = browser.submit(
        page, "/sign-in/", username=ADA.username, password=ADA.password
    )
    story.expect("browser", "POST /sign-in/", answer, "302")
    story.claim("both session cookies are set", holds=_has_session(browser))
    _expect_account(story, browser)


def _pass_refresh_page(story: Story, browser: Browser) -> None:
    story.step(
        "Her access token expires, and she follows a link.",
        "The browser passes through the refresh page and comes back.",
    )
    old = dict(browser.cookies)
    story.wait(AFTER_ACCESS, "the access token has expired")
    asked = browser.get(_ACCOUNT)
    story.expect("browser", f"GET {_ACCOUNT}", asked, "302")
    page = browser.get(str(asked.location))
    story.expect("browser", f"GET {_REFRESH_PAGE}", page, "200")
    answer = browser.submit(page, _REFRESH_PAGE)
    story.expect("browser", f"POST {_REFRESH_PAGE}", answer, "302")
    story.claim("it leads back", holds=answer.location == _ACCOUNT)
    changed = all(browser.cookies[name] != old[name] for name in _SESSION_COOKIES)
    story.claim("both session cookies are new", holds=changed)
    _expect_account(story, browser)


def _sign_out(story: Story, browser: Browser) -> None:
    story.step("She presses “Log out”.")
    page = browser.get(_ACCOUNT)
    answer = browser.submit(page, "/sign-out/")
    story.expect("browser", "POST /sign-out/", answer, "302")
    gone = not _SESSION_COOKIES & browser.cookies.keys()
    story.claim("both session cookies are gone", holds=gone)
    story.expect("browser", f"GET {_ACCOUNT}", browser.get(_ACCOUNT), "302")


def _use_json(story: Story, browser: Browser) -> None:
    story.step(
        "A page with scripts does the same by JSON, in cookie transport.",
        "It sends the CSRF token, and no token is ever in a body.",
    )
    answer = browser.log_in(ADA)
    story.expect("script", "POST /auth/login/", answer, "200")
    story.claim("both session cookies are set", holds=_has_session(browser))
    story.expect("script", "POST /auth/refresh/", browser.post("/auth/refresh/"), "200")
    story.expect("script", f"GET {WHOAMI}", browser.get(WHOAMI), "200")
    story.expect("script", "POST /auth/logout/", browser.post("/auth/logout/"), "204")
    gone = not _SESSION_COOKIES & browser.cookies.keys()
    story.claim("both session cookies are gone", holds=gone)


def _expect_account(story: Story, browser: Browser) -> None:
    page = browser.get(_ACCOUNT)
    story.expect("browser", f"GET {_ACCOUNT}", page, "200")
    story.claim("it greets Ada", holds=f"Hello, {ADA.username}" in page.text)


def _has_session(browser: Browser) -> bool:
    return browser.cookies.keys() >= _SESSION_COOKIES
