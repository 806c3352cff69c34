"""The statements that are put together once: they do what the ORM's would."""

from __future__ import annotations

import gc
from contextlib import nullcontext
from datetime import timedelta
from threading import Thread
from typing import Any
from uuid import uuid4
from weakref import ref

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection, connections, models, transaction
from django.forms.models import model_to_dict
from django.utils import timezone

from rotating_sessions.models import RefreshToken, SessionFamily
from rotating_sessions.services import statements
from rotating_sessions.services.reading import lock_family
from rotating_sessions.services.statements import (
    insert_token,
    read_family,
    rotate_family,
    update_family,
)
from tests.acting import calls_into, counted
from tests.factories import SessionFamilyFactory

pytestmark = pytest.mark.django_db(transaction=True)

CHANGES = {"generation": 8, "previous": 7, "confirmed_at": None, "user_agent": "new"}


@pytest.fixture
def family() -> SessionFamily:
    return SessionFamilyFactory.create(generation=7)


def token_of(family: SessionFamily, generation: int = 8) -> dict[str, object]:
    return {
        "family": family.pk,
        "generation": generation,
        "digest": b"d" * 32,
        "issued_at": timezone.now(),
        "ip_address": "2001:db8::7",
        "user_agent": "Firefox",
        "reused_user_agent": "",
    }


def values(row: models.Model) -> dict[str, Any]:
    """Return what all columns of a row hold."""
    found = {field.attname: getattr(row, field.attname) for field in row._meta.fields}
    return {
        name: bytes(value) if isinstance(value, memoryview) else value
        for name, value in found.items()
    }


def test_family_is_read_as_the_orm_reads_it(family):
    """Each column of the family and of its user has the value that the ORM gives it."""
    theirs = SessionFamily.objects.select_related("user").get()

    ours = read_family(family.pk, "default")

    assert values(ours) == values(theirs)
    assert values(ours.user) == values(theirs.user)
    assert type(ours.user) is get_user_model()
    assert (ours._state.db, ours._state.adding) == ("default", False)
    assert (ours.user._state.db, ours.user._state.adding) == ("default", False)


def test_family_is_read_where_a_router_parts_it_from_its_user(family, settings):
    """Who is read in one query belongs together, whatever a router says of writes."""
    settings.DATABASE_ROUTERS = ["tests.routers.NoRelation"]

    read = read_family(family.pk, "default")
    with transaction.atomic():
        locked = lock_family(read)

    assert locked.user == read.user == family.user


def test_family_is_read_with_the_user_it_refers_to(family, settings):
    """Another AUTH_USER_MODEL, as in a test, does not change what a row refers to."""
    vars(connection).pop(statements._KEPT, None)
    settings.AUTH_USER_MODEL = "auth.Group"

    assert read_family(family.pk, "default").user == family.user


def test_family_and_user_are_one_query(family):
    """The user that comes with a family is read with it."""
    with counted() as verbs:
        name = read_family(family.pk, "default").user.get_username()

    assert verbs == {"SELECT": 1}
    assert name == family.user.get_username()


def test_family_without_its_user_is_read(family):
    """A family whose user is gone has none, and is read all the same."""
    SessionFamily.objects.update(user=None)

    with counted() as verbs:
        user = read_family(family.pk, "default").user

    assert user is None
    assert verbs == {"SELECT": 1}


def test_unknown_family_is_none(family):
    """There is nothing to read of a family that never was."""
    assert read_family(uuid4(), "default") is None


def test_statements_are_put_together_once(family):
    """The second time, the ORM is not asked for the SQL of a read or of a write."""
    SessionFamily.objects.update(confirmed_at=None)

    for generation in (8, 9):
        with calls_into(models.sql) as calls:
            expected = {"generation": generation - 1, "confirmed_at": None}
            changes = {**CHANGES, "generation": generation}
            token = token_of(family, generation)
            read_family(family.pk, "default")
            rotate_family(family.pk, changes, expected, token, "default")
            update_family(family.pk, {"user_agent": "x"}, {}, "default")

    assert not calls
    assert RefreshToken.objects.count() == 2


