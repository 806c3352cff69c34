"""What users do on the page with their sessions."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import Page, expect

from rotating_sessions.models import RevokedReason, SessionFamily
from tests.browser.scenery import AFTER_ACCESS, AFTER_GRACE
from tests.browser.visitor import Visitor, press
from tests.factories import PASSWORD

SESSIONS = "/account/sessions/"
WITH_AND_WITHOUT = pytest.mark.parametrize(
    "scripts", [True, False], ids=["with scripts", "without scripts"]
)


def devices(page: Page) -> int:
    """Return how many sessions the page lists."""
    return page.get_by_role("list", name="Devices").get_by_role("listitem").count()


def expect_signed_out(visitor: Visitor) -> None:
    """Open a page that is for users, and see that it asks to sign in."""
    page = visitor.open("/account/")
    expect(page).to_have_url("/sign-in/?next=/account/")


def reasons(user) -> list[str | None]:
    """Return why the user's sessions ended, the first one first."""
    rows = SessionFamily.objects.filter(user_pk=str(user.pk)).order_by("created_at")
    return [row.revoked_reason or None for row in rows]


@WITH_AND_WITHOUT
def test_one_session_is_ended(visit, user, scripts):
    """A user ends the session on one device, and goes on with the other."""
    desk, phone = visit(java_script_enabled=scripts), visit()
    phone.sign_in(user)
    page = desk.sign_in(user, SESSIONS)
    assert devices(page) == 2

    press(page, "End session")

    expect(page.get_by_role("status")).to_be_visible()
    assert devices(page) == 1
    expect_signed_out(phone)
    assert reasons(user) == [RevokedReason.ENDED_BY_USER, None]


@WITH_AND_WITHOUT
def test_all_other_sessions_are_ended(visit, user, scripts):
    """A user ends the sessions on all other devices, and stays signed in."""
    desk, *others = visit(java_script_enabled=scripts), visit(), visit()
    for other in others:
        other.sign_in(user)
    page = desk.sign_in(user, SESSIONS)

    press(page, "End all other sessions")

    expect(page.get_by_role("status")).to_be_visible()
    assert devices(page) == 1
    for other in others:
        expect_signed_out(other)
    assert reasons(user).count(None) == 1


@WITH_AND_WITHOUT
def test_logging_out_everywhere_takes_the_password(visit, user, scripts):
    """A wrong password logs nobody out, and the right one everybody."""
    desk, phone = visit(java_script_enabled=scripts), visit()
    phone.sign_in(user)
    page = desk.sign_in(user, SESSIONS)
    page.get_by_role("link", name="Log out everywhere").click()
    press(page, "Log out everywhere", "wrong")
    expect(page.get_by_role("alert")).to_contain_text("wrong")
    assert reasons(user) == [None, None]

    press(page, "Log out everywhere", PASSWORD)

    expect(page).to_have_url("/account/sessions/logged-out/")
    for visitor in (desk, phone):
        expect_signed_out(visitor)
    assert reasons(user) == [RevokedReason.LOGOUT_EVERYWHERE] * 2


def test_a_theft_is_told_at_the_next_login(visit, user):
    """After a theft the page says what was done and what to do, until it is closed."""
    victim, thief = visit(), visit()
    victim.sign_in(user)
    thief.context.add_cookies(victim.context.cookies())
    time.sleep(AFTER_ACCESS)
    thief.open("/account/")
    time.sleep(AFTER_GRACE)
    victim.open("/account/")
    page = victim.sign_in(user, SESSIONS)
    expect(page.get_by_role("region", name="We ended a session")).to_be_visible()

    press(page, "Close this notice")

    expect(page.get_by_role("region", name="We ended a session")).to_have_count(0)
    assert reasons(user) == [RevokedReason.REUSED, None]
