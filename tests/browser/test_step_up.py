"""A sensitive page: the password is confirmed on the way, in the same session."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from rotating_sessions.models import SessionFamily
from tests.browser.visitor import Visitor, family_of
from tests.factories import PASSWORD


def confirm(page: Page, password: str) -> None:
    """Send the password, again where the session had to be renewed first."""
    while True:
        page.get_by_label("Your password").fill(password)
        page.get_by_role("button", name="Confirm").click()
        page.wait_for_url(lambda address: "refresh-page" not in address)
        if not page.get_by_role("status").count():
            return


@pytest.mark.parametrize("screen", [(390, 844), (1280, 900)])
def test_password_is_confirmed_on_the_way(visit, user, screen):
    """A login that is not recent leads to the form, and the password to the page."""
    width, height = screen
    visitor: Visitor = visit(viewport={"width": width, "height": height})
    page = visitor.sign_in(user)
    before = family_of(user)
    SessionFamily.objects.update(auth_time=timezone.now() - timedelta(hours=1))
    page.get_by_role("link", name="See what this site knows of you").click()
    page.wait_for_url("**/reauthenticate/**")

    confirm(page, "wrong")
    expect(page.get_by_role("alert")).to_have_text(
        "The password is wrong. You are still logged in."
    )
    confirm(page, PASSWORD)

    expect(page).to_have_url("/account/export/")
    after = family_of(user)
    assert after.pk == before.pk
    assert after.auth_time > before.auth_time
