"""The page of sessions: what it shows, to whom, and at what cost."""

from __future__ import annotations

import pytest
from django.utils import timezone

from rotating_sessions.models import RevokedReason
from tests.factories import SessionFamilyFactory

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/account/sessions/"


@pytest.fixture
def browser(api, user):
    """Return a browser that is logged in, and warm."""
    api.log_in(user, "cookie")
    api.get("/plain/")
    return api


def test_page_takes_two_queries(browser, user, django_assert_num_queries):
    """One query reads the user, and one all the rest: sessions and thefts."""
    SessionFamilyFactory.create_batch(9, user=user)
    SessionFamilyFactory.create(
        user=user, revoked_at=timezone.now(), revoked_reason=RevokedReason.REUSED
    )

    with django_assert_num_queries(2):
        response = browser.get(URL)

    assert response.status_code == 200
    assert len(response.context["sessions"]) == 10
    assert len(response.context["thefts"]) == 1
