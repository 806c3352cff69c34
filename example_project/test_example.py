"""The example project: safe in production, complete, and its story comes true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from example_project.demo.telling import Answer, Story, Unexpected, shorten

ROOT = Path(__file__).parent.parent
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLXRoYXQtaXMtbm9uZQ"
REFRESH = "rsrt_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA"


def run(folder: Path, *arguments: str, mode: str = "production"):
    """Run Python on the example, with its files in a folder of its own."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "example_project.settings",
        "EXAMPLE_FILES": str(folder),
        "EXAMPLE_MODE": mode,
        "PYTHONIOENCODING": "utf-8",
    }
    return subprocess.run(  # noqa: S603 - commands of our own
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


def test_production_mode_passes_the_deployment_checks(tmp_path):
    """The example's production settings pass every check for deployment."""
    command = ("example_project/manage.py", "check", "--deploy")

    done = run(tmp_path, *command, "--fail-level", "WARNING")

    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_development_mode_is_no_deployment(tmp_path):
    """The deployment checks refuse development mode, and name its insecure cookies."""
    command = ("example_project/manage.py", "check", "--deploy")

    done = run(tmp_path, *command, "--fail-level", "WARNING", mode="development")

    assert done.returncode == 1
    assert "rotating_sessions.W023" in done.stderr


def test_no_migration_is_missing(tmp_path):
    """The migrations make the tables that the models describe."""
    command = ("example_project/manage.py", "makemigrations", "--check", "--dry-run")

    done = run(tmp_path, *command)

    assert done.returncode == 0, done.stdout + done.stderr


def test_seeding_twice_changes_nothing(tmp_path):
    """Seeding prints the same logins each time, and creates nobody twice."""
    manage = "example_project/manage.py"
    run(tmp_path, manage, "migrate", mode="development")
    first = run(tmp_path, manage, "seed", mode="development")

    second = run(tmp_path, manage, "seed", mode="development")

    assert second.returncode == 0, second.stderr
    assert second.stdout == first.stdout
    assert [line.split()[0] for line in second.stdout.splitlines()] == [
        "ada",
        "grace",
        "admin",
    ]


def test_production_gets_no_users_with_known_passwords(tmp_path):
    """Seeding refuses to run in production mode."""
    done = run(tmp_path, "example_project/manage.py", "seed")

    assert done.returncode == 1
    assert "EXAMPLE_MODE=development" in done.stderr


def test_the_story_comes_true_and_gives_no_token_away(tmp_path):
    """The demo plays every step as it must, and prints no token that could be used."""
    done = run(tmp_path, "-m", "example_project.demo", "--once")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "All 12 steps went as they must" in done.stdout
    assert done.stderr == ""
    assert "rsrt_" in done.stdout
    assert not re.search(r"rsrt_[\w-]{21}", done.stdout)
    assert not re.search(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", done.stdout)


def test_the_story_stops_at_an_answer_that_must_not_be(capsys):
    """An answer with another outcome than expected ends the story, and says which."""
    answer = Answer(status=200, text='{"access": "a", "refresh": "r"}')

    with pytest.raises(Unexpected, match="expected: 401 session_ended"):
        Story().expect("thief", "POST /auth/refresh/", answer, "401 session_ended")

    assert "✓" not in capsys.readouterr().out


def test_the_story_stops_at_a_fact_that_does_not_hold(capsys):
    """A claim that does not hold ends the story, and is named."""
    with pytest.raises(Unexpected, match="RT1 is another token"):
        Story().claim("RT1 is another token", holds=False)

    assert "✓" not in capsys.readouterr().out


@pytest.mark.parametrize("token", [JWT, REFRESH])
def test_a_printed_token_is_of_no_use(token):
    """Of a token only its first 8 and last 4 characters are ever printed."""
    shown = shorten(f'{{"token": "{token}"}}')

    assert shown == f'{{"token": "{token[:8]}…{token[-4:]}"}}'
