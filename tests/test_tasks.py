"""Tasks: there where Django has them, and nobody's trouble where it has not."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from datetime import timedelta
from importlib import import_module
from importlib.util import find_spec

import pytest
from django.utils import timezone

from rotating_sessions.models import SessionFamily
from tests.factories import RefreshTokenFactory, SessionFamilyFactory

HAS_TASKS = find_spec("django.tasks") is not None
NAME = "rotating_sessions.tasks"


def test_task_can_be_imported_where_django_has_tasks(monkeypatch):
    """From Django 6.0 on there is a task; an older one says what it lacks."""
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    missing = pytest.raises(ModuleNotFoundError, match=r"django\.tasks")

    with nullcontext() if HAS_TASKS else missing:
        import_module(NAME)


def test_older_django_says_what_it_lacks(monkeypatch):
    """Who imports the task on Django 5.2 reads that `django.tasks` is missing."""
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    monkeypatch.setitem(sys.modules, "django.tasks", None)

    with pytest.raises(ModuleNotFoundError, match=r"django\.tasks"):
        import_module(NAME)


@pytest.mark.skipif(not HAS_TASKS, reason="Django before 6.0 has no tasks: see above")
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("options", "stopped"),
    [({}, False), ({"max_seconds": 0}, True), ({"max_seconds": 3600}, False)],
)
def test_task_purges(options, stopped):
    """An enqueued purge deletes what the command would, and its result counts it."""
    ended_at = timezone.now() - timedelta(days=31)
    (family, _) = SessionFamilyFactory.create_batch(2, revoked_at=ended_at)
    RefreshTokenFactory.create_batch(3, family=family)

    result = import_module(NAME).purge.enqueue(**options)

    assert result.return_value == {
        "families": 2,
        "tokens": 3,
        "skipped": 0,
        "stopped": stopped,
    }
    assert not SessionFamily.objects.exists()
