"""What happens to a session while somebody looks at the example's pages."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from rotating_sessions.models import RevokedReason
from tests.browser.scenery import (
    AFTER_ACCESS,
    AFTER_GRACE,
    HOME,
    POLL_INTERVAL,
    TRAIN,
)
from tests.browser.visitor import call, family_of, log_in
from tests.factories import UserFactory


def press(page: Page) -> None:
    """Let the page's script ask the API."""
    page.get_by_role("button", name="Call it from this page").click()


def expect_answer(page: Page, user: Any) -> None:
    """Let the page's script ask the API, and see that it was answered."""
    press(page)
    expect(page.get_by_role("status")).to_contain_text(user.get_username())


def expect_signed_out(page: Page) -> None:
    expect(page).to_have_url("/sign-in/")


def test_a_change_of_network_needs_no_login(visitor, user):
    """On another network the page refreshes by itself, and back home not even that."""
    visitor.go_to(HOME)
    page = visitor.sign_in(user)
    visitor.go_to(TRAIN)
    visitor.sent.clear()

    expect_answer(page, user)

    assert visitor.refreshes() == 1
    visitor.go_to(HOME)
    expect_answer(page, user)
    expect(page).to_have_url("/account/")
    assert family_of(user).revoked_at is None


@pytest.mark.parametrize("first", ["thief", "victim"])
def test_a_stolen_cookie_ends_the_session_for_both(visit, user, first):
    """Whoever refreshes second, after the grace period, ends it: both are told."""
    victim, thief = visit(), visit()
    page = victim.sign_in(user)
    thief.context.add_cookies(victim.context.cookies())
    copy = thief.open("/account/")
    expect(copy.get_by_role("heading", name=user.get_username())).to_be_visible()
    ahead, behind = (copy, page) if first == "thief" else (page, copy)
    time.sleep(AFTER_ACCESS)
    expect_answer(ahead, user)
    time.sleep(AFTER_GRACE)

    press(behind)

    expect_signed_out(behind)
    time.sleep(POLL_INTERVAL)
    press(ahead)
    expect_signed_out(ahead)
    assert family_of(user).revoked_reason == RevokedReason.REUSED


def test_every_tab_is_told_of_a_logout(visitor, user):
    """A logout in one tab takes the other ones home, too."""
    page = visitor.sign_in(user)
    other = visitor.open("/account/")

    page.get_by_role("button", name="Log out", exact=True).click()

    for tab in (page, other):
        expect(tab).to_have_url("/")
    assert family_of(user).revoked_reason == RevokedReason.LOGOUT


def test_a_device_is_ended_from_another(visit, user):
    """A session that is ended on another device is told at its next request."""
    desk, phone = visit(), visit()
    page = desk.sign_in(user)
    elsewhere = phone.sign_in(user)
    page.reload()

    page.get_by_role("button", name="End the session on").click()

    expect(page.get_by_role("button", name="End the session on")).to_have_count(0)
    time.sleep(POLL_INTERVAL)
    press(elsewhere)
    expect_signed_out(elsewhere)
    expect_answer(page, user)


def test_staff_end_a_session_in_the_admin(visit, user):
    """What staff revoke in the admin is over in the other browser within the poll."""
    staff = UserFactory.create(is_staff=True, is_superuser=True)
    desk, office = visit(), visit()
    page = desk.sign_in(user)
    admin = office.sign_in_to_admin(staff)
    admin.goto("/admin/rotating_sessions/sessionfamily/")
    admin.get_by_role("checkbox").last.check()
    admin.get_by_label("Action:").select_option(label="Revoke selected sessions")

    # Django 6.1 has another word for it.
    admin.get_by_role("button", name=re.compile("Run|Go")).click()

    expect(admin.locator(".messagelist")).to_be_visible()
    time.sleep(POLL_INTERVAL)
    press(page)
    expect_signed_out(page)
    assert family_of(user).revoked_reason == RevokedReason.STAFF


def test_a_page_that_was_put_aside_goes_on(visitor, user):
    """A page from the back/forward cache refreshes and works, however old it is."""
    # Not in the page itself: it is not put aside where its cookies have changed.
    log_in(visitor.open_client(), user)
    page = visitor.open_client()
    page.evaluate(
        "addEventListener('pageshow', (event) => { window.back = event.persisted; })"
    )
    page.goto("/static/example_project/icon.svg")
    time.sleep(AFTER_ACCESS)

    # Playwright's own `go_back` waits for a page to load, which this one does not.
    page.evaluate("history.back()")

    page.wait_for_function("() => window.back")
    assert call(page, "/api/whoami/")[0] == 200
    assert page.evaluate("ended") == []


def test_the_way_back_to_an_old_page_is_open(visitor, user):
    """A page that no cache may keep comes back by way of the refresh page."""
    page = visitor.sign_in(user)
    page.get_by_role("link", name="Rotating sessions").click()
    expect(page).to_have_url("/")
    time.sleep(AFTER_ACCESS)

    page.go_back()

    expect(page).to_have_url("/account/")
    expect_answer(page, user)
    assert family_of(user).generation >= 1


def test_a_duplicated_tab_is_no_thief(visitor, user):
    """A tab and its duplicate go on side by side, through refresh after refresh."""
    page = visitor.sign_in(user)
    with visitor.context.expect_page() as opened:
        page.evaluate("window.open(location.href)")
    duplicate = opened.value

    for _ in range(3):
        time.sleep(max(AFTER_ACCESS, AFTER_GRACE))
        for tab in (duplicate, page):
            expect_answer(tab, user)

    family = family_of(user)
    assert family.revoked_at is None
    assert family.generation >= 3
