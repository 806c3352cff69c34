"""
Fill the tables with sessions, in the order of time, as a site would in four months.

By `INSERT … SELECT`, on PostgreSQL. Ours and simplejwt's get the same sessions: of the
same users, with the same logins and refreshes, of which as many are long over.
"""

from __future__ import annotations

from django.db import connection

__all__ = ["fill_ours", "fill_theirs", "fill_users"]

USERS = 10_000

_USERS = f"""
INSERT INTO auth_user (username, password, is_superuser, first_name, last_name, email,
    is_staff, is_active, date_joined)
SELECT 'user' || n, '', false, '', '', '', false, true, now()
FROM generate_series(1, {USERS}) n
"""

# The ended ones began 120 to 90 days ago, one after the other; the live ones today.
_BEGUN = f"""
SELECT n, 1 + mod(n, {USERS}) AS user_id, gen_random_uuid() AS id,
    CASE WHEN n <= %(ended)s
        THEN now() - interval '120 days' + interval '30 days' * n / %(ended)s
        ELSE now() - interval '1 day' * (n - %(ended)s) / %(live)s
    END AS begun
FROM generate_series(1, %(ended)s + %(live)s) n
"""

_FAMILIES = f"""
INSERT INTO rotating_sessions_sessionfamily (id, user_id, user_pk, secret, transport,
    device, generation, previous, current_digest, previous_digest, confirmed_at,
    displaced, auth_hash, networks, auth_time, created_at, rotated_at, expires_at,
    idle_at, ends_on, revoked_at, revoked_reason, ip_address, user_agent)
SELECT id, user_id, user_id::text, sha256(id::text::bytea), 'cookie',
    'Firefox on Linux', %(refreshes)s, %(refreshes)s - 1,
    sha256(('current' || id)::bytea), sha256(('previous' || id)::bytea), NULL,
    0, left(md5(user_id::text), 24), left(md5(id::text), 19), begun, begun,
    begun + interval '1 hour' * %(refreshes)s, begun + interval '30 days',
    begun + interval '14 days' + interval '1 hour' * %(refreshes)s,
    timezone('UTC', least(begun + interval '30 days', begun + interval '14 days'
        + interval '1 hour' * %(refreshes)s))::date, NULL, '',
    '203.0.113.5',
    'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0'
FROM ({_BEGUN}) begun
ORDER BY begun
"""

# In the order in which they were issued: those of one session lie far apart.
_TOKENS = """
INSERT INTO rotating_sessions_refreshtoken (family_id, generation, digest, issued_at,
    ip_address, user_agent, reused_user_agent)
SELECT id, token.generation, sha256((id || '/' || token.generation)::bytea),
    created_at + interval '1 hour' * token.generation, ip_address, user_agent, ''
FROM rotating_sessions_sessionfamily,
    generate_series(0, %(refreshes)s) AS token (generation)
ORDER BY created_at + interval '1 hour' * token.generation
"""

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


def fill_users() -> None:
    """Insert the users, whom all sessions are of."""
    _execute(_USERS)


def fill_ours(*, ended: int, live: int, refreshes: int) -> None:
    """Insert our sessions, each refreshed so many times."""
    for statement in (_FAMILIES, _TOKENS):
        _execute(statement, ended=ended, live=live, refreshes=refreshes)
    _settle()


def fill_theirs(*, ended: int, live: int, refreshes: int) -> None:
    """Insert what simplejwt keeps of the same sessions."""
    for statement in (_OUTSTANDING, _BLACKLISTED):
        _execute(statement, ended=ended, live=live, refreshes=refreshes)
    _settle()


def _settle() -> None:
    """Let the server do now what it would do beside the measurement."""
    for statement in ("VACUUM ANALYZE", "CHECKPOINT"):
        _execute(statement)


def _execute(statement: str, **parameters: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)
