"""
Fill the tables with sessions, in the order of time, as a site would in four months.

By `INSERT … SELECT`, on PostgreSQL. Ours and simplejwt's get the same sessions: of the
same users, with the same logins and refreshes, of which as many are long over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from django.db import connections

__all__ = [
    "Sessions",
    "fill_ours",
    "fill_ours_unsorted",
    "fill_theirs",
    "fill_users",
    "settle",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """
    What a site has had.

    The `ended` sessions sat idle, and are there to be purged. The `live` ones began in
    the last `days`, and of these every `revoked`th was revoked since, where that is not
    0. Each was refreshed `refreshes` times, an hour after the other, from one `network`
    (its hash), by users whose password is noted as `auth_hash`.
    """

    ended: int
    live: int
    refreshes: int
    users: int = 10_000
    days: int = 1
    revoked: int = 0
    auth_hash: str = "0" * 24
    network: str = "0" * 19


_USERS = """
INSERT INTO auth_user (username, password, is_superuser, first_name, last_name, email,
    is_staff, is_active, date_joined)
SELECT 'user' || n, %(password)s, false, '', '', '', false, true, now()
FROM generate_series(1, %(users)s) n
"""

# The ended ones began 120 to 90 days ago, one after the other. All refreshes are over.
_BEGUN = """
SELECT n, 1 + mod(n, %(users)s) AS user_id, gen_random_uuid() AS id,
    CASE WHEN n <= %(ended)s
        THEN now() - interval '120 days' + interval '30 days' * n / %(ended)s
        ELSE now() - interval '1 hour' * (%(refreshes)s + 2)
            - interval '1 day' * %(days)s * (%(ended)s + %(live)s - n) / %(live)s
    END AS begun,
    n > %(ended)s AND COALESCE(mod(n, NULLIF(%(revoked)s, 0)) = 0, false)
        AS is_revoked
FROM generate_series(1, %(ended)s + %(live)s) n
"""

_FAMILIES = f"""
INSERT INTO rotating_sessions_sessionfamily (id, user_id, user_pk, secret, transport,
    device, generation, previous, current_digest, previous_digest, confirmed_at,
    displaced, auth_hash, networks, auth_time, created_at, rotated_at, expires_at,
    idle_at, ends_on, revoked_at, revoked_reason, ip_address, user_agent)
SELECT id, user_id, user_id::text, sha256(id::text::bytea), 'header',
    'Firefox on Linux', %(refreshes)s, %(refreshes)s - 1,
    sha256(('current' || id)::bytea), sha256(('previous' || id)::bytea), NULL,
    0, %(auth_hash)s, %(network)s, begun, begun, rotated, begun + interval '30 days',
    rotated + interval '14 days', timezone('UTC',
        least(begun + interval '30 days', rotated + interval '14 days'))::date,
    CASE WHEN is_revoked THEN rotated END,
    CASE WHEN is_revoked THEN 'logout' ELSE '' END, '203.0.113.5',
    'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0'
FROM (SELECT *, begun + interval '1 hour' * %(refreshes)s AS rotated
    FROM ({_BEGUN}) begun
) rotated
"""

_TOKENS = """
INSERT INTO rotating_sessions_refreshtoken (family_id, generation, digest, issued_at,
    ip_address, user_agent, reused_user_agent)
SELECT id, token.generation, sha256((id || '/' || token.generation)::bytea),
    created_at + interval '1 hour' * token.generation, ip_address, user_agent, ''
FROM generate_series(%(first)s, %(refreshes)s) AS token (generation),
    rotating_sessions_sessionfamily
"""

# In the order in which they were issued: those of one session lie far apart.
_IN_ORDER = "ORDER BY created_at + interval '1 hour' * token.generation"

_OUTSTANDING = f"""
INSERT INTO token_blacklist_outstandingtoken (user_id, jti, token, created_at,
    expires_at)
SELECT user_id, md5(id || '/' || generation), repeat(md5(id || '/' || generation), 8),
    issued_at, issued_at + interval '14 days'
FROM (SELECT *, begun + interval '1 hour' * generation AS issued_at
    FROM ({_BEGUN}) begun, generate_series(0, %(refreshes)s) AS token (generation)
) issued
ORDER BY issued_at
"""

# All but the last one of each session, as BLACKLIST_AFTER_ROTATION leaves them.
_BLACKLISTED = """
INSERT INTO token_blacklist_blacklistedtoken (token_id, blacklisted_at)
SELECT id, created_at + interval '1 hour'
FROM (SELECT *, row_number() OVER () AS place FROM token_blacklist_outstandingtoken) t
WHERE mod(place, %(refreshes)s + 1) > 0
ORDER BY id
"""


def fill_users(
    users: int = 10_000, *, password: str = "", using: str = "default"
) -> None:
    """Insert the users, whom all sessions are of."""
    _execute(using, _USERS, {"users": users, "password": password})


def fill_ours(sessions: Sessions, *, using: str = "default") -> None:
    """Insert our sessions, and the tokens in the order in which they were issued."""
    _execute(using, _FAMILIES, asdict(sessions))
    _execute(using, _TOKENS + _IN_ORDER, {"first": 0, **asdict(sessions)})
    settle(using)


def fill_ours_unsorted(sessions: Sessions, *, using: str) -> None:
    """Insert our sessions, and the tokens one generation after the other: unsorted."""
    _execute(using, _FAMILIES, asdict(sessions))
    for generation in range(sessions.refreshes + 1):
        span = {"first": generation, "refreshes": generation}
        _execute(using, _TOKENS, span)


def fill_theirs(sessions: Sessions, *, using: str = "default") -> None:
    """Insert what simplejwt keeps of the same sessions."""
    for statement in (_OUTSTANDING, _BLACKLISTED):
        _execute(using, statement, asdict(sessions))
    settle(using)


def settle(using: str = "default") -> None:
    """Let the server do now what it would do beside the measurement."""
    for statement in ("VACUUM ANALYZE", "CHECKPOINT"):
        _execute(using, statement)


def _execute(
    using: str, statement: str, parameters: Mapping[str, object] | None = None
) -> None:
    with connections[using].cursor() as cursor:
        cursor.execute(statement, parameters)
