"""
Where allauth keeps the state of a session: in one of Django's that logs nobody in.

A login in progress is found by allauth's session token, or by Django's cookie. Once it
is complete the access token of our session is all that logs in; what allauth goes on
to note (how somebody authenticated, half of a TOTP set-up) stays beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
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

    __slots__ = ("_family_id",)
    _family_id: UUID

    @classmethod
    def of(cls, family_id: UUID) -> FamilyKey:
        """Return the key for a session, which does not tell of which."""
        key = cls(_derive(family_id, settings.SECRET_KEY))
        key._family_id = family_id
        return key

    def former(self) -> Iterator[str]:
        """Yield what it was before SECRET_KEY was replaced, the latest first."""
        for secret in settings.SECRET_KEY_FALLBACKS:
            yield _derive(self._family_id, secret)


def find_state(key: str) -> SessionBase | None:
    """
    Return the state with this key, or None where there is no login in progress.

    A session of Django's that logs somebody in is not found: by it whoever holds the
    token would get past ours.
    """
    if isinstance(key, FamilyKey):
        return _find_or_move(key)
    state = _open(key)
    if not _exists(state) or SESSION_KEY in state:
        return None
    return state


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


def _derive(family_id: UUID, secret: str | bytes) -> str:
    mac = salted_hmac(__name__, str(family_id), secret=secret, algorithm="sha256")
    return mac.hexdigest()[:_KEY_LENGTH]


def _find_or_move(key: FamilyKey) -> SessionBase:
    """Return the state of a session, from under a former key where that has it."""
    state = _open(key)
    if _exists(state):
        return state
    for former in key.former():
        old = _open(former)
        if _exists(old):
            state = _create(key)
            # Another request may have moved it, and noted more.
            state.update(dict(old.items()) | dict(state.items()))
            # Before the old one goes, so that at no time there is none.
            state.save()
            old.delete()
            return state
    return _open(key)


def _exists(state: SessionBase) -> bool:
    # Read first: only then is that known.
    state.keys()
    return state.session_key is not None


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
