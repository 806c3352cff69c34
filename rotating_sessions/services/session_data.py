"""
What the site keeps with a session: a small JSON object on its row.

Changes are merged while the row is locked, so that of two at once none is lost.

Source: RFC 7396 (JSON Merge Patch).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import TypeAlias

from django.http import HttpRequest

from rotating_sessions.exceptions import NotAuthenticated, SessionEnded
from rotating_sessions.models import SessionFamily
from rotating_sessions.services.reading import families, find_session
from rotating_sessions.services.request_session import read_session, replace_session
from rotating_sessions.services.transactions import run_in_transaction
from rotating_sessions.tokens.access import AccessClaims

__all__ = [
    "MAX_SESSION_DATA",
    "JsonObject",
    "Patch",
    "apply_patch",
    "change_session_data",
    "read_session_data",
]

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
JsonObject: TypeAlias = "dict[str, Json]"
Patch: TypeAlias = "JsonObject | Callable[[JsonObject], JsonObject]"

# Bytes. The row is read at every refresh, and whenever `request.user` is.
MAX_SESSION_DATA = 4096
# MariaDB stores nothing deeper than 32.
_MAX_DEPTH = 16


def read_session_data(request: HttpRequest) -> JsonObject:
    """
    Return what the site keeps with the session of a request, as the row is.

    One query a request, together with `request.user`. What is returned is the caller's
    own: to change it changes nothing.

    Raises:
        NotAuthenticated: The request carries no session of ours.
        SessionEnded: The session is over, by its row.
        Unavailable: The database failed, which says nothing about the session.
    """
    _read_claims(request)
    session = read_session(request)
    if session is None:
        raise SessionEnded
    return deepcopy(session.data or {})


def change_session_data(request: HttpRequest, patch: Patch) -> JsonObject:
    """
    Merge a patch into what the site keeps with the session, and return the outcome.

    As RFC 7396 has it: what the patch names is replaced, objects are merged, and None
    removes. May run inside a transaction of the caller's, until the end of which other
    changes and refreshes of this session wait. If that is rolled back, the rest of this
    request still reads what was undone.

    Args:
        request: The request whose session it is.
        patch: What to change; or a function that returns it, given what there is. It
            runs while the row is locked, and may run again.

    Raises:
        NotAuthenticated: The request carries no session of ours.
        SessionEnded: The session is over.
        ValueError: The outcome is too large, or no JSON; nothing is changed.
        Unavailable: The database failed; nothing is changed.
    """
    claims = _read_claims(request)
    session = run_in_transaction(partial(_change, claims, patch))
    if session is None:
        raise SessionEnded
    # What the rest of this request reads is what was just written.
    replace_session(request, session)
    return read_session_data(request)


def apply_patch(data: JsonObject, patch: Patch) -> JsonObject:
    """
    Return the data with the patch merged in, as far as every database can keep it.

    Raises:
        ValueError: The outcome is too large or too deep, or no JSON object.
    """
    wish = patch(deepcopy(data)) if callable(patch) else patch
    if not isinstance(wish, dict):
        raise ValueError("Session data is changed by a dict.")  # noqa: TRY004 - one error
    merged = _merge(data, wish)
    _check(merged, _MAX_DEPTH)
    text = json.dumps(
        merged, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    if len(text.encode()) > MAX_SESSION_DATA:
        raise ValueError(f"Session data has at most {MAX_SESSION_DATA} bytes, as JSON.")
    return merged


def _change(claims: AccessClaims, patch: Patch) -> SessionFamily | None:
    # Before any other read, so that what these see is not older than the lock.
    locked = families().select_for_update().filter(pk=claims.family_id).first()
    session = None if locked is None else find_session(claims)
    if locked is None or session is None:
        return None
    # Of the locked row: within a transaction of the caller's, all else may be older.
    merged = apply_patch(locked.data or {}, patch)
    rows = families().filter(pk=session.pk).not_revoked()
    # Not every database can lock.
    if rows.update(data=merged or None) == 0:
        return None
    session.data = merged
    return session


def _merge(data: JsonObject, patch: JsonObject) -> JsonObject:
    """Return the data with the patch merged in; neither is changed."""
    merged = dict(data)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            old = merged.get(name)
            merged[name] = _merge(old if isinstance(old, dict) else {}, value)
        else:
            merged[name] = value
    return merged


def _check(value: object, depth: int) -> None:
    """Make sure that a value is JSON, and such that PostgreSQL and MariaDB take it."""
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("Session data has no NUL character.")
    elif isinstance(value, list | dict):
        if depth == 0:
            raise ValueError(f"Session data is nested {_MAX_DEPTH} deep at most.")
        for item in value:
            _check(item, depth - 1)
        for item in value.values() if isinstance(value, dict) else ():
            _check(item, depth - 1)
        if isinstance(value, dict) and not all(isinstance(name, str) for name in value):
            raise ValueError("Session data has texts for names.")
    elif value is not None and not isinstance(value, int | float):
        raise ValueError(f"Session data holds no {type(value).__name__}.")


def _read_claims(request: HttpRequest) -> AccessClaims:
    claims: AccessClaims | None = getattr(request, "session_family", None)
    if claims is None:
        raise NotAuthenticated
    return claims
