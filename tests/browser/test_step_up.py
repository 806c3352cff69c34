"""A sensitive page: the password is confirmed on the way, in the same session."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from rotating_sessions.models import SessionFamily
from tests.browser.visitor import family_of, press
from tests.factories import PASSWORD


@pytest.mark.parametrize(
    "scripts", [True, False], ids=["with scripts", "without scripts"]
)
def test_password_is_confirmed_on_the_way(visit, user, scripts):
    """A login that is not recent leads to the form, and the password to the page."""
    page = visit(java_script_enabled=scripts).sign_in(user)
    before = family_of(user)
    SessionFamily.objects.update(auth_time=timezone.now() - timedelta(hours=1))
    page.get_by_role("link", name="See what this site knows of you").click()
    page.wait_for_url("**/reauthenticate/**")

    press(page, "Confirm", "wrong")
    expect(page.get_by_role("alert")).to_have_text(
        "The password is wrong. You are still logged in."
    )
    press(page, "Confirm", PASSWORD)

    expect(page).to_have_url("/account/export/")
    after = family_of(user)
    assert after.pk == before.pk
    assert after.auth_time > before.auth_time
