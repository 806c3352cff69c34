"""
The only code that writes: sessions begin, are refreshed, confirmed, revoked and purged.

Every function decides, writes, commits, and only then raises, so that an error never
rolls a revocation back.
"""

from __future__ import annotations

from rotating_sessions.services.anonymous import start_anonymous_session
from rotating_sessions.services.backlog import count_ended, read_purge_delay
from rotating_sessions.services.batches import (
    RevokedBatch,
    revoke_in_batches,
    revoke_users_in_batches,
)
from rotating_sessions.services.history import (
    find_sessions,
    read_history,
    read_whole_history,
)
from rotating_sessions.services.login import announce_login, start_session
from rotating_sessions.services.overview import (
    THEFT_NOTICE,
    ListedSession,
    Overview,
    Place,
    Theft,
    survey_sessions,
)
from rotating_sessions.services.purge import PurgeCount, purge_sessions
from rotating_sessions.services.reading import select_sessions
from rotating_sessions.services.reauthentication import (
    reauthenticate_session,
    reauthenticate_with_password,
)
from rotating_sessions.services.refresh import refresh_session
from rotating_sessions.services.request_session import (
    SessionReading,
    attach_reading,
    read_session,
    replace_session,
)
from rotating_sessions.services.revocation import (
    end_proven_session,
    keep_session_after_password_change,
    keep_session_as_django,
    revoke_all_sessions,
    revoke_session,
    revoke_sessions,
    revoke_sessions_of_deleted_user,
)
from rotating_sessions.services.session_data import (
    change_session_data,
    read_session_data,
)
from rotating_sessions.services.statistics import (
    Statistics,
    read_last_addresses,
    read_statistics,
)
from rotating_sessions.services.transactions import (
    failing_clearly,
    is_database_failure,
    write_database,
)
from rotating_sessions.services.use import check_not_revoked, confirm

__all__ = [
    "THEFT_NOTICE",
    "ListedSession",
    "Overview",
    "Place",
    "PurgeCount",
    "RevokedBatch",
    "SessionReading",
    "Statistics",
    "Theft",
    "announce_login",
    "attach_reading",
    "change_session_data",
    "check_not_revoked",
    "confirm",
    "count_ended",
    "end_proven_session",
    "failing_clearly",
    "find_sessions",
    "is_database_failure",
    "keep_session_after_password_change",
    "keep_session_as_django",
    "purge_sessions",
    "read_history",
    "read_last_addresses",
    "read_purge_delay",
    "read_session",
    "read_session_data",
    "read_statistics",
    "read_whole_history",
    "reauthenticate_session",
    "reauthenticate_with_password",
    "refresh_session",
    "replace_session",
    "revoke_all_sessions",
    "revoke_in_batches",
    "revoke_session",
    "revoke_sessions",
    "revoke_sessions_of_deleted_user",
    "revoke_users_in_batches",
    "select_sessions",
    "start_anonymous_session",
    "start_session",
    "survey_sessions",
    "write_database",
]
