"""Sessions drawn at random, with the tokens that their clients would hold."""

from __future__ import annotations

import random
from dataclasses import dataclass
from uuid import UUID

from django.db import connections, transaction
from django.utils import timezone

from benchmarks.scale.routing import choose
from benchmarks.scale.sites import Site
from rotating_sessions.conf import get_conf
from rotating_sessions.models import RevokedReason, SessionFamily
from rotating_sessions.tokens.access import AccessClaims, encode_access
from rotating_sessions.tokens.refresh import digest_refresh, encode_refresh

__all__ = ["Holder", "draw_holders", "push_out", "revoke_some"]

# The keys are random, so that what follows a random one in their order is as well.
_DRAW = """
SELECT DISTINCT family.id FROM (
    SELECT gen_random_uuid() AS place FROM generate_series(1, %s)
) places, LATERAL (
    SELECT id FROM rotating_sessions_sessionfamily
    WHERE id >= place AND revoked_at IS NULL AND expires_at > now()
    ORDER BY id LIMIT 1
) family
"""

_TOUCH = f"""
SELECT sum(length(secret)) FROM ({_DRAW}) drawn
JOIN rotating_sessions_sessionfamily USING (id)
"""
# Pages of 8 KB: several times what a server has in its buffers unless told otherwise.
_PAGES = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A client: whose it is, and its tokens. Nobody has confirmed their generation."""

    family_id: UUID
    user_pk: str
    username: str
    refresh: str
    access: str


def draw_holders(site: Site, count: int) -> list[Holder]:
    """
    Return live sessions of the site in no order, none of them twice.

    A token cannot be told from the digest that the fill has left, so that each row is
    given the digest of a new one: it is written to, in place.
    """
    choose(site.alias)
    with connections[site.alias].cursor() as cursor:
        # Some are drawn twice, of few sessions many.
        cursor.execute(_DRAW, [2 * count])
        keys = random.sample([key for (key,) in cursor.fetchall()], count)
    rows = SessionFamily.objects.select_related("user").in_bulk(keys)
    with transaction.atomic(using=site.alias):
        return [_hand_out(rows[key]) for key in keys]


def revoke_some(site: Site, count: int) -> None:
    """Let sessions have been revoked a moment ago, for a poll to load."""
    keys = [holder.family_id for holder in draw_holders(site, count)]
    rows = SessionFamily.objects.filter(pk__in=keys)
    rows.update(revoked_at=timezone.now(), revoked_reason=RevokedReason.LOGOUT)


def push_out(site: Site) -> None:
    """
    Read so much else that what was drawn is no longer in the server's buffers.

    It stays in the system's cache. Then let the log begin anew.
    """
    with connections[site.alias].cursor() as cursor:
        cursor.execute(_TOUCH, [_PAGES])
        cursor.execute("CHECKPOINT")


def _hand_out(family: SessionFamily) -> Holder:
    now = timezone.now()
    refresh = encode_refresh(
        family_id=family.pk,
        generation=family.generation,
        user_pk=family.user_pk,
        secret=bytes(family.secret),
        issued_at=now,
    )
    rows = SessionFamily.objects.filter(pk=family.pk)
    rows.update(current_digest=digest_refresh(refresh), confirmed_at=None)
    claims = AccessClaims(
        family_id=family.pk,
        generation=family.generation,
        user_pk=family.user_pk,
        issued_at=now,
        expires_at=now + get_conf().access_lifetime,
        auth_time=family.auth_time,
        networks=tuple(family.networks.split()),
    )
    return Holder(
        family_id=family.pk,
        user_pk=family.user_pk,
        username=family.user.get_username(),
        refresh=refresh,
        access=encode_access(claims),
    )
