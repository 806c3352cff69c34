"""A password confirmed while its session is refreshed, ended, or hashed anew."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.test import RequestFactory

from rotating_sessions.exceptions import SessionEnded
from rotating_sessions.models import RevokedReason
from rotating_sessions.services import (
    reauthenticate_session,
    reauthenticate_with_password,
    revoke_session,
)
from rotating_sessions.services.reading import find_session
from rotating_sessions.transports import TokenPair
from tests.acting import claims_of, columns, present
from tests.factories import PASSWORD
from tests.races.racing import (
    THREADS,
    and_then,
    full,
    kinds,
    race,
    several_times,
    times,
    wait_a_grace_period,
)

pytestmark = pytest.mark.django_db(transaction=True)

STRONGER_FIRST = [
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "django.contrib.auth.hashers.MD5PasswordHasher",
]


def confirm_password(pair: TokenPair) -> TokenPair:
    """Confirm the password with the access token of a pair."""
    return reauthenticate_with_password(request_of(pair), PASSWORD)


def request_of(pair: TokenPair) -> Any:
    request: Any = RequestFactory().post("/anything/")
    request.session_family = claims_of(pair)
    return request


@several_times
def test_stronger_hash_ends_no_session_that_is_refreshed(
    first, user, settings, isolation, attempt
):
    """I-7, I-23: Refreshes beside a hash that is upgraded are answered as ever."""
    settings.PASSWORD_HASHERS = STRONGER_FIRST
    newest = present(first)
    wait_a_grace_period(first)

    outcomes = race(
        *times(THREADS // 2, confirm_password, newest),
        *times(THREADS // 2, present, newest),
    )

    user.refresh_from_db()
    assert kinds(outcomes) == {TokenPair}
    assert len(full(outcomes)) == 1
    assert user.password.startswith("pbkdf2_")
    assert columns(first)["revoked_at"] is None
    assert find_session(claims_of(newest)) is not None


@several_times
def test_no_confirmation_comes_after_a_revocation(first, user, isolation, attempt):
    """I-1: Whoever confirms after a revocation has committed is refused."""
    revoked = threading.Event()
    key = claims_of(first).family_id
    revoke = and_then(revoked, lambda: revoke_session(key, reason=RevokedReason.STAFF))

    def confirm_until_ended() -> list[tuple[bool, object]]:
        answers: list[tuple[bool, object]] = []
        while not answers or answers[-1][1] is not SessionEnded:
            late = revoked.is_set()
            try:
                reauthenticate_session(request_of(first), user)
            except SessionEnded as error:
                answers.append((late, type(error)))
            else:
                answers.append((late, TokenPair))
        return answers

    ended, *seen = race(revoke, *[confirm_until_ended] * (THREADS - 1))

    assert ended is True
    late = {kind for answers in seen for is_late, kind in answers if is_late}
    assert late <= {SessionEnded}
    assert columns(first)["revoked_reason"] == "staff"
