"""The row of Django's sessions beside a session of ours."""

from __future__ import annotations

from uuid import UUID

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session

from rotating_sessions.contrib.allauth.state import FamilyKey, settle

pytestmark = pytest.mark.django_db

FAMILY = UUID("0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0")


def test_what_another_request_noted_first_stays(rf):
    """Of two requests that settle at once, the second adds to what the first wrote."""
    first = SessionStore(session_key=FamilyKey.of(FAMILY))
    first.save(must_create=True)
    first["noted"] = "first"
    first.save()
    request = rf.get("/")
    request.session = SessionStore()
    request.session["also"] = "second"
    request.session.save()

    settle(request, FAMILY)
    request.session.save()

    row = Session.objects.get()
    assert row.pk == FamilyKey.of(FAMILY)
    assert row.get_decoded() == {"noted": "first", "also": "second"}


def test_a_key_tells_nothing_of_its_session():
    """The key is 160 bits that only the site can derive."""
    key = FamilyKey.of(FAMILY)

    assert len(key) == 40
    assert FAMILY.hex not in key
    assert key != FamilyKey.of(UUID(int=FAMILY.int + 1))
