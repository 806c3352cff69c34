"""The commands: purge what no longer matters, revoke what has to end."""

from __future__ import annotations

import builtins
import io
import itertools
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.utils import timezone

from rotating_sessions.management.commands import rotating_sessions_purge
from rotating_sessions.models import RefreshToken, RevokedReason, SessionFamily
from tests.browsing import bearer, database_down, refusal, rows
from tests.factories import (
    RefreshTokenFactory,
    SessionFamilyFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db(transaction=True)

NOW = timezone.now()
DAY = timedelta(days=1)


def run(name: str, *args: str) -> str:
    """Run a command of ours and return what it printed."""
    out = io.StringIO()
    call_command(f"rotating_sessions_{name}", *args, stdout=out, no_color=True)
    return out.getvalue()


def end_long_ago(count: int, **fields: Any) -> list[SessionFamily]:
    """Return sessions that ended before the retention, each with two tokens."""
    fields = fields or {"revoked_at": NOW - 31 * DAY}
    families = SessionFamilyFactory.create_batch(count, **fields)
    for family in families:
        RefreshTokenFactory.create_batch(2, family=family)
    return families


@pytest.mark.parametrize("field", ["revoked_at", "expires_at", "idle_at"])
@pytest.mark.parametrize(("early", "deleted"), [(1, True), (-60, False)])
def test_purge_deletes_what_ended_before_the_retention(field, early, deleted):
    """A session goes, with its tokens, once it ended RETENTION ago."""
    ended_at = timezone.now() - timedelta(days=30, seconds=early)
    family = SessionFamilyFactory.create(**{field: ended_at})
    RefreshTokenFactory.create(family=family)

    run("purge")

    assert SessionFamily.objects.exists() is not deleted
    assert RefreshToken.objects.exists() is not deleted


def test_purge_keeps_what_lives():
    """Live sessions, and those that ended lately, are left as they are (RV-06)."""
    SessionFamilyFactory.create()
    SessionFamilyFactory.create(revoked_at=NOW - DAY)
    before = rows()

    printed = run("purge")

    assert printed == "Deleted 0 session(s) and 0 token record(s).\n"
    assert rows() == before


def test_purge_counts_what_it_deleted():
    """The command prints how many rows it deleted."""
    end_long_ago(3)
    SessionFamilyFactory.create()

    printed = run("purge")

    assert printed == "Deleted 3 session(s) and 6 token record(s).\n"
    assert SessionFamily.objects.count() == 1


def test_dry_run_deletes_nothing(settings):
    """With --dry-run the counts are printed, and every row stays (AD-09)."""
    settings.ROTATING_SESSIONS = {"TOKEN_HISTORY": 2}
    end_long_ago(3)
    long = SessionFamilyFactory.create(generation=3)
    for generation in range(4):
        RefreshTokenFactory.create(family=long, generation=generation)
    before = rows()

    printed = run("purge", "--dry-run")

    assert printed == "Would delete 3 session(s) and 8 token record(s).\n"
    assert rows() == before


@pytest.mark.parametrize(("history", "kept"), [(1, [4]), (2, [3, 4]), (5, range(5))])
def test_purge_trims_the_history_of_live_sessions(settings, history, kept):
    """Of a live session the last TOKEN_HISTORY tokens stay on record."""
    settings.ROTATING_SESSIONS = {"TOKEN_HISTORY": history}
    family = SessionFamilyFactory.create(generation=4)
    for generation in range(5):
        RefreshTokenFactory.create(family=family, generation=generation)

    printed = run("purge")

    tokens = RefreshToken.objects.order_by("generation")
    assert list(tokens.values_list("generation", flat=True)) == list(kept)
    assert f"and {5 - len(kept)} token record(s)" in printed


def test_trimmed_history_changes_no_answer(api, user, settings):
    """A stolen token reveals the theft although its record is gone (RT-06)."""
    settings.ROTATING_SESSIONS = {"TOKEN_HISTORY": 1, "GRACE_PERIOD": timedelta(0)}
    stolen = refresh = api.log_in(user)["refresh"]
    for _ in range(3):
        answer = api.send("/auth/refresh/", {"refresh": refresh})
        refresh = answer.json()["refresh"]
    run("purge")

    response = api.send("/auth/refresh/", {"refresh": stolen})

    assert RefreshToken.objects.count() == 1
    assert refusal(response) == (401, "session_ended")
    assert SessionFamily.objects.get().revoked_reason == RevokedReason.REUSED


def test_purge_goes_batch_by_batch():
    """With -v 2 the command tells what each batch deleted."""
    end_long_ago(5)

    printed = run("purge", "--batch-size=2", "--sleep=0", "-v=2")

    assert printed.splitlines() == [
        "Batch 1: 2 session(s) and 4 token record(s).",
        "Batch 2: 2 session(s) and 4 token record(s).",
        "Batch 3: 1 session(s) and 2 token record(s).",
        "Deleted 5 session(s) and 10 token record(s).",
    ]


def test_purge_stops_after_the_batches_it_was_given():
    """With --max-batches the rest is left for the next run."""
    end_long_ago(5)

    printed = run("purge", "--batch-size=2", "--max-batches=1")

    assert printed.splitlines() == [
        "Deleted 2 session(s) and 4 token record(s).",
        "Stopped at the limit: there may be more for the next run.",
    ]
    assert SessionFamily.objects.count() == 3


def test_purge_stops_when_its_time_is_over():
    """With --max-seconds the batch in flight is finished, and the rest is left."""
    end_long_ago(5)

    printed = run("purge", "--batch-size=2", "--max-seconds=0")

    assert printed.splitlines() == [
        "Deleted 2 session(s) and 4 token record(s).",
        "Stopped at the limit: there may be more for the next run.",
    ]
    assert run("purge", "--max-seconds=3600").splitlines() == [
        "Deleted 3 session(s) and 6 token record(s)."
    ]


@pytest.mark.parametrize(
    ("span", "deleted"), [("9d", 1), ("1440m", 2), ("25h", 1), ("23h", 2), ("31d", 0)]
)
def test_one_purge_may_keep_for_longer_or_shorter(span, deleted):
    """--older-than stands in for RETENTION, in days, hours or minutes."""
    now = timezone.now()
    SessionFamilyFactory.create(revoked_at=now - timedelta(days=1, seconds=60))
    SessionFamilyFactory.create(revoked_at=now - timedelta(days=30, seconds=60))

    printed = run("purge", f"--older-than={span}")

    assert printed == f"Deleted {deleted} session(s) and 0 token record(s).\n"


@pytest.mark.parametrize("span", ["30", "d", "1y", "-1d", "1.5d", "100000d", "30m"])
def test_span_that_makes_no_sense_is_refused(span):
    """A span has a unit, and leaves what an access token may still need (RV-06)."""
    end_long_ago(1)

    with pytest.raises(CommandError, match="--older-than"):
        run("purge", f"--older-than={span}")

    assert SessionFamily.objects.count() == 1


class Terminal(io.StringIO):
    """What the command takes for a terminal."""

    def isatty(self) -> bool:
        return True


def watch(*args: str) -> str:
    """Purge on a terminal, and return all that it was sent."""
    terminal = Terminal()
    call_command("rotating_sessions_purge", *args, stdout=terminal, no_color=True)
    return terminal.getvalue()


def test_purge_draws_a_bar_on_a_terminal():
    """Who watches sees how far the purge is, and a clean line at the end."""
    end_long_ago(4)

    drawn = watch("--batch-size=3").split("\r")

    assert drawn == [
        "",
        "[###############-----]  75%  3 session(s) and 6 token record(s)",
        "[####################] 100%  4 session(s) and 8 token record(s)",
        " " * len(drawn[1]),
        "Deleted 4 session(s) and 8 token record(s).\n",
    ]


def test_bar_is_wiped_before_an_error():
    """What went wrong stands on a line of its own."""
    end_long_ago(2)
    terminal = Terminal()

    def fail(execute: Any, sql: str, *args: Any) -> Any:
        if sql.startswith("DELETE") and SessionFamily.objects.count() == 1:
            raise OperationalError("The server went away.")
        return execute(sql, *args)

    with connection.execute_wrapper(fail), pytest.raises(CommandError, match="after 1"):
        call_command("rotating_sessions_purge", "--batch-size=1", stdout=terminal)

    bar = "[##########----------]  50%  1 session(s) and 2 token record(s)"
    assert terminal.getvalue() == f"\r{bar}\r{' ' * len(bar)}\r"


def test_more_than_can_be_counted_quickly_is_no_bar(monkeypatch):
    """A purge does not wait for a long count: then the numbers alone are shown."""
    monkeypatch.setattr(rotating_sessions_purge, "_MAX_COUNTED", 2)
    end_long_ago(3)

    drawn = watch().split("\r")

    assert drawn[1] == "3 session(s) and 6 token record(s)"


@pytest.mark.parametrize("colour", ["--no-color", "--force-color"])
def test_purge_is_coloured_only_if_it_may(colour):
    """--no-color and --force-color count, as in every command of Django's."""
    terminal = Terminal()

    call_command("rotating_sessions_purge", colour, stdout=terminal)

    assert ("\x1b[" in terminal.getvalue()) == (colour == "--force-color")


def test_quiet_purge_prints_nothing():
    """With -v 0 nothing is printed, on a terminal either."""
    end_long_ago(2)

    assert run("purge", "-v=0") + watch("-v=0") == ""
    assert not SessionFamily.objects.exists()


def test_long_purge_tells_how_far_it_is(monkeypatch):
    """Where nobody watches, a line every half a minute says how far the purge is."""
    moments = itertools.count(step=11)
    monkeypatch.setattr(time, "monotonic", lambda: next(moments))
    end_long_ago(12)

    printed = run("purge", "--batch-size=2")

    *lines, last = printed.splitlines()
    assert last == "Deleted 12 session(s) and 24 token record(s)."
    assert lines
    assert all(line.startswith("So far ") for line in lines)


@pytest.mark.django_db(transaction=True)
def test_purge_tells_what_it_left_to_others(monkeypatch):
    """Sessions that others were at work on are left, and the command says so."""
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    end_long_ago(3)

    def contend(execute: Any, sql: str, *args: Any) -> Any:
        if sql.startswith("DELETE"):
            raise OperationalError(1213, "Deadlock found")
        return execute(sql, *args)

    with connection.execute_wrapper(contend):
        printed = run("purge")

    assert printed.splitlines() == [
        "Deleted 0 session(s) and 0 token record(s).",
        "Others were at work on 3 more session(s): the next run looks again.",
    ]


@pytest.mark.parametrize("option", ["--batch-size", "--max-batches"])
@pytest.mark.parametrize("value", ["0", "-1", "many"])
def test_number_that_makes_no_sense_is_refused(option, value):
    """Batches are counted from one."""
    with pytest.raises(CommandError, match=option):
        run("purge", f"{option}={value}")


@pytest.mark.parametrize("option", ["--sleep", "--max-seconds"])
@pytest.mark.parametrize("value", ["-1", "nan", "inf", "1e300", "soon"])
def test_time_that_makes_no_sense_is_refused(option, value):
    """Seconds are a number, and none that is less than nothing."""
    with pytest.raises(CommandError, match=option):
        run("purge", f"{option}={value}")


def test_purge_works_on_the_database_it_was_given():
    """--database names the database to purge."""
    end_long_ago(1)

    printed = run("purge", "--database=default")

    assert printed == "Deleted 1 session(s) and 2 token record(s).\n"


def test_purge_refuses_a_database_that_is_none():
    """A database that the settings do not know is an error in one line."""
    with pytest.raises(CommandError):
        run("purge", "--database=nowhere")


@pytest.mark.parametrize("statement", ["", "DELETE"])
def test_purge_without_a_database_fails_in_words(statement):
    """A database that fails ends the command with one line, and exit code 1."""
    end_long_ago(1)

    with (
        database_down(statement),
        pytest.raises(CommandError, match=r"0 session.*run the command again") as error,
    ):
        run("purge")

    assert error.value.returncode == 1
    assert SessionFamily.objects.count() == 1


@pytest.fixture
def families():
    """Return two live sessions of one user, one of another's, and one that ended."""
    first = SessionFamilyFactory.create(user__username="vivian")
    return [
        first,
        SessionFamilyFactory.create(user=first.user),
        SessionFamilyFactory.create(),
        SessionFamilyFactory.create(user=first.user, revoked_at=NOW - DAY),
    ]


def reasons(families: list[SessionFamily]) -> list[str]:
    found = dict(SessionFamily.objects.values_list("pk", "revoked_reason"))
    return [found[family.pk] for family in families]


def test_revoke_ends_the_sessions_of_a_user(families):
    """--user ends the live sessions of the user with this name."""
    printed = run("revoke", "--user=vivian")

    assert printed == "Revoked 2 session(s).\n"
    assert reasons(families) == ["staff", "staff", "", ""]


@pytest.mark.parametrize(("index", "count"), [(0, 1), (3, 0)])
def test_revoke_ends_one_session(families, index, count):
    """--family ends the session with this id, if it is live."""
    printed = run("revoke", f"--family={families[index].pk}")

    assert printed == f"Revoked {count} session(s).\n"
    assert reasons(families) == ["staff" if count else "", "", "", ""]


def test_revoke_of_an_unknown_session_ends_none(families):
    """An id that no session has ends nothing."""
    printed = run("revoke", f"--family={uuid4()}")

    assert printed == "Revoked 0 session(s).\n"
    assert reasons(families) == [""] * 4


@pytest.mark.parametrize("reason", RevokedReason.values)
def test_revoke_keeps_the_reason(families, reason):
    """--reason is kept with the sessions that end."""
    run("revoke", "--user=vivian", f"--reason={reason}")

    assert reasons(families) == [reason, reason, "", ""]


def test_revoked_session_ends_in_this_process_at_once(api, user):
    """What the command revokes is refused at once where it runs."""
    access = api.log_in(user)["access"]
    api.get("/plain/", **bearer(access))

    run("revoke", f"--user={user.username}")

    assert refusal(api.get("/plain/", **bearer(access))) == (401, "session_ended")


@pytest.mark.parametrize("option", ["--no-input", "--noinput"])
def test_revoke_of_all_can_go_unasked(families, option):
    """--all with --no-input ends every live session without a question."""
    printed = run("revoke", "--all", option)

    assert printed == "Revoked 3 session(s).\n"
    assert reasons(families) == ["staff", "staff", "staff", ""]


@pytest.mark.parametrize("answer", ["y", "Y", "yes", " YES "])
def test_revoke_of_all_asks_first(families, monkeypatch, answer):
    """--all tells how many sessions end, and waits for a yes."""
    asked: list[str] = []

    def reply(question: str) -> str:
        asked.append(question)
        return answer

    monkeypatch.setattr(builtins, "input", reply)

    printed = run("revoke", "--all")

    assert printed == "Revoked 3 session(s).\n"
    assert [question.split(":")[0] for question in asked] == ["This ends 3 session(s)"]


@pytest.mark.parametrize("answer", ["", "n", "no", "yep", "all"])
def test_revoke_of_all_takes_only_a_yes(families, monkeypatch, answer):
    """Any answer but a yes ends nothing, and is an error to scripts."""
    monkeypatch.setattr(builtins, "input", lambda _question: answer)

    with pytest.raises(CommandError, match=r"Nothing was revoked\."):
        run("revoke", "--all")

    assert reasons(families) == [""] * 4


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--user=nobody"], "no user 'nobody'"),
        ([], "one of the arguments"),
        (["--user=vivian", "--all"], "not allowed with"),
        (["--family=abc"], "invalid UUID"),
        (["--user=vivian", "--reason=boredom"], "invalid choice"),
    ],
)
def test_revoke_refuses_what_it_cannot_mean(families, args, message):
    """An unknown user, or options that do not fit, end nothing."""
    with pytest.raises(CommandError, match=message):
        run("revoke", *args)

    assert reasons(families) == [""] * 4


@pytest.mark.parametrize("statement", ["", "UPDATE"])
@pytest.mark.parametrize("whose", ["--user=vivian", "--all"])
def test_revoke_without_a_database_fails_in_words(families, statement, whose):
    """A database that fails ends the command with one line, and no session."""
    with (
        database_down(statement),
        pytest.raises(CommandError, match="The database failed"),
    ):
        run("revoke", whose, "--no-input")

    assert reasons(families) == [""] * 4


def test_user_of_the_command_is_found_by_the_name_to_log_in_with(families):
    """The name is the user's exact one, and a part of it ends nothing."""
    UserFactory.create(username="viv")

    printed = run("revoke", "--user=viv")

    assert printed == "Revoked 0 session(s).\n"
