"""
The ten operations that are raced: what each may be answered, and may bring about.

What follows for two of them at once is derived from this, in `pairs`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.races import acts
from tests.races.stage import Held

ENDED = (401, "session_ended")
OK = (200, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one request was answered, and when it began and was over."""

    operation: str
    status: int
    code: str | None = None
    body: dict[str, Any] = field(default_factory=dict)
    began: float
    over: float

    @property
    def outcome(self) -> tuple[int, str | None]:
        return self.status, self.code


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """
    An operation, and what it may do to the session that it is raced on.

    `answers` it gives whatever it is raced with; `refusals` only if that ends the
    session or the login that it needs. `ends` are the reasons
    that it may leave on the raced session, `others` those on the user's other ones, and
    `always` says that it has ended then, by this or by what was faster.
    `uses_access` tells that it carries the access token, which confirms the newest
    generation.
    """

    name: str
    act: Callable[[Held, int], Any]
    answers: frozenset[tuple[int, str | None]] = frozenset({OK})
    refusals: frozenset[tuple[int, str | None]] = frozenset()
    ends: frozenset[str] = frozenset()
    always: bool = False
    uses_access: bool = False
    others: frozenset[str] = frozenset()
    needs_session: bool = True
    needs_login: bool = False
    ends_login: bool = False

    def __call__(self, held: Held, seat: int) -> Answer:
        """Act, and note when."""
        began = time.monotonic()
        response = self.act(held, seat)
        over = time.monotonic()
        status, body = _read(response)
        return Answer(
            operation=self.name,
            status=status,
            code=body.get("code"),
            body=body,
            began=began,
            over=over,
        )


def _read(response: Any) -> tuple[int, dict[str, Any]]:
    """Return status and JSON of a response; no response is a job that got done."""
    if response is None:
        return 200, {}
    if response.headers.get("Content-Type") != "application/json":
        return response.status_code, {}
    return response.status_code, response.json()


OPERATIONS = [
    Operation(name="refresh", act=acts.refresh, refusals=frozenset({ENDED})),
    Operation(
        name="confirm", act=acts.confirm, refusals=frozenset({ENDED}), uses_access=True
    ),
    Operation(
        name="reauthenticate",
        act=acts.reauthenticate,
        refusals=frozenset({ENDED, (403, "invalid_credentials")}),
        uses_access=True,
        needs_login=True,
    ),
    Operation(
        name="logout",
        act=acts.log_out,
        answers=frozenset({(204, None)}),
        ends=frozenset({"logout"}),
        always=True,
    ),
    Operation(
        name="logout everywhere",
        act=acts.log_out_everywhere,
        refusals=frozenset({ENDED}),
        ends=frozenset({"logout_everywhere"}),
        always=True,
        uses_access=True,
        others=frozenset({"logout_everywhere"}),
    ),
    Operation(
        name="staff revoke",
        act=acts.revoke_as_staff,
        answers=frozenset({(302, None)}),
        ends=frozenset({"staff"}),
        always=True,
    ),
    Operation(name="purge", act=acts.purge),
    Operation(
        name="password change",
        act=acts.change_password,
        answers=frozenset({(204, None)}),
        # The user may be gone when the page reads it, or when it writes.
        refusals=frozenset({ENDED, (403, None), (404, None)}),
        uses_access=True,
        others=frozenset({"password_changed"}),
        ends_login=True,
    ),
    Operation(
        name="session limit",
        act=acts.log_in_beyond_limit,
        refusals=frozenset({(401, "invalid_credentials")}),
        needs_session=False,
        needs_login=True,
        ends=frozenset({"session_limit"}),
        others=frozenset({"session_limit"}),
    ),
    Operation(
        name="user deletion",
        act=acts.delete_user,
        ends=frozenset({"user_deleted"}),
        always=True,
        others=frozenset({"user_deleted"}),
        ends_login=True,
    ),
]
