"""docs/operating.md, "Restore from a backup": its steps, and what they are for."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from rotating_sessions import revocations
from rotating_sessions.models import RefreshToken, RevokedReason, SessionFamily
from rotating_sessions.services import purge_sessions, revoke_session, select_sessions
from rotating_sessions.tokens.refresh import decode_refresh
from tests.acting import MOMENT, W
from tests.browsing import Api, bearer, refusal

pytestmark = pytest.mark.django_db(transaction=True)

OPERATING = Path(__file__).parent.parent / "docs" / "operating.md"
MINUTE = timedelta(minutes=1)


class Site:
    """A site with its database, its settings, and a dump of the night before."""

    def __init__(self, user: Any, clock: Any, settings: Any) -> None:
        self.user, self.clock, self.settings = user, clock, settings
        self.api = Api()
        # Every token that was ever handed out, by either name.
        self.issued: list[dict[str, str]] = []

    def log_in(self) -> dict[str, str]:
        return self._note(self.api.log_in(self.user))

    def refresh(self, tokens: dict[str, str]) -> Any:
        """Present the refresh token, once the grace period is over."""
        self.clock.forward(W)
        answer = self.api.send("/auth/refresh/", {"refresh": tokens["refresh"]})
        if answer.status_code == 200:
            self._note(answer.json())
        return answer

    def visit(self, tokens: dict[str, str]) -> Any:
        return self.api.get("/plain/", **bearer(tokens["access"]))

    def _note(self, tokens: dict[str, str]) -> dict[str, str]:
        self.clock.forward(MOMENT)
        self.issued.append(tokens)
        return tokens

    def dump(self) -> None:
        """Keep every row, in full."""
        self.families = list(SessionFamily.objects.values())
        self.tokens = list(RefreshToken.objects.values())

    def restore(self) -> None:
        """Put the rows of the dump in the place of today's."""
        RefreshToken.objects.all().delete()
        SessionFamily.objects.all().delete()
        SessionFamily.objects.bulk_create(SessionFamily(**row) for row in self.families)
        RefreshToken.objects.bulk_create(RefreshToken(**row) for row in self.tokens)

    def start(self) -> None:
        """Start processes that know of no revocation but those in the database."""
        revocations.reset()

    def raise_epoch(self) -> None:
        self.settings.ROTATING_SESSIONS = {"EPOCH": 1}

    def revoke_all(self) -> None:
        call_command("rotating_sessions_revoke", "--all", "--no-input", verbosity=0)


@pytest.fixture
def site(user: Any, clock: Any, settings: Any) -> Site:
    return Site(user, clock, settings)


def id_of(tokens: dict[str, str]) -> Any:
    return decode_refresh(tokens["refresh"]).family_id


def log_out(site: Site, tokens: dict[str, str]) -> dict[str, str]:
    """Let staff end the session; return the token that should be worth nothing."""
    revoke_session(id_of(tokens), reason=RevokedReason.STAFF)
    return tokens


def steal(site: Site, tokens: dict[str, str]) -> dict[str, str]:
    """Let a thief refresh before the victim does: return what the thief then holds."""
    stolen = site.refresh(tokens).json()
    site.visit(stolen)
    assert refusal(site.refresh(tokens)) == (401, "session_ended")
    return stolen


def test_the_steps_are_those_that_are_walked():
    """The list of docs/operating.md names what the tests below do, in this order."""
    section = OPERATING.read_text(encoding="utf-8").split(
        "\n## Restore from a backup\n"
    )[1]
    section = section.split("\n## ")[0]

    listed = re.findall(r"^\d\. \*\*(\w+)\*\*", section, re.MULTILINE)

    assert listed == ["Stop", "Restore", "Raise", "Revoke", "Start"]
    assert '{"EPOCH": 1}' in section
    assert "rotating_sessions_revoke --all --no-input" in section
    assert Path(__file__).name in section


@pytest.mark.parametrize("end", [log_out, steal])
def test_a_restored_backup_revives_what_was_revoked(
    site: Site, end: Callable[[Site, dict[str, str]], dict[str, str]]
):
    """Without the steps a session that was ended, or stolen, lives again."""
    tokens = site.log_in()
    site.dump()
    held = end(site, tokens)
    assert refusal(site.refresh(held)) == (401, "session_ended")

    site.restore()
    site.start()

    assert site.visit(held).status_code == 200
    assert site.refresh(held).status_code == 200
    assert SessionFamily.objects.get().revoked_at is None


def test_a_restored_backup_signs_busy_people_out_anyway(site: Site):
    """Without the steps, too: a token that is ahead by more than two is refused."""
    tokens = site.log_in()
    site.dump()
    for _ in range(3):
        tokens = site.refresh(tokens).json()

    site.restore()
    site.start()

    assert refusal(site.refresh(tokens)) == (401, "session_ended")


def walk(site: Site) -> None:
    """Take the steps of docs/operating.md."""
    site.restore()
    site.raise_epoch()
    site.revoke_all()
    site.start()


def test_after_the_steps_nothing_from_before_is_accepted(site: Site):
    """KM-05: Of all tokens, from before the backup and since, not one is accepted."""
    quiet, ended, stolen, busy = (site.log_in() for _ in range(4))
    site.dump()
    log_out(site, ended)
    steal(site, stolen)
    for _ in range(3):
        busy = site.refresh(busy).json()
    site.log_in()
    assert site.refresh(quiet).status_code == 200
    walk(site)
    before = list(SessionFamily.objects.order_by("pk").values())

    answers = []
    for tokens in site.issued:
        answers += [site.visit(tokens), site.refresh(tokens)]

    assert len(answers) == 2 * 10
    assert {refusal(answer) for answer in answers} == {(401, "invalid_token")}
    assert list(SessionFamily.objects.order_by("pk").values()) == before


def test_after_the_steps_people_log_in_as_ever(site: Site):
    """A login after the steps serves, refreshes, and is the only session listed."""
    site.log_in()
    site.dump()
    site.log_in()
    walk(site)

    tokens = site.log_in()

    assert site.visit(tokens).status_code == 200
    tokens = site.refresh(tokens).json()
    listed = site.api.get("/auth/sessions/", **bearer(tokens["access"])).json()
    assert [session["current"] for session in listed["results"]] == [True]


def test_without_a_revocation_ghosts_are_listed(site: Site):
    """With the epoch raised only, sessions that nobody can use look alive."""
    site.log_in()
    site.dump()
    site.restore()
    site.raise_epoch()
    site.start()

    site.log_in()

    assert select_sessions(user_pk=site.user.pk).count() == 2


def test_what_was_restored_is_purged_in_the_end(site: Site):
    """RETENTION after the steps the purge deletes what was restored, and no more."""
    old = site.log_in()
    site.dump()
    walk(site)
    site.clock.forward(timedelta(days=30) + MINUTE)
    new = site.log_in()

    deleted = list(purge_sessions())

    assert sum(count.families for count in deleted) == 1
    assert SessionFamily.objects.get().pk == id_of(new)
    assert site.visit(new).status_code == 200
    assert refusal(site.refresh(old)) == (401, "invalid_token")


@pytest.mark.parametrize("epoch", [0, 1])
def test_a_lowered_epoch_would_revive_old_tokens(site: Site, epoch: int):
    """An epoch that is lowered again brings back what it was raised against."""
    tokens = site.log_in()
    site.raise_epoch()
    assert refusal(site.visit(tokens)) == (401, "invalid_token")

    site.settings.ROTATING_SESSIONS = {"EPOCH": epoch}

    assert (site.refresh(tokens).status_code == 200) is (epoch == 0)
