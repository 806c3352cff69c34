"""
Where allauth keeps the state of a session: in one of Django's that logs nobody in.

A login in progress is found by allauth's session token, or by Django's cookie. Once it
is complete the access token of our session is all that logs in; what allauth goes on
to note (how somebody authenticated, half of a TOTP set-up) stays beside it.
"""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.base import CreateError, SessionBase
from django.http import HttpRequest
from django.utils.crypto import salted_hmac
from django.utils.module_loading import import_string

__all__ = ["FamilyKey", "find_state", "log_out_of_django", "settle"]

# The characters of a key that Django's table of sessions has room for.
_KEY_LENGTH = 40


class FamilyKey(str):
    """The key of the state beside a session: made here, so no client can send it."""

    __slots__ = ()

    @classmethod
    def of(cls, family_id: UUID) -> FamilyKey:
        """Return the key for a session, which does not tell of which."""
        mac = salted_hmac(__name__, str(family_id), algorithm="sha256")
        return cls(mac.hexdigest()[:_KEY_LENGTH])


def find_state(key: str) -> SessionBase | None:
    """
    Return the state with this key, or None where there is no login in progress.

    A session of Django's that logs somebody in is not found: by it whoever holds the
    token would get past ours.
    """
    state = _open(key)
    if isinstance(key, FamilyKey):
        return state
    # Read first: only then is it known whether the session exists.
    logs_in = SESSION_KEY in state
    return None if logs_in or state.session_key is None else state


def settle(request: HttpRequest, family_id: UUID) -> None:
    """Keep the state of a request where the session's access token finds it again."""
    log_out_of_django(request.session)
    key = FamilyKey.of(family_id)
    if request.session.session_key == key:
        return
    state = _create(key)
    state.update(dict(request.session.items()))
    request.session.delete()
    request.session = state


def log_out_of_django(session: SessionBase) -> None:
    """Make one of Django's sessions log nobody in, and keep all else that is in it."""
    for name in (SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY):
        session.pop(name, None)


def _open(key: str) -> SessionBase:
    store = import_string(f"{settings.SESSION_ENGINE}.SessionStore")
    return cast(SessionBase, store(str(key)))


def _create(key: FamilyKey) -> SessionBase:
    state = _open(key)
    try:
        state.save(must_create=True)
    except CreateError:
        # Another request of the session was first: go on with what it noted.
        return _open(key)
    return state
