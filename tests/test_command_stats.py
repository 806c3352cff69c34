"""rotating_sessions_stats: the same numbers for people and for programs."""

from __future__ import annotations

import io
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from rotating_sessions.models import RevokedReason
from rotating_sessions.services import start_anonymous_session
from tests.acting import START
from tests.browsing import database_down
from tests.factories import RefreshTokenFactory, SessionFamilyFactory

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)
OPERATING = Path(__file__).parent.parent / "docs" / "operating.md"


@pytest.fixture
def _site(clock: Any) -> None:
    """Make a site of a thousand and a few sessions, one of them stolen."""
    families = SessionFamilyFactory.create_batch(3, transport="cookie")
    SessionFamilyFactory.create(user=families[0].user)
    ends = [(2, "reused"), (3, "logout"), (3, "logout"), (999, "staff")]
    for hours, reason in ends:
        SessionFamilyFactory.create(
            revoked_at=START - hours * HOUR, revoked_reason=reason
        )
    for generation in range(37):
        RefreshTokenFactory.create(
            family=families[0], generation=generation, issued_at=START - HOUR
        )


def run(*args: str) -> str:
    out = io.StringIO()
    call_command("rotating_sessions_stats", *args, stdout=out, no_color=True)
    return out.getvalue()


@pytest.mark.usefixtures("_site")
def test_people_read_aligned_lines():
    """Labels stand left and numbers right, reasons that did not occur are left out."""
    printed = run().splitlines()

    assert printed[:-1] == [
        "Live sessions                                 4",
        "  cookie                                      3",
        "  header                                      1",
        "Users with a live session                     3",
        "In the last 24 hour(s)",
        "  refreshes                                  36",
        "    per hour                                1.5",
        "  reuse detected                              1",
        "  revoked                                     3",
        "    logout                                    2",
        "    reused                                    1",
        "Ended, not purged                             4",
        "  the first of them ended  2031-01-21 14:06 UTC",
    ]
    assert re.fullmatch(r"Size +\d+\.\d [KM]B", printed[-1])
    assert len(printed[-1]) == len(printed[0])


@pytest.mark.usefixtures("_site")
def test_programs_read_json():
    """With --json each number has its key, and every reason is there."""
    found = json.loads(run("--json", "--hours=3"))

    size = found.pop("size")
    assert size >= 4096
    assert found == {
        "at": "2031-03-04T05:06:07.890123+00:00",
        "hours": 3,
        "live": 4,
        "live_by_transport": {"cookie": 3, "header": 1},
        "anonymous": 0,
        "users": 3,
        "refreshes": 36,
        "refreshes_per_hour": 12.0,
        "reuse_detected": 1,
        "revoked": 1,
        "revoked_by_reason": dict.fromkeys(RevokedReason.values, 0) | {"reused": 1},
        "ended": 4,
        "oldest_ended_at": "2031-01-21T14:06:07.890123+00:00",
    }


def test_each_key_is_documented():
    """docs/operating.md lists the keys of the JSON in their order."""
    section = OPERATING.read_text(encoding="utf-8").split("\n## Statistics\n")[1]
    rows = re.findall(r"^\| `(\w+)` \|", section.split("\n## ")[0], re.MULTILINE)

    assert rows == list(json.loads(run("--json")))


def test_a_new_site_has_statistics(monkeypatch):
    """Where nothing has ended and no size is known, no line tells of it."""
    monkeypatch.setattr("django.db.connection.vendor", "another")

    printed = run().splitlines()

    assert [line.split("  ")[0] for line in printed if line[0] != " "] == [
        "Live sessions",
        "Users with a live session",
        "In the last 24 hour(s)",
        "Ended, not purged",
    ]
    assert json.loads(run("--json"))["oldest_ended_at"] is None


def test_visitors_are_no_users(rf):
    """Anonymous sessions are counted apart, and however many make no user."""
    for _ in range(2):
        start_anonymous_session(rf.get("/"))
    SessionFamilyFactory.create()

    found = json.loads(run("--json"))

    assert (found["live"], found["anonymous"], found["users"]) == (3, 2, 1)
    assert [line.split()[-1] for line in run().splitlines()[1:4]] == ["3", "2", "1"]


@pytest.mark.parametrize("hours", ["0", "-1", "8761", "1.5", "many", "9" * 40])
def test_hours_that_make_no_sense_are_refused(hours):
    """The window is a whole number of hours, from one to those of a year."""
    with pytest.raises(CommandError, match="--hours"):
        run(f"--hours={hours}")


def test_a_database_can_be_named():
    """--database names the database to read, and one that is none is an error."""
    SessionFamilyFactory.create()

    assert json.loads(run("--json", "--database=default"))["live"] == 1
    with pytest.raises(CommandError):
        run("--database=nowhere")


def test_a_database_that_fails_is_one_line():
    """A database that is down ends the command with one line, and exit code 1."""
    with database_down(), pytest.raises(CommandError, match="database failed") as error:
        run()

    assert error.value.returncode == 1
