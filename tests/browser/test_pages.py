"""Each page as people meet it: phone and desktop, day and night, without scripts."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.scenery import AFTER_ACCESS
from tests.browser.visitor import Visitor, family_of
from tests.factories import PASSWORD, UserFactory

# Layouts depend on the width, and contrasts on the scheme.
SCREENS = {
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
    "desktop": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
}
FOR_ALL = ("/", "/sign-in/")
LOGGED_OUT = "/account/sessions/logged-out/"
FOR_USERS = (
    "/account/",
    "/account/sessions/",
    "/account/sessions/log-out-everywhere/",
    "/account/sessions/reauthenticate/?next=%2F",
)
SESSIONS = "/admin/rotating_sessions/sessionfamily/"
# What Django's own pages of the admin do not keep to.
OF_THE_ADMIN = {"scrollable-region-focusable"}
ON_SCREENS = pytest.mark.parametrize("screen", sorted(SCREENS))


@pytest.fixture
def look(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Return what judges a page, and takes its picture if one is wanted."""
    folder: Path | None = request.config.getoption("--screenshots")

    def judge(page: Page, path: str, *looks: str, forgiven: Any = ()) -> None:
        expect(page).to_have_url(path)
        found = Axe().run(page, options={"resultTypes": ["violations"]})
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            name = "-".join(("page", *re.findall(r"(?<=/)[a-z_-]+(?=/)", path), *looks))
            page.screenshot(path=folder / f"{name}.png", full_page=True)
        grave = {
            violation["id"]: [node["html"] for node in violation["nodes"]]
            for violation in found.response["violations"]
            if violation["impact"] in {"serious", "critical"}
        }
        assert grave.keys() <= {*forgiven}, grave
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= page.viewport_size["width"], "it has to be scrolled sideways"

    return judge


def see_refresh_page(visitor: Visitor) -> Page:
    """Open the refresh page, which its script leaves at once where it is let."""
    script = "**/rotating_sessions/refresh.js"
    visitor.context.route(script, lambda route: route.abort())
    page = visitor.open("/auth/refresh-page/")
    visitor.context.unroute(script)
    return page


@ON_SCREENS
def test_a_page_is_for_everybody(visit, user, look, screen):
    """No page of the example is hard to read or use, or breaks its own policy."""
    visitor = visit(**SCREENS[screen])
    for path in FOR_ALL:
        look(visitor.open(path), path, screen)
    look(see_refresh_page(visitor), "/auth/refresh-page/", screen)

    visitor.sign_in(user)

    for path in FOR_USERS:
        look(visitor.open(path), path, screen)
    page = visitor.open("/account/sessions/")
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(LOGGED_OUT)
    look(page, LOGGED_OUT, screen)


@ON_SCREENS
def test_the_packages_own_dress_is_for_everybody(plain_site, visit, user, look, screen):
    """The package's own templates are as easy to read and use as a site's."""
    visitor = visit(plain_site, **SCREENS[screen])
    look(see_refresh_page(visitor), "/auth/refresh-page/", screen, "plain")

    visitor.sign_in(user)

    for path in FOR_USERS[1:]:
        look(visitor.open(path), path, screen, "plain")


@ON_SCREENS
def test_a_page_of_the_admin_is_for_everybody(visit, user, look, screen):
    """No page of the admin is hard to read or use, or breaks the policy."""
    visit().sign_in(user)
    staff = UserFactory.create(is_staff=True, is_superuser=True)
    page = visit(**SCREENS[screen]).sign_in_to_admin(staff)

    for path in (SESSIONS, f"{SESSIONS}{family_of(user).pk}/change/"):
        page.goto(path)
        look(page, path, screen, forgiven=OF_THE_ADMIN)


def test_pages_do_without_scripts(visit, user):
    """Without scripts a user signs in, passes the refresh page and logs out."""
    page = visit(java_script_enabled=False).open("/account/")
    page.get_by_label("User name").fill(user.get_username())
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url("/account/")
    time.sleep(AFTER_ACCESS)
    page.reload()
    page.get_by_role("button", name="Continue").click()
    expect(page).to_have_url("/account/")
    assert family_of(user).generation == 1

    page.get_by_role("button", name="Log out", exact=True).click()

    expect(page).to_have_url("/")
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    assert family_of(user).revoked_reason == "logout"
