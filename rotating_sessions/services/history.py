"""Read what staff ask for: sessions by what is known of them, and one's history."""

from __future__ import annotations

import ipaddress
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet

from rotating_sessions.models import (
    RefreshToken,
    RevokedReason,
    SessionFamily,
)
from rotating_sessions.services.transactions import failing_clearly, write_database
from rotating_sessions.timeline import History

__all__ = ["find_sessions", "read_history", "read_whole_history"]

# Users whose names begin alike. Named one by one, because databases do not use the
# index for a subquery within an OR.
_MAX_USERS = 1000


def find_sessions(rows: QuerySet[SessionFamily], term: str) -> QuerySet[SessionFamily]:
    """
    Return those of the sessions that a word names.

    That is the beginning of a user's name, as the database compares it, or the id of a
    user, be it a deleted one, or of a session: all by an index. Or a client's address,
    for which there is none. Of users whose names begin alike only 1000 count.
    """
    if _reads_as(term, ipaddress.ip_address):
        return rows.filter(ip_address=str(ipaddress.ip_address(term)))
    users = get_user_model()._default_manager.using(rows.db)  # noqa: SLF001 - as Django's own
    named = Q(**{f"{get_user_model().USERNAME_FIELD}__startswith": term})
    if _reads_as(term, get_user_model()._meta.pk.to_python):  # noqa: SLF001
        named |= Q(pk=term)
    keys = list(users.filter(named).values_list("pk", flat=True)[:_MAX_USERS])
    found = Q(user__in=keys) | Q(user=None, user_pk=term)
    if _reads_as(term, UUID):
        found |= Q(pk=term)
    return rows.filter(found)


def read_history(family: SessionFamily, *, limit: int = 100) -> History:
    """
    Return the newest tokens of a session, as many as the limit, and the one reused.

    Raises:
        Unavailable: The database failed.
    """
    with failing_clearly():
        newest = list(_tokens(family)[: limit + 1])
        reused, replaced_at = _find_reuse(family)
    shown = newest[:limit]
    hidden_below = shown[-1].generation if len(newest) > limit else 0
    if reused is not None and reused.generation < hidden_below:
        shown.append(reused)
    return History(
        tokens=shown,
        reused=reused,
        replaced_at=replaced_at,
        hidden_below=hidden_below,
    )


def read_whole_history(family: SessionFamily) -> History:
    """
    Return the history with all tokens on record, read while they are iterated over.

    Raises:
        Unavailable: The database failed.
    """
    with failing_clearly():
        reused, replaced_at = _find_reuse(family)
    return History(
        tokens=_tokens(family).iterator(chunk_size=1000),
        reused=reused,
        replaced_at=replaced_at,
    )


def _tokens(family: SessionFamily) -> QuerySet[RefreshToken]:
    """Return the session's tokens, the newest first, without their digests."""
    rows = RefreshToken.objects.using(write_database())
    return rows.filter(family=family.pk).defer("digest").order_by("-generation")


def _find_reuse(family: SessionFamily) -> tuple[RefreshToken | None, datetime | None]:
    """Return the token that gave a theft away, and when it had been replaced."""
    if family.revoked_reason != RevokedReason.REUSED:
        return None, None
    reused = _tokens(family).exclude(reused_at=None).first()
    if reused is None:
        return None, None
    later = _tokens(family).filter(generation__gt=reused.generation)
    return reused, later.values_list("issued_at", flat=True).last()


def _reads_as(text: str, parse: Any) -> bool:
    try:
        parse(text)
    except (ValueError, ValidationError):
        return False
    return True
