"""The tables: what they hold, what they show, and who may do what with them."""

from __future__ import annotations

import re
from base64 import b64encode
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.db import IntegrityError, connection, models, transaction

from rotating_sessions import exceptions, signals
from rotating_sessions.exceptions import InvalidToken
from rotating_sessions.models import (
    RefreshToken,
    RevokedReason,
    SessionFamily,
    new_secret,
)
from tests.acting import START, log_in, present, rows_of
from tests.factories import RefreshTokenFactory, SessionFamilyFactory, UserFactory

pytestmark = pytest.mark.django_db


def secrets_of(family: SessionFamily) -> list[bytes]:
    return [
        bytes(family.secret),
        bytes(family.current_digest),
        bytes(family.previous_digest or b""),
        family.auth_hash.encode(),
    ]


@pytest.mark.parametrize("show", [str, repr])
def test_session_shows_its_device_and_id_only(show):
    """I-21: A session in a log or a shell shows no secret, digest or user name."""
    family = SessionFamilyFactory.create()

    shown = show(family)

    assert f"Firefox on Linux ({family.pk})" in shown
    assert family.user.get_username() not in shown
    for secret in secrets_of(family):
        assert secret.hex() not in shown
        assert repr(secret)[2:-1] not in shown


@pytest.mark.parametrize("show", [str, repr])
def test_refresh_token_shows_its_generation_and_session_only(show):
    """I-21: A ledger row in a log or a shell shows no digest."""
    token = RefreshTokenFactory.create(generation=17)

    shown = show(token)

    assert f"generation 17 of {token.family_id}" in shown
    assert token.digest.hex() not in shown
    assert repr(token.digest)[2:-1] not in shown


def test_no_column_holds_a_usable_token(rf, user):
    """I-21: Every column of both tables is useless to whoever steals the database."""
    first = log_in(rf, user)
    second = present(first)
    columns: list[Any] = []
    for model in (SessionFamily, RefreshToken):
        for row in model.objects.values_list():
            columns += [bytes(v) if isinstance(v, memoryview) else v for v in row]

    stored = b"\n".join(v if isinstance(v, bytes) else str(v).encode() for v in columns)

    for pair in (first, second):
        for value in (pair.access, pair.refresh or ""):
            assert value.encode() not in stored
            assert value[-24:].encode() not in stored


def test_each_family_has_a_secret_of_its_own():
    """KM-04: No two families share the 32 bytes that their tokens are proven by."""
    secrets = {new_secret() for _ in range(64)}

    assert len(secrets) == 64
    assert {len(secret) for secret in secrets} == {32}


def test_fixture_holds_no_secret(rf, user, tmp_path: Path):
    """KM-04: dumpdata leaves the secret out, and what it restores serves nobody."""
    pair = log_in(rf, user)
    secret = bytes(rows_of(pair).get().secret)
    fixture, text = tmp_path / "sessions.json", StringIO()

    call_command("dumpdata", "rotating_sessions", stdout=text)
    fixture.write_text(text.getvalue())
    SessionFamily.objects.all().delete()
    call_command("loaddata", fixture, verbosity=0)

    assert b64encode(secret).decode() not in text.getvalue()
    assert rows_of(pair).exists()
    with pytest.raises(InvalidToken):
        present(pair)


def test_generation_is_issued_once():
    """The database itself refuses a second token of one generation."""
    token = RefreshTokenFactory.create()

    with pytest.raises(IntegrityError), transaction.atomic():
        RefreshTokenFactory.create(family=token.family, generation=token.generation)

    assert RefreshToken.objects.count() == 1


def test_same_generation_of_two_families_is_two_tokens():
    """Generations are counted for each family by itself."""
    RefreshTokenFactory.create(generation=3)

    RefreshTokenFactory.create(generation=3)

    assert RefreshToken.objects.filter(generation=3).count() == 2


def test_session_outlives_its_user_with_the_user_id():
    """Deleting a user keeps the session row, and in it whose it was."""
    family = SessionFamilyFactory.create()

    family.user.delete()

    row = SessionFamily.objects.get()
    assert (row.user_id, row.user_pk) == (None, family.user_pk)


def test_tokens_go_with_their_session():
    """The ledger of a session goes when the session is deleted."""
    token = RefreshTokenFactory.create()

    token.family.delete()

    assert not RefreshToken.objects.exists()


def test_sessions_may_be_viewed_and_revoked_and_nothing_else():
    """The permissions are to view sessions and to revoke them."""
    found = Permission.objects.filter(content_type__app_label="rotating_sessions")

    assert set(found.values_list("codename", flat=True)) == {
        "view_sessionfamily",
        "revoke_sessionfamily",
    }


@pytest.mark.parametrize("reason", RevokedReason.values)
def test_every_reason_fits_its_column(reason):
    """A reason is stored whole and read back in words."""
    SessionFamilyFactory.create(revoked_reason=reason)

    row = SessionFamily.objects.get()

    assert row.revoked_reason == reason
    assert row.get_revoked_reason_display() == RevokedReason(reason).label


def test_no_reason_or_event_says_who_the_thief_was():
    """LG-05: Theft and lost answers are told apart, and neither party is accused."""
    errors = [getattr(exceptions, name) for name in exceptions.__all__]
    told = [
        *(text for choice in RevokedReason.choices for text in map(str, choice)),
        *signals._EVENTS.values(),
        *(error.detail for error in errors if hasattr(error, "detail")),
    ]

    accusing = [
        t for t in told if re.search("thief|attack|victim|stole|hack", t, re.IGNORECASE)
    ]

    assert {"reused", "unconfirmed_limit", "refresh_token_reused"} <= set(told)
    assert accusing == []


def moments() -> list[Any]:
    return [
        pytest.param(model, field.name, id=f"{model.__name__}.{field.name}")
        for model in (SessionFamily, RefreshToken)
        for field in model._meta.fields
        if isinstance(field, models.DateTimeField)
    ]


@pytest.mark.parametrize(("model", "name"), moments())
def test_moment_keeps_its_microseconds(model, name):
    """DB-04: No database rounds a moment: what is compared is what was written."""
    RefreshTokenFactory.create()
    model.objects.update(**{name: START})

    stored = model.objects.values_list(name, flat=True).get()

    assert (stored, START.microsecond) == (START, 890_123)


@pytest.mark.parametrize(
    "columns",
    [
        ["created_at"],
        ["ends_on", "id"],
        ["revoked_at"],
        ["user_id", "revoked_at", "expires_at"],
    ],
    ids=str,
)
def test_what_is_searched_for_is_indexed(columns):
    """TH-09: Lists, the purge and the poll for revocations read an index."""
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(
            cursor, SessionFamily._meta.db_table
        )

    indexed = [c["columns"] for c in constraints.values() if c["index"]]

    assert columns in indexed


def test_record_of_a_token_has_one_index():
    """A token's record takes one entry in an index, by which all else is found."""
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(
            cursor, RefreshToken._meta.db_table
        )

    indexed = [c["columns"] for c in constraints.values() if not c["check"]]

    assert indexed == [["family_id", "generation"]]


def test_names_of_the_database_are_the_apps_own():
    """A constraint's name starts with the app: other apps share the name space."""
    names = [index.name for index in SessionFamily._meta.indexes]

    assert all(name.startswith("rotating_sessions_") for name in names)


def test_models_pass_the_checks_of_django():
    """Neither model is anything that Django warns of."""
    user = UserFactory.build()

    call_command("check", "rotating_sessions", tags=["models"], fail_level="WARNING")

    assert user.pk is None
