"""The canary scan: a whole story is played, and no token is anywhere but its answer."""

from __future__ import annotations

import io
import logging
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as site
from django.contrib.auth.signals import user_logged_in
from django.core.management import call_command
from django.db import ProgrammingError
from django.urls import reverse

from rotating_sessions import signals
from rotating_sessions.models import RefreshToken, SessionFamily
from rotating_sessions.tokens.keys import get_key_ring
from tests import figures
from tests.acting import MOMENT, Clock, W, heard
from tests.browsing import REFRESH, TRAIN, bearer, database_down
from tests.canaries import (
    SQL_LOGGER,
    Place,
    RecordingApi,
    columns,
    log_entries,
    places_of,
    spellings,
    tokens_in,
    traces_of,
)
from tests.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db(transaction=True)

ANYWHERE = {"POST /auth/login/", "POST /auth/refresh/", "POST /auth/reauthenticate/"}
ISSUERS = {
    "header": ANYWHERE,
    "cookie": ANYWHERE | {"POST /auth/refresh-page/"},
}
# The columns that hold what proves a token, and cannot make one.
STORED = {
    "rotating_sessions_sessionfamily.secret",
    "rotating_sessions_sessionfamily.current_digest",
    "rotating_sessions_sessionfamily.previous_digest",
    "rotating_sessions_refreshtoken.digest",
}
PAGE = {"HTTP_ACCEPT": "text/html"}
CONFIRM = "/auth/reauthenticate/"
SESSIONS = "/admin/rotating_sessions/sessionfamily/"
SIGNALS = [
    signals.lost_commit,
    signals.network_changed,
    signals.refresh_token_reused,
    signals.session_refreshed,
    signals.session_revoked,
    signals.session_started,
]


class Player:
    """A client, honest or not, with what it holds."""

    def __init__(
        self, api: RecordingApi, clock: Clock, user: Any, transport: str
    ) -> None:
        self.api, self.clock, self.user, self.transport = api, clock, user, transport
        self.held: dict[str, Any] = {}

    def log_in(self) -> None:
        self.clock.forward(MOMENT)
        self.held = self.api.log_in(self.user, self.transport)

    def use(self, path: str, **extra: Any) -> Any:
        return self.api.get(path, **{**self._shown(), **extra})

    def send(self, path: str, body: Any = None, **extra: Any) -> Any:
        return self.api.send(path, body, **self._shown(), **extra)

    def refresh(self, **extra: Any) -> Any:
        body = {"refresh": self.held["refresh"]} if self.transport == "header" else {}
        response = self.api.send("/auth/refresh/", body, **extra)
        if response.status_code == 200:
            self.held |= response.json()
        return response

    def submit(self) -> Any:
        """Press the button of the refresh page."""
        token = self.api.cookies.get("csrftoken")
        form = {"next": "/page/", "csrfmiddlewaretoken": token.value if token else ""}
        return self.api.post("/auth/refresh-page/", form)

    def copy(self) -> Any:
        """Return the refresh token, as a thief would."""
        by_header = self.transport == "header"
        return self.held["refresh"] if by_header else self.api.cookies[REFRESH].value

    def replay(self, refresh: str) -> Any:
        self.held["refresh"] = refresh
        if self.transport == "cookie":
            self.api.cookies[REFRESH] = refresh
        return self.refresh()

    def _shown(self) -> dict[str, str]:
        return bearer(self.held["access"]) if self.transport == "header" else {}


def live(player: Player) -> None:
    """Log in, read, refresh, move, idle, be refused, and come back."""
    player.log_in()
    for path in ("/whoami/", "/page/", "/api/profile/", "/api/staff/", "/no/page/"):
        player.use(path, **PAGE)
    player.use("/auth/sessions/")
    assert player.send(CONFIRM, {"password": PASSWORD}).status_code == 200
    assert player.send(CONFIRM, {"password": "wrong"}).status_code == 403
    assert player.use("/codes/").status_code == 200
    assert player.refresh().status_code == 200
    assert player.refresh().status_code == 200
    assert player.use("/whoami/", REMOTE_ADDR=TRAIN).status_code == 401
    assert player.refresh(REMOTE_ADDR=TRAIN).status_code == 200
    player.clock.forward(timedelta(minutes=31))
    assert player.use("/whoami/").status_code == 401
    player.use("/page/", **PAGE)
    player.api.get("/auth/refresh-page/", {"next": "/page/"})
    player.submit()
    player.api.send("/auth/refresh/", {"refresh": "rsrt_" + "A" * 120})
    player.api.send("/auth/login/", {"username": "nobody", "password": "wrong"})
    player.use("/whoami/", HTTP_AUTHORIZATION="Bearer abc")


def steal(player: Player) -> None:
    """Refresh with the copy of a token that was replaced and confirmed."""
    player.log_in()
    stolen = player.copy()
    for _ in range(2):
        player.refresh()
        player.use("/whoami/")
        player.clock.forward(W)
    assert player.replay(stolen).status_code == 401
    assert SessionFamily.objects.filter(revoked_reason="reused").count() == 1


