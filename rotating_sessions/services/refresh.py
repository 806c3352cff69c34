"""
Refresh a session: read the row, let `rotation` decide, write the decision, commit.

The first pass reads without a lock and writes by compare-and-set, in no transaction but
that of the write. Where that matches no row, another request was first: the second pass
locks the row, reads it again and decides anew. Nothing is ever classified on an
unlocked re-read, because under MariaDB's REPEATABLE READ that shows the old row. What
the second pass cannot decide either, a new transaction reads anew.
"""

from __future__ import annotations

import logging
from functools import partial

from django.views.decorators.debug import sensitive_variables

from rotating_sessions.clients import Client
from rotating_sessions.conf import get_conf
from rotating_sessions.exceptions import (
    InvalidToken,
    RefreshTokenReused,
    SessionEnded,
    SessionError,
    SessionExpired,
    SessionHandedOn,
)
from rotating_sessions.models import RevokedReason, SessionFamily
from rotating_sessions.rotation import (
    Verdict,
)
from rotating_sessions.services.answering import Turn, issue, keep
from rotating_sessions.services.deciding import decide_refresh
from rotating_sessions.services.reading import (
    lock_family,
    verify_family,
)
from rotating_sessions.services.revocation import revoke_family, revoke_for_reuse
from rotating_sessions.services.transactions import (
    Overtaken,
    run_alone,
    run_durably,
)
from rotating_sessions.signals import report
from rotating_sessions.tokens.refresh import DecodedRefresh, decode_refresh
from rotating_sessions.transports import TokenPair

__all__ = ["refresh_session"]

_ISSUING = {Verdict.ROTATE, Verdict.RE_ROTATE, Verdict.FAST_FORWARD}
_REVOKED_FOR = {
    Verdict.USER_INACTIVE: RevokedReason.USER_INACTIVE,
    Verdict.PASSWORD_CHANGED: RevokedReason.PASSWORD_CHANGED,
    Verdict.UNCONFIRMED_LIMIT: RevokedReason.UNCONFIRMED_LIMIT,
}
_REVOKING = {Verdict.REUSED, *_REVOKED_FOR}


@sensitive_variables()
def refresh_session(value: str, *, client: Client, transport: str) -> TokenPair:
    """
    Exchange a refresh token for a new access token and, when it is due, a successor.

    Args:
        value: The refresh token as it came.
        client: Who presents it.
        transport: How it came; a session keeps the transport of its login.

    Returns:
        The new tokens, durable in the database before this returns. Without a refresh
        token in it, the client keeps the one it has.

    Raises:
        InvalidToken: Not a token of ours, or not one of this transport.
        SessionEnded: The session is over, or is ended by this very token; as
            `SessionHandedOn`, if its visitor has just logged in.
        RefreshTokenReused: The token was replaced before; the session is now revoked.
        Unavailable: The database failed: the same token still serves.
    """
    token = decode_refresh(value)
    family = run_alone(partial(verify_family, token))
    if family.transport != transport:
        raise InvalidToken
    turn = _decide(family, token, client)
    # What issues or keeps is one write, and needs no transaction around it.
    run = run_durably if turn.decision.verdict in _REVOKING else run_alone
    outcome = run(partial(_carry_out, turn, token))
    if outcome is None:
        # Once: where the second pass runs again, it reads all anew.
        known = iter([family])
        outcome = run_durably(lambda: _decide_again(next(known, None), token, client))
    if isinstance(outcome, SessionError):
        raise outcome
    return outcome


def _decide_again(
    known: SessionFamily | None, token: DecodedRefresh, client: Client
) -> TokenPair | SessionError:
    """Lock the row, which another request has changed, and decide on what it holds."""
    if known is None:
        known = verify_family(token)
        outcome = _carry_out(_decide(known, token, client), token)
        if outcome is not None:
            return outcome
    locked = lock_family(known)
    if locked is None:
        return InvalidToken()
    turn = _decide(locked, token, client)
    if turn.decision.verdict is Verdict.PASSWORD_CHANGED:
        # The row is of now, the user of a moment ago, and the password was changed in
        # between: a new transaction reads both as of one moment.
        raise Overtaken
    outcome = _carry_out(turn, token)
    if outcome is None:
        # A locked row does not change, but not every database can lock.
        raise Overtaken
    return outcome


def _decide(family: SessionFamily, token: DecodedRefresh, client: Client) -> Turn:
    decision, now = decide_refresh(family, token)
    return Turn(family=family, client=client, decision=decision, now=now)


def _carry_out(turn: Turn, token: DecodedRefresh) -> TokenPair | SessionError | None:
    """Write the decision, or return None where the row has changed since the read."""
    verdict = turn.decision.verdict
    if verdict in _ISSUING:
        return issue(turn)
    if verdict in {Verdict.KEEP, Verdict.CONFIRM}:
        return keep(turn)
    if verdict is Verdict.REUSED:
        revoke_for_reuse(turn.family, token.generation, turn.client, turn.now)
        return RefreshTokenReused()
    if verdict in _REVOKED_FOR:
        revoke_family(turn.family, _REVOKED_FOR[verdict], turn.now)
        return SessionEnded()
    if verdict is Verdict.AHEAD:
        _report_ahead(turn.family, token)
        return SessionEnded()
    return _tell_end(turn)


def _tell_end(turn: Turn) -> SessionEnded:
    ended_at = turn.family.revoked_at
    if ended_at is None:
        return SessionExpired()
    is_handed_on = turn.family.revoked_reason == RevokedReason.LOGGED_IN
    if is_handed_on and turn.now - ended_at < get_conf().grace_period:
        return SessionHandedOn()
    return SessionEnded()


def _report_ahead(family: SessionFamily, token: DecodedRefresh) -> None:
    report(
        "generation_ahead",
        level=logging.ERROR,
        family_id=str(family.pk),
        user_pk=family.user_pk,
        generation=token.generation,
    )
