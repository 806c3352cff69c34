"""What a round is played with: a user, three sessions, and rows that are in no race."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import RequestFactory
from django.utils import timezone

from rotating_sessions.models import SessionFamily
from rotating_sessions.transports import TokenPair
from tests.acting import claims_of, columns, log_in, present, rows_of, use
from tests.browsing import Api
from tests.factories import SessionFamilyFactory, UserFactory


class Situation(Enum):
    """What the client that refreshes has in hand, when the last rotation is past W."""

    DUE = "due"
    """The newest token, never used: it is rotated."""

    LOST = "lost"
    """Its predecessor, for the answer was lost; somebody has the access token of it."""

    STOLEN = "stolen"
    """Its predecessor, although the newest one was used: theft."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the clients of a round hold; plain values, for other processes as well."""

    user_pk: int
    username: str
    family_id: UUID
    refresh: str
    access: str
    staff_cookie: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A round before it begins."""

    situation: Situation
    held: Held
    issued: list[TokenPair]
    others: list[TokenPair]
    bystander: TokenPair
    over: UUID
    ended_lately: UUID
    auth_time: datetime

    @property
    def newest(self) -> TokenPair:
        """Return the tokens of the raced session that its row names."""
        return self.issued[-1]


def set_stage(situation: Situation) -> Stage:
    """Put users and sessions into the database, in this situation."""
    user = UserFactory.create()
    main, *others = [_log_in(user) for _ in range(3)]
    newest = present(main)
    if situation is Situation.STOLEN:
        use(newest)
    past = timezone.now() - timedelta(seconds=61)
    rows_of(main).update(rotated_at=past)
    due = situation is Situation.DUE
    held = Held(
        user_pk=user.pk,
        username=user.get_username(),
        family_id=claims_of(main).family_id,
        refresh=str(newest.refresh if due else main.refresh),
        access=newest.access,
        staff_cookie=_log_in_staff(),
    )
    bystander = _log_in(UserFactory.create())
    present(bystander)
    return Stage(
        situation=situation,
        held=held,
        issued=[main, newest],
        others=others,
        bystander=bystander,
        over=_ended(user, timedelta(days=31)),
        ended_lately=_ended(user, timedelta(days=29)),
        auth_time=columns(main)["auth_time"],
    )


def _log_in(user: Any) -> TokenPair:
    return log_in(RequestFactory(), user)


def _log_in_staff() -> str:
    api = Api()
    rights = {"is_staff": True, "is_superuser": True}
    users = get_user_model().objects
    api.force_login(users.get_or_create(username="staff", defaults=rights)[0])
    return api.cookies[settings.SESSION_COOKIE_NAME].value


def _ended(user: Any, span: timedelta) -> UUID:
    """Return a session of the user's that ended so long ago."""
    family: SessionFamily = SessionFamilyFactory.create(
        user=user, revoked_at=timezone.now() - span, revoked_reason="logout"
    )
    return family.pk
