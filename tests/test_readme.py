"""README says what the code does: its settings, its codes, and its quick start."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import Field, fields
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import get_commands

from rotating_sessions import exceptions, signals
from rotating_sessions.conf import Conf
from rotating_sessions.exceptions import SessionError

README = Path(__file__).parent.parent / "README.md"
GUIDE = README.parent / "docs" / "supertokens.md"
# A block of code that is a file, or goes to its end.
FILE = re.compile(r"```python\n# (settings|urls|sign_in)\.py\n(.*?)```", re.DOTALL)

LOG_IN = """
import json
from django.contrib.auth import get_user_model
from django.test import Client
get_user_model().objects.create_user("ada", password="lovelace")
client = Client()
answer = client.post(
    "/auth/login/",
    json.dumps({"username": "ada", "password": "lovelace"}),
    content_type="application/json",
).json()
for _ in range(2):
    refresh = json.dumps({"refresh": answer["refresh"]})
    refreshed = client.post("/auth/refresh/", refresh, content_type="application/json")
    assert refreshed.status_code == 200, refreshed.content
listed = client.get(
    "/auth/sessions/", HTTP_AUTHORIZATION="Bearer " + refreshed.json()["access"]
)
print("sessions:", len(listed.json()["results"]))
"""

SIGN_IN = """
import json
from django.contrib.auth import get_user_model
from django.test import Client
get_user_model().objects.create_user("ada", password="lovelace")
client = Client(enforce_csrf_checks=True, headers={"rid": "anti-csrf"})
def post(path, body=None, **extra):
    return client.post(path, body, content_type="application/json", **extra)
wrong = post("/auth/signin", {"username": "ada", "password": "byron"})
assert wrong.json() == {"status": "WRONG_CREDENTIALS_ERROR"}
for mode in ("header", "cookie"):
    answer = post(
        "/auth/signin",
        {"username": "ada", "password": "lovelace"},
        headers={"st-auth-mode": mode},
    )
    assert "front-token" in answer.headers, answer.content
    assert ("sAccessToken" in client.cookies) == (mode == "cookie")
assert post("/auth/session/refresh").status_code == 200
assert client.get("/auth/sessions/").status_code == 200
print("signed out:", post("/auth/signout").json())
assert client.get("/auth/sessions/").status_code == 401
"""


def text() -> str:
    """Return the README."""
    return README.read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, its header left out."""
    section = text().split(f"\n{heading}\n", 1)[1]
    rows = re.findall(r"^\|(.*)\|$", section.split("\n#", 1)[0], re.MULTILINE)
    return [[cell.strip() for cell in row.split(" | ")] for row in rows[2:]]


def spell(value: object) -> str:
    """Return a default as README spells it: spans in words, numbers plain."""
    if isinstance(value, timedelta):
        seconds = int(value.total_seconds())
        units = {"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}
        # One minute is 60 seconds here, as in the text around the table.
        name = next(
            n for n, size in units.items() if seconds % size == 0 < seconds > size
        )
        return f"{seconds // units[name]} {name}"
    if type(value) is int:
        return str(value)
    return "`" + repr(value).replace("'", '"') + "`"


def test_the_settings_table_lists_every_setting_in_its_order() -> None:
    """README's settings are those of Conf, none more and none less."""
    names = [row[0].strip("`") for row in table("## Settings")]

    assert names == [field.name.upper() for field in fields(Conf)]


@pytest.mark.parametrize("field", fields(Conf), ids=lambda field: field.name)
def test_the_settings_table_states_the_default(field: Field[object]) -> None:
    """README's defaults are those of Conf."""
    stated = {row[0].strip("`").lower(): row[1] for row in table("## Settings")}

    assert stated[field.name] == spell(field.default)


def test_every_code_of_ours_is_explained() -> None:
    """A client finds each status and code that it can meet in README's table."""
    stated = {(row[0], row[1].strip("`")) for row in table("### Errors")}
    errors = [getattr(exceptions, name) for name in exceptions.__all__]
    errors.remove(SessionError)

    unexplained = [
        error
        for error in errors
        if not any(
            str(error.status) in statuses and error.code == code
            for statuses, code in stated
        )
    ]

    assert not unexplained


def test_every_system_check_is_listed() -> None:
    """Whoever meets the id of a check finds it in README, alone or in a span of ids."""
    ids = re.compile(r"([EW])(\d{3})(?:` to `[EW](\d{3}))?")
    listed = {
        f"{letter}{number:03}"
        for row in table("## System checks")
        for letter, first, last in ids.findall(row[0])
        for number in range(int(first), int(last or first) + 1)
    }
    package = README.parent / "rotating_sessions"
    sources = [*(package / "checks").glob("*.py"), package / "fdi" / "checks.py"]
    kinds = {"error": "E", "warning": "W"}
    given = {
        f"{kinds[kind]}{int(number):03}"
        for source in sources
        for kind, number in re.findall(
            r"_(error|warning)\(\s*(\d+)", source.read_text(encoding="utf-8")
        )
    }

    assert given == listed


def test_every_signal_and_command_is_named() -> None:
    """A feature that README does not name is a feature that nobody finds."""
    own = [name for name, app in get_commands().items() if app == "rotating_sessions"]
    sent = [name for name in signals.__all__ if name not in {"announce", "report"}]

    unnamed = [name for name in own + sent if name not in text()]

    assert own
    assert not unnamed


def test_limits_of_network_binding_are_stated() -> None:
    """Whoever turns binding on or off reads whom it does not tell apart (IP-07)."""
    section = text().split("\n## (In)security\n", 1)[1].split("\n## ", 1)[0]
    settings = {row[0].strip("`"): row[2] for row in table("## Settings")}

    for egress in ("office", "CGNAT", "Private Relay"):
        assert egress in section
    assert "network" in settings["BIND_NETWORK"]
    assert "network" in settings["IPV4_PREFIX"]


def test_the_quick_start_works_when_pasted(tmp_path: Path) -> None:
    """A new project with README's lines in it migrates, logs in and refreshes."""
    run = start_project(tmp_path, README)

    output = run("manage.py", "shell", "-v0", "-c", LOG_IN)

    assert "sessions: 1" in output


def test_the_guide_for_supertokens_works_when_pasted(tmp_path: Path) -> None:
    """With the guide's lines, too, a front end signs in, refreshes and signs out."""
    run = start_project(tmp_path, README, GUIDE)

    complaints = run("manage.py", "check")
    output = run("manage.py", "shell", "-v0", "-c", SIGN_IN)

    assert "W04" not in complaints
    assert "signed out: {'status': 'OK'}" in output


def start_project(folder: Path, *documents: Path) -> Callable[..., str]:
    """Start a project, paste what documents say is in its files, and migrate it."""
    env = {name: value for name, value in os.environ.items() if "DJANGO" not in name}
    env["PYTHONPATH"] = str(README.parent)

    def run(*command: str) -> str:
        done = subprocess.run(  # noqa: S603 - our own lines
            [sys.executable, *command],
            cwd=folder,
            env=env,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout + done.stderr

    run("-m", "django", "startproject", "site_of_mine", ".")
    for document in documents:
        lines = document.read_text(encoding="utf-8")
        for name, block in FILE.findall(lines):
            place = folder / "site_of_mine" if name in {"settings", "urls"} else folder
            with (place / f"{name}.py").open("a") as file:
                file.write("\n" + block)
    with (folder / "site_of_mine" / "settings.py").open("a") as file:
        file.write('\nALLOWED_HOSTS = ["testserver"]\n')
    run("manage.py", "migrate", "-v0")
    return run