def end(player: Player) -> None:
    """End sessions in every way that there is for their user."""
    for path in ("/auth/logout/", "/auth/logout-everywhere/"):
        player.log_in()
        assert player.send(path).status_code in {200, 204}
        player.use("/whoami/")
    player.log_in()
    newest = SessionFamily.objects.latest("created_at")
    token = player.api.cookies.get("csrftoken")
    extra = {"HTTP_X_CSRFTOKEN": token.value} if token else {}
    ended = player.api.delete(
        f"/auth/sessions/{newest.pk}/", **player._shown(), **extra
    )
    assert ended.status_code == 204
    player.log_in()
    player.user.set_password(PASSWORD)
    player.user.save()
    assert player.use("/api/profile/").status_code == 401
    assert player.refresh().status_code == 401


def oversee(staff: RecordingApi, user: Any) -> str:
    """Look at every page of the admin, revoke, and run the commands."""
    family = SessionFamily.objects.latest("created_at")
    for path in (
        "/admin/",
        SESSIONS,
        f"{SESSIONS}?q={user.username}",
        f"{SESSIONS}{family.pk}/change/",
        f"{SESSIONS}{family.pk}/history/",
        reverse("admin:auth_user_change", args=[user.pk]),
        reverse("admin:auth_user_delete", args=[user.pk]),
    ):
        assert staff.get(path).status_code == 200
    token = staff.cookies["csrftoken"].value
    form = {"action": "revoke_selected", "_selected_action": [str(family.pk)]}
    done = staff.post(SESSIONS, {**form, "csrfmiddlewaretoken": token}, follow=True)
    assert done.status_code == 200
    printed = io.StringIO()
    for command in (["revoke", "--user", user.username], ["purge", "--dry-run"]):
        name = f"rotating_sessions_{command[0]}"
        call_command(name, *command[1:], verbosity=3, stdout=printed, stderr=printed)
    return printed.getvalue()


def fail(player: Player) -> int:
    """Meet a fault at every step, of the database or the site; return how many."""
    credentials = {"username": player.user.username, "password": PASSWORD}
    steps = {
        "use": lambda: player.use("/whoami/"),
        "refresh": player.refresh,
        "refresh page": player.submit,
        "logout": lambda: player.send("/auth/logout/"),
        "logout everywhere": lambda: player.send("/auth/logout-everywhere/"),
        "reauthenticate": lambda: player.send(CONFIRM, {"password": PASSWORD}),
        "login": lambda: player.api.send(
            "/auth/login/", {**credentials, "transport": player.transport}
        ),
    }
    statuses = []
    for statement in ("SELECT ", "UPDATE ", "INSERT "):
        for step in steps.values():
            player.log_in()
            with database_down(statement, error=ProgrammingError):
                statuses.append(step().status_code)
    player.log_in()
    statuses.append(player.use("/broken/").status_code)
    user_logged_in.connect(break_down)
    statuses.append(steps["login"]().status_code)
    user_logged_in.disconnect(break_down)
    return statuses.count(500)


def break_down(**kwargs: Any) -> None:
    """Fail, as a receiver of the site's might."""
    raise ZeroDivisionError


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("transport", ["header", "cookie"])
def test_no_token_gets_out(  # noqa: PLR0917
    user, settings, clock, caplog, transport, debug
):
    """I-3, I-21, LG-01, AD-01, AD-09: A token is in the answer that issues it only."""
    settings.DEBUG = debug
    settings.ROTATING_SESSIONS = {"LOGIN_RATE": None, "REFRESH_RATE": None}
    caplog.set_level(logging.DEBUG)
    answers: list[Place] = []
    player = Player(RecordingApi(answers), clock, user, transport)
    staff = RecordingApi(answers)
    staff.force_login(UserFactory.create(is_staff=True, is_superuser=True))

    with heard(*SIGNALS) as said:
        live(player)
        steal(player)
        end(player)
        player.log_in()
        printed = oversee(staff, user)
        faults = fail(player)

    places = [*columns(), *log_entries(caplog.records)]
    places += [("signals", str(said).encode()), ("commands", printed.encode())]
    # Each with the answer that had it first.
    issued = {
        token: answer for answer in reversed(answers) for token in tokens_in(answer[1])
    }
    leaks = {
        place
        for token, answer in issued.items()
        for place in places_of(
            traces_of(token), [other for other in answers if other != answer] + places
        )
    }

    assert faults >= {"header": 11, "cookie": 13}[transport]
    assert len(issued) > 30
    assert {place for place, _ in issued.values()} == ISSUERS[transport]
    assert leaks == set()
    # Nor is a token anywhere that a fault kept from being answered.
    assert not any(tokens_in(text) for _, text in places)
    assert places_of(secrets(), [*answers, *places]) <= {SQL_LOGGER, *STORED}
    figures.count("canaries: tokens issued", len(issued))
    figures.count("canaries: places searched", len(answers) + len(places))


def secrets() -> set[bytes]:
    """Return every key, secret and digest, in all of their spellings."""
    key = get_key_ring().first
    found = {key.access, key.refresh, key.filter, key.network, key.password}
    found.add(site.SECRET_KEY.encode())
    for family in SessionFamily.objects.all():
        found |= {bytes(family.secret), bytes(family.current_digest)}
    found |= {bytes(token.digest) for token in RefreshToken.objects.all()}
    return set().union(*map(spellings, found))
