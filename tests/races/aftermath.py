"""What has to be true when a race is over, whoever was first: the invariants."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rotating_sessions import revocations
from rotating_sessions.models import RefreshToken, SessionFamily
from rotating_sessions.services import purge_sessions
from rotating_sessions.tokens.refresh import decode_refresh
from tests.browsing import Api, bearer, refusal
from tests.races.crews import Race
from tests.races.operations import ENDED, OK, Answer
from tests.races.pairs import Pair
from tests.races.site import LIMIT
from tests.races.stage import Situation, Stage

_HARMLESS = {"confirm", "purge", "reauthenticate", "session limit"}
_GIVING_ACCESS = ["refresh", "reauthenticate"]


@dataclass(frozen=True, kw_only=True)
class Aftermath:
    """A round that is over: who raced, from where, and what came of it."""

    pair: Pair
    stage: Stage
    race: Race
    bystander_before: dict[str, Any]

    @cached_property
    def row(self) -> dict[str, Any]:
        """Return the columns of the raced session."""
        return columns(self.stage.held.family_id)

    @cached_property
    def handed_out(self) -> list[str]:
        """Return the refresh tokens of the raced session, in the order of issue."""
        issued = [str(pair.refresh) for pair in self.stage.issued]
        return issued + [answer.body["refresh"] for answer in self.full]

    @property
    def full(self) -> list[Answer]:
        return [answer for answer in self.of("refresh") if "refresh" in answer.body]

    @property
    def situation(self) -> Situation:
        return self.stage.situation

    def of(self, name: str) -> list[Answer]:
        return [answer for answer in self.race.answers if answer.operation == name]

    def worked(self, name: str) -> bool:
        """Tell whether the operation was carried out at least once."""
        return any(answer.status < 400 for answer in self.of(name))

    def check(self) -> None:
        """Assert every invariant."""
        self._answers_are_declared()
        self._nothing_is_issued_after_the_end()
        self._tokens_are_issued_once()
        self._row_and_ledger_agree()
        self._session_ended_for_a_reason()
        self._each_end_is_announced_once()
        self._other_sessions_ended_for_a_reason()
        self._login_is_as_recent_as_it_was_confirmed()
        self._limit_is_kept()
        self._purge_took_what_was_over()
        self._one_lineage_lives_at_most()
        self._bystander_is_left_alone()

    def _answers_are_declared(self) -> None:
        """No 5xx, and no refusal that nothing in the race accounts for."""
        for operation in self.pair.both:
            given = {answer.outcome for answer in self.of(operation.name)}
            assert given <= self.pair.answers(operation, self.situation)

    def _nothing_is_issued_after_the_end(self) -> None:
        """I-1: What begins after an answer that ended the session is refused."""
        ends = [
            answer.over
            for operation in self.pair.both
            if operation.always
            for answer in self.of(operation.name)
            if answer.status < 400
        ]
        for answer in self.race.answers:
            needs_session = answer.operation in {*_GIVING_ACCESS, "confirm"}
            if needs_session and ends and answer.began > min(ends):
                assert answer.outcome == ENDED

    def _tokens_are_issued_once(self) -> None:
        """I-3, I-4: No token goes out twice, and of N presentations one gets it."""
        bodies = [answer.body for answer in self.race.answers]
        issued = [body["refresh"] for body in bodies if "refresh" in body]
        assert len(set(issued)) == len(issued)
        assert len(self.full) <= 1
        if self.of("refresh") and not self.pair.reasons(self.situation):
            assert len(self.full) == 1

    def _row_and_ledger_agree(self) -> None:
        """I-2, I-12 to I-14: Each full answer is one generation, and is on record."""
        row, tokens = self.row, [decode_refresh(token) for token in self.handed_out]
        assert [token.generation for token in tokens] == [*range(len(tokens))]
        assert row["generation"] == tokens[-1].generation
        assert bytes(row["current_digest"]) == tokens[-1].digest
        lost = self.situation is Situation.LOST and bool(self.full)
        assert row["displaced"] == int(lost)
        assert not lost or {a.outcome for a in self.of("confirm")} <= {ENDED}
        assert row["previous"] == row["generation"] - 1 - lost
        assert bytes(row["previous_digest"]) == tokens[row["previous"]].digest
        ledger = RefreshToken.objects.filter(family=self.stage.held.family_id)
        found = dict(ledger.order_by("generation").values_list("generation", "digest"))
        first = min(found) if "purge" in self.pair.names else 0
        assert {n: bytes(digest) for n, digest in found.items()} == {
            token.generation: token.digest for token in tokens[first:]
        }

    def _session_ended_for_a_reason(self) -> None:
        """I-2, I-8: The session ends if anything ends it, and by nothing else."""
        reasons = self.pair.reasons(self.situation)
        ended = self.row["revoked_at"] is not None
        assert ended == bool(self.row["revoked_reason"])
        assert ended or not self.pair.must_end(self.situation)
        assert not ended or self.row["revoked_reason"] in reasons
        marked = RefreshToken.objects.filter(
            family=self.stage.held.family_id, reused_at__isnull=False
        )
        if self.row["revoked_reason"] != "reused":
            assert not marked.exists()

    def _each_end_is_announced_once(self) -> None:
        """I-2: One of those who end a session does, and tells of it once."""
        before = {self.stage.ended_lately, self.stage.over}
        ended = self._families().exclude(revoked_at=None).exclude(pk__in=before)
        keys = ended.values_list("pk", flat=True)
        assert Counter(self.race.announced) == Counter(keys)

    def _other_sessions_ended_for_a_reason(self) -> None:
        """I-2, I-23: What ends all sessions of a user ends these; nothing else does."""
        reasons = self.pair.left.others | self.pair.right.others
        all_end = any(
            self.worked(operation.name) and operation.others - {"session_limit"}
            for operation in self.pair.both
        )
        for pair in self.stage.others:
            row = columns(decode_refresh(pair.refresh or "").family_id)
            assert row["revoked_reason"] in {*reasons, ""}
            assert row["revoked_at"] is not None or not all_end

    def _login_is_as_recent_as_it_was_confirmed(self) -> None:
        """I-2: Whoever confirmed the password stamped the login; nobody else did."""
        login = self.stage.auth_time
        assert (self.row["auth_time"] > login) == self.worked("reauthenticate")

    def _limit_is_kept(self) -> None:
        """I-2: Logins at once leave as many sessions as may live, and no fewer."""
        if "session limit" not in self.pair.names:
            return
        # A login that overlaps the user's deletion leaves a row that serves nobody.
        living = self._families().filter(revoked_at=None, user__isnull=False).count()
        assert living <= LIMIT
        if self.pair.names <= _HARMLESS:
            assert living == LIMIT

    def _purge_took_what_was_over(self) -> None:
        """
        A session that ended longer than RETENTION ago goes, and no other.

        With the next run at the latest: a purge leaves out what others have locked.
        """
        if "purge" in self.pair.names:
            list(purge_sessions())
        rows = SessionFamily.objects
        assert rows.filter(pk=self.stage.ended_lately).exists()
        left = rows.filter(pk=self.stage.over).exists()
        assert left == ("purge" not in self.pair.names)

    def _one_lineage_lives_at_most(self) -> None:
        """I-1, I-8: Of all tokens of the session, the newest serves, or none does."""
        alive = self.row["revoked_at"] is None
        # As in a process that has just started, and does not know who was revoked.
        revocations.reset()
        last = self.handed_out[-1]
        answers = [_refresh(token) for token in ([last] if alive else self.handed_out)]
        access = [pair.access for pair in self.stage.issued]
        bodies = [answer.body for name in _GIVING_ACCESS for answer in self.of(name)]
        access += [body["access"] for body in bodies if "access" in body]
        if alive:
            assert answers == [OK]
            assert _use(access[-1]) == OK
            return
        assert set(answers) == {ENDED}
        assert {_use(token) for token in access} == {ENDED}
        assert columns(self.stage.held.family_id) == self.row

    def _bystander_is_left_alone(self) -> None:
        """A session of another user is as it was."""
        held = self.stage.bystander
        key = decode_refresh(held.refresh or "").family_id
        assert columns(key) == self.bystander_before
        assert _use(held.access) == OK

    def _families(self) -> Any:
        return SessionFamily.objects.filter(user_pk=str(self.stage.held.user_pk))


def columns(family_id: Any) -> dict[str, Any]:
    return dict(SessionFamily.objects.filter(pk=family_id).values().get())


def _refresh(token: str) -> tuple[int, str | None]:
    response = Api().send("/auth/refresh/", {"refresh": token})
    return response.status_code, response.json().get("code")


def _use(access: str) -> tuple[int, str | None]:
    response = Api().get("/plain/", **bearer(access))
    return OK if response.status_code == 200 else refusal(response)
