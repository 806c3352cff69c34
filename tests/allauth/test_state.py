"""The row of Django's sessions beside a session of ours."""

from __future__ import annotations

from uuid import UUID

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import connection

from rotating_sessions.contrib.allauth.state import FamilyKey, find_state, settle

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


def note(**noted):
    """Write the state beside the session, as a request does, and return its key."""
    key = FamilyKey.of(FAMILY)
    state = SessionStore(session_key=key)
    state.save(must_create=True)
    state.update(noted)
    state.save()
    return key


def replace_key(settings, keep):
    """Replace SECRET_KEY, and keep the last ones of the former as fallbacks."""
    former = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    settings.SECRET_KEY = f"{settings.SECRET_KEY} and another"
    settings.SECRET_KEY_FALLBACKS = former[:keep]


@pytest.mark.parametrize("times", [1, 2])
def test_a_new_secret_key_loses_no_state(settings, times):
    """What was noted under a fallback is found, and moves under the new key."""
    before = note(factor="totp")
    for _ in range(times):
        replace_key(settings, keep=times)

    state = find_state(FamilyKey.of(FAMILY))

    assert dict(state.items()) == {"factor": "totp"}
    row = Session.objects.get()
    assert row.pk == state.session_key == FamilyKey.of(FAMILY) != before
    assert row.get_decoded() == {"factor": "totp"}


def test_what_is_noted_under_the_new_key_stays(settings):
    """A state that was moved is found without another look at the old key."""
    note(factor="password")
    replace_key(settings, keep=1)
    note(factor="totp")

    state = find_state(FamilyKey.of(FAMILY))

    assert state["factor"] == "totp"
    assert Session.objects.count() == 2


def test_of_two_requests_that_move_a_state_each_keeps_what_the_other_noted(settings):
    """Who comes second adds what the first has not."""
    note(factor="password", half="secret")
    replace_key(settings, keep=1)

    def move_first(execute, sql, params, many, context):
        # Between the look for the new row and the one for the old.
        if not moved and "django_session" in sql and FamilyKey.of(FAMILY) in params:
            moved.append(True)
            found = execute(sql, params, many, context)
            note(factor="totp")
            return found
        return execute(sql, params, many, context)

    moved = []
    with connection.execute_wrapper(move_first):
        state = find_state(FamilyKey.of(FAMILY))

    assert dict(state.items()) == {"factor": "totp", "half": "secret"}
    assert Session.objects.get().get_decoded() == dict(state.items())


def test_without_its_secret_key_a_state_is_not_found(settings):
    """A key that is no fallback any more finds nothing; allauth begins anew."""
    note(factor="totp")
    replace_key(settings, keep=0)

    state = find_state(FamilyKey.of(FAMILY))

    assert dict(state.items()) == {}
    assert Session.objects.count() == 1


def test_a_key_tells_nothing_of_its_session():
    """The key is 160 bits that only the site can derive."""
    key = FamilyKey.of(FAMILY)

    assert len(key) == 40
    assert FAMILY.hex not in key
    assert key != FamilyKey.of(UUID(int=FAMILY.int + 1))
