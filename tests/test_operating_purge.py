"""docs/operating.md, "Purge": the options are the command's, and the examples work."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import load_command_class
from django.core.management.base import BaseCommand
from django.test import RequestFactory
from django.utils import timezone

from tests.factories import SessionFamilyFactory

OPERATING = Path(__file__).parent.parent / "docs" / "operating.md"
SECTION = OPERATING.read_text(encoding="utf-8").split("\n## ")[1]


def options(command: BaseCommand) -> set[str]:
    parser = command.create_parser("manage.py", "rotating_sessions_purge")
    found = {name for action in parser._actions for name in action.option_strings}
    return {name for name in found if name.startswith("--")}


def example(text: str) -> dict[str, Any]:
    """Return what the example in which the text stands defines."""
    blocks = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
    (block,) = [block for block in blocks if text in block]
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102 - our own page
    return names


def test_every_option_is_explained():
    """The table lists the options of the command, and no other."""
    listed = set(re.findall(r"^\| `(--[a-z-]+)", SECTION, re.MULTILINE))
    command = load_command_class("rotating_sessions", "rotating_sessions_purge")

    own = options(command) - options(BaseCommand())

    assert listed == own


@pytest.mark.django_db
@pytest.mark.parametrize(("days", "status"), [(32, 200), (34, 503)])
def test_health_endpoint_tells_that_the_purge_is_late(days, status):
    """The example answers 503 once a session has been due for three days."""
    SessionFamilyFactory.create(revoked_at=timezone.now() - timedelta(days=days))

    response = example("def health")["health"](RequestFactory().get("/health/"))

    assert response.status_code == status