def test_statements_end_with_their_connection(family):
    """Each thread's connection has statements of its own, and takes them along."""
    read_family(family.pk, "default")
    mine = vars(connections["default"])[statements._KEPT]
    theirs: list[ref[Any]] = []

    def work() -> None:
        read_family(family.pk, "default")
        (select,) = vars(connections["default"])[statements._KEPT].values()
        theirs.append(ref(select))
        connection.close()

    thread = Thread(target=work)
    thread.start()
    thread.join()
    del thread
    gc.collect()

    assert [select() for select in theirs] == [None]
    assert vars(connections["default"])[statements._KEPT] is mine


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ({}, True),
        ({"generation": 7}, True),
        ({"generation": 6}, False),
        ({"confirmed_at": None}, True),
        ({"rotated_at": None}, False),
        ({"generation": 7, "transport": "neither"}, False),
    ],
)
def test_row_is_written_if_it_is_as_expected(family, expected, found):
    """I-2: A write is for the row as it was read: otherwise it changes nothing."""
    SessionFamily.objects.update(confirmed_at=None, rotated_at=timezone.now())
    before = values(SessionFamily.objects.get())

    written = update_family(family.pk, CHANGES, expected, "default")

    assert written is found
    after = values(SessionFamily.objects.get())
    assert after == ({**before, **CHANGES} if found else before)


@pytest.mark.parametrize("write", ["update", "rotate"])
def test_revoked_family_is_not_written(family, write):
    """I-1: No statement changes a revoked family, nor records a token of it."""
    SessionFamily.objects.update(revoked_at=timezone.now())
    before = values(SessionFamily.objects.get())

    if write == "update":
        written = update_family(family.pk, CHANGES, {}, "default")
    else:
        token = token_of(family)
        written = rotate_family(family.pk, CHANGES, {}, token, "default")

    assert written is False
    assert values(SessionFamily.objects.get()) == before
    assert not RefreshToken.objects.exists()


def test_no_other_family_is_written(family):
    """A write names one family, whatever the others hold."""
    other = SessionFamilyFactory.create(generation=7)
    before = values(SessionFamily.objects.get(pk=other.pk))

    update_family(family.pk, CHANGES, {"generation": 7}, "default")

    assert values(SessionFamily.objects.get(pk=other.pk)) == before


def test_rotation_writes_row_and_record(family):
    """I-5: A rotation is on record with the row that it changes."""
    token = token_of(family)

    written = rotate_family(family.pk, CHANGES, {"generation": 7}, token, "default")

    record = RefreshToken.objects.get()
    assert written is True
    assert SessionFamily.objects.get().generation == 8
    assert (record.family_id, record.generation) == (family.pk, 8)
    assert bytes(record.digest) == token["digest"]
    assert record.issued_at == token["issued_at"]
    assert (record.ip_address, record.user_agent) == ("2001:db8::7", "Firefox")
    assert model_to_dict(record, ["reused_at", "reused_ip_address"]) == {
        "reused_at": None,
        "reused_ip_address": None,
    }


@pytest.mark.parametrize("around", [nullcontext, transaction.atomic])
def test_row_is_not_written_without_its_record(family, around):
    """I-5: Where the record cannot be written, the row stays as it was."""
    token = token_of(family)
    insert_token(token, "default")

    with pytest.raises(IntegrityError), around():
        rotate_family(family.pk, CHANGES, {}, token, "default")

    assert SessionFamily.objects.get().generation == 7


def test_postgresql_rotates_by_one_statement(family, monkeypatch):
    """On PostgreSQL a rotation is one round trip, with no transaction around it."""
    is_real = connection.vendor == "postgresql"
    monkeypatch.setattr(connection, "vendor", "postgresql")
    seen: list[str] = []

    def note(execute: Any, sql: str, *args: Any) -> Any:
        seen.append(sql)
        assert connection.get_autocommit()
        # Another database is told nothing, since it would not understand.
        return execute(sql, *args) if is_real else None

    with connection.execute_wrapper(note):
        rotate_family(family.pk, CHANGES, {}, token_of(family), "default")

    (sql,) = seen
    assert sql.startswith("WITH rotated AS (UPDATE ")
    assert sql.endswith(" FROM rotated")
    assert RefreshToken.objects.count() == is_real


def test_addresses_and_moments_come_back_as_they_were(family):
    """Values pass through their fields on the way in and out, as with the ORM."""
    moment = timezone.now() - timedelta(microseconds=1)
    changes = {"ip_address": "2001:DB8::1", "rotated_at": moment, "displaced": 3}

    update_family(family.pk, changes, {}, "default")

    row = read_family(family.pk, "default")
    assert (row.ip_address, row.rotated_at) == ("2001:db8::1", moment)
    assert row.displaced == 3
