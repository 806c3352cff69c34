"""Each page as people meet it: phone and desktop, day and night, without scripts."""

from __future__ import annotations

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

SCREENS = {"phone": (390, 844), "desktop": (1280, 900)}
# What a page is for: paths, and who may look.
FOR_ALL = ("/", "/sign-in/", "/auth/refresh-page/")
FOR_USERS = ("/account/",)
FOR_STAFF = ("/admin/rotating_sessions/sessionfamily/",)
# What Django's own pages of the admin do not keep to.
OF_THE_ADMIN = frozenset({"scrollable-region-focusable"})
LOOKS = pytest.mark.parametrize("scheme", ["light", "dark"])
SIZES = pytest.mark.parametrize("screen", sorted(SCREENS))


@pytest.fixture
def look(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Return what judges a page, and takes its picture if one is wanted."""
    folder: Path | None = request.config.getoption("--screenshots")

    def judge(page: Page, name: str, forgiven: frozenset[str] = frozenset()) -> None:
        found = Axe().run(page, options={"resultTypes": ["violations"]})
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=folder / f"{name}.png", full_page=True)
        grave = {
            violation["id"]: [node["html"] for node in violation["nodes"]]
            for violation in found.response["violations"]
            if violation["impact"] in {"serious", "critical"}
        }
        assert grave.keys() <= forgiven, grave
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= page.viewport_size["width"], "it has to be scrolled sideways"

    return judge


def come(visit: Callable[..., Visitor], screen: str, **options: Any) -> Visitor:
    width, height = SCREENS[screen]
    return visit(viewport={"width": width, "height": height}, **options)


def name_of(path: str, *looks: str) -> str:
    return "-".join((path.strip("/").replace("/", "-") or "home", *looks))


@LOOKS
@SIZES
def test_a_page_is_for_everybody(visit, user, look, screen, scheme):
    """No page of the example is hard to read or use, or breaks its own policy."""
    visitor = come(visit, screen, color_scheme=scheme)
    # The refresh page is left at once by its script.
    visitor.context.route(
        "**/rotating_sessions/refresh.js", lambda route: route.abort()
    )

    for path in FOR_ALL:
        look(visitor.open(path), name_of(path, screen, scheme))

    visitor.sign_in(user)
    for path in FOR_USERS:
        look(visitor.open(path), name_of(path, screen, scheme))


@SIZES
def test_a_page_of_the_admin_is_for_everybody(visit, user, look, screen):
    """No page of the admin is hard to read or use, or breaks the policy."""
    visit().sign_in(user)
    staff = UserFactory.create(is_staff=True, is_superuser=True)
    visitor = come(visit, screen)
    page = visitor.sign_in_to_admin(staff)

    for path in (*FOR_STAFF, *(f"{FOR_STAFF[0]}{family_of(user).pk}/change/",)):
        page.goto(path)
        look(
            page,
            name_of(path.replace(str(family_of(user).pk), "one"), screen),
            OF_THE_ADMIN,
        )


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
