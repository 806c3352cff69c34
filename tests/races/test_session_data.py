"""Changes of what a site keeps with a session, within transactions of the caller's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.test import RequestFactory

from rotating_sessions.models import SessionFamily
from rotating_sessions.services import change_session_data
from rotating_sessions.tokens.access import AccessClaims
from tests.acting import claims_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("isolation"),
    pytest.mark.skipif(connection.vendor == "sqlite", reason="It has one writer."),
]


def change(claims: AccessClaims, name: str) -> None:
    request: Any = RequestFactory().get("/")
    request.session_family = claims
    change_session_data(request, {name: True})


def change_elsewhere(claims: AccessClaims, name: str) -> None:
    try:
        change(claims, name)
    finally:
        connection.close()


def test_no_change_is_lost_to_an_older_snapshot(first):
    """I-2: A transaction merges with what others changed since it began, or fails."""
    claims = claims_of(first)
    kept = {"theirs": True}

    connection.close()
    with suppress(OperationalError), transaction.atomic():
        # As a view does that looks at `request.user`.
        SessionFamily.objects.get()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(change_elsewhere, claims, "theirs").result()
        change(claims, "ours")
        kept["ours"] = True
    connection.close()

    assert SessionFamily.objects.get().data == kept
