"""The protocol's invariants: each is named by a test, and the long ones are told."""

from __future__ import annotations

import ast
import json
import logging
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError, connection, connections, transaction
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from rotating_sessions import conf, revocations, signals
from rotating_sessions.exceptions import (
    InvalidToken,
    RefreshTokenReused,
    SessionEnded,
    SessionError,
)
from rotating_sessions.middleware import RotatingSessionMiddleware
from rotating_sessions.models import RefreshToken, RevokedReason, SessionFamily
from rotating_sessions.services import (
    confirm,
    keep_session_after_password_change,
    revoke_session,
)
from rotating_sessions.tokens import keys
from rotating_sessions.transports import TokenPair
from tests.acting import (
    MOMENT,
    Clock,
    W,
    claims_of,
    client_at,
    columns,
    counted,
    heard,
    log_in,
    lose_commit,
    present,
    restore,
    rows_of,
    use,
    writes,
)
from tests.browsing import FIREFOX, HOME, TRAIN, Api, bearer
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db(transaction=True)

NEW_KEY = "the-key-that-comes-after-it-" + "fedcba9876543210" * 3


class Site:
    """One process of the site: what it answers to an access token."""

    def __init__(self) -> None:
        revocations.reset()
        self.middleware = RotatingSessionMiddleware(self.answer)
        self.reads_user = False

    def answer(self, request: HttpRequest) -> HttpResponse:
        if self.reads_user and not request.user.is_authenticated:
            return HttpResponse(status=403)
        return HttpResponse()

    def visit(self, pair: TokenPair, address: str = HOME) -> str:
        """Return "welcome", "anonymous", or the code of the refusal."""
        request = RequestFactory().get(
            "/anywhere/",
            REMOTE_ADDR=address,
            HTTP_USER_AGENT=FIREFOX,
            HTTP_AUTHORIZATION=f"Bearer {pair.access}",
        )
        response: Any = self.middleware(request)
        if response.status_code in {200, 403}:
            return {200: "welcome", 403: "anonymous"}[response.status_code]
        return str(json.loads(response.content)["code"])


@pytest.fixture
def site() -> Site:
    return Site()


def outcome_of(job: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return what the job returns, or the refusal that it raises."""
    try:
        return job(*args, **kwargs)
    except SessionError as refusal:
        return refusal


# Each is named.


def facts() -> Iterator[str]:
    """Yield the docstring of every test of the suite."""
    for module in sorted(Path(__file__).parent.rglob("test_*.py")):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(
                node, ast.FunctionDef | ast.AsyncFunctionDef
            ) and node.name.startswith("test_"):
                yield ast.get_docstring(node) or ""


def test_every_invariant_is_named_by_a_test():
    """The suite names each of the 26 invariants of the protocol, and no other."""
    named = {int(number) for fact in facts() for number in re.findall(r"I-(\d+)", fact)}

    assert named == set(range(1, 27))


# 1.


def test_revocation_is_final_at_any_clock_value(first, clock):
    """I-1: Once revoked, no token of a session yields anything, whenever it comes."""
    second = present(first)
    pairs = [first, second]
    claims = [claims_of(pair) for pair in pairs]
    revoke_session(claims[0].family_id, reason=RevokedReason.LOGOUT)
    before, moment = columns(first), clock.now

    outcomes = []
    for days in (-400, -1, 0, 1, 13, 29, 400):
        clock.now = moment + timedelta(days=days)
        outcomes += [outcome_of(present, pair) for pair in pairs]
        outcomes += [outcome_of(confirm, claim, client=client_at()) for claim in claims]

    assert {type(outcome) for outcome in outcomes} == {SessionEnded}
    assert columns(first) == before


# 3.


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_refresh_token_is_handed_out_twice(rf, user, clock, seed):
    """I-3: Over a long run of whatever clients do, no token value comes twice."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    held = [[log_in(rf, user)]]
    seen = Counter(pair.refresh for (pair,) in held)

    for _ in range(250):
        clock.forward(chance.choice([timedelta(), W / 3, W, 10 * W]))
        tokens = chance.choice(held)
        older = chance.random() < 0.1
        token = chance.choice(tokens) if older else chance.choice(tokens[-2:])
        answer = outcome_of(present, token)
        if isinstance(answer, SessionError):
            held.append([log_in(rf, user)])
            seen[held[-1][0].refresh] += 1
        elif answer.refresh is not None:
            tokens.append(answer)
            seen[answer.refresh] += 1
            if chance.random() < 0.6:
                use(answer)

    assert set(seen.values()) == {1}
    assert len(seen) == RefreshToken.objects.count() > len(held) > 1


# 5 and 6.


@pytest.mark.parametrize("arrived", [False, True])
def test_connection_lost_at_the_commit_is_answered_without_a_token(
    first, monkeypatch, arrived
):
    """DB-06, I-5: A refresh whose commit may have arrived, or not, answers 503 only."""
    lose_commit(monkeypatch, arrived=arrived)

    response = Api().send("/auth/refresh/", {"refresh": first.refresh})

    assert response.status_code == 503
    assert response.headers["Retry-After"]
    assert json.loads(response.content).keys() == {"detail", "code"}
    assert response.cookies == {}
    assert columns(first)["generation"] == int(arrived)


def test_answer_leaves_after_its_row_is_durable(first):
    """I-5: When a full answer is there, another connection sees its row."""
    answer = present(first)

    connection.close()

    assert columns(answer)["generation"] == 1


class Watch:
    """A middleware that notes what another connection sees when an answer passes."""

    seen: list[int] = []

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Note the generation of the only session."""
        response = self.get_response(request)
        thread = Thread(target=self.note)
        thread.start()
        thread.join(20)
        assert not response.streaming
        return response

    def note(self) -> None:
        row = SessionFamily.objects.get()
        self.seen.append(row.generation)
        connection.close()


def test_no_answer_is_ahead_of_its_commit(first, settings, atomic_requests):
    """RT-16, I-5: Whoever sees an answer pass finds its row in the database."""
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "tests.test_invariants.Watch"]
    Watch.seen.clear()

    response = Api().send("/auth/refresh/", {"refresh": first.refresh})

    assert response.status_code == 200
    assert Watch.seen == [1]


@pytest.mark.parametrize("statement", [1, 2, 3])
@pytest.mark.parametrize("elapsed", [timedelta(), W])
def test_refresh_that_fails_midway_can_be_repeated(first, clock, statement, elapsed):
    """RT-12, I-6: Whichever statement fails with 503, the same token then recovers."""
    before = columns(first)
    count = 0

    def fail(execute: Any, sql: str, *args: Any) -> Any:
        nonlocal count
        verb = sql.split(maxsplit=1)[0]
        # On PostgreSQL the second statement does what the third does elsewhere.
        count += {"SELECT": 1, "UPDATE": 1, "INSERT": 1, "WITH": 2}.get(verb, 0)
        if count >= statement:
            raise OperationalError("server closed the connection unexpectedly")
        return execute(sql, *args)

    with connection.execute_wrapper(fail):
        response = Api().send("/auth/refresh/", {"refresh": first.refresh})

    assert response.status_code == 503
    assert columns(first) == before
    clock.forward(elapsed)
    assert present(first).refresh is not None


# 7.


class Tab:
    """An honest client on a bad network: it retries with the token that it holds."""

    def __init__(self, pair: TokenPair, chance: random.Random) -> None:
        self.held, self.chance, self.lost = pair, chance, 0

    def refresh(self) -> None:
        fate = self.chance.choice(["arrives", "arrives", "request lost", "answer lost"])
        if fate == "request lost":
            return
        answer = present(self.held)
        if fate == "answer lost" and self.lost < 3:
            self.lost += answer.refresh is not None
            return
        if self.chance.random() < 0.3:
            # A second tab, with the same token, at the same moment.
            assert present(self.held).refresh is None
        if answer.refresh is not None:
            self.held = answer
        if self.chance.random() < 0.7:
            use(answer)
            # What confirms is an answer in full: access only leaves the losses.
            self.lost = 0 if answer.refresh is not None else self.lost


@pytest.mark.parametrize("seed", range(6))
def test_honest_client_is_never_thrown_out(first, clock, seed):
    """I-7: Lost requests and up to three lost answers in a row end no session."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    tab = Tab(first, chance)

    for _ in range(120):
        clock.forward(chance.choice([timedelta(), W / 4, W, 5 * W]))
        tab.refresh()

    row = columns(first)
    assert row["revoked_at"] is None
    assert row["generation"] > 20


# 8.


@pytest.mark.parametrize("seed", range(8))
def test_thief_is_exposed_by_the_victim(first, clock, seed):
    """I-8: Once a thief uses a full answer, the victim's next refresh after W tells."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    victim = first
    for _ in range(chance.randrange(4)):
        clock.forward(W)
        victim = present(victim)
        use(victim)
    loot, thief_has_used = [victim], False

    while columns(first)["revoked_at"] is None:
        for _ in range(chance.randrange(3)):
            clock.forward(chance.choice([W / 4, W]))
            answer = outcome_of(present, loot[-1])
            if isinstance(answer, TokenPair) and answer.refresh is not None:
                loot.append(answer)
                # The next full answer took the one before it to get.
                thief_has_used |= len(loot) > 2
                if chance.random() < 0.5:
                    thief_has_used |= outcome_of(use, answer) is None
        clock.forward(W)
        answer = outcome_of(present, victim)
        if thief_has_used:
            break
        if isinstance(answer, TokenPair) and answer.refresh is not None:
            victim = answer
            outcome_of(use, victim)

    assert columns(first)["revoked_at"] is not None
    assert isinstance(outcome_of(present, victim), SessionEnded)
    assert isinstance(outcome_of(present, loot[-1]), SessionEnded)


def test_thief_who_comes_after_the_victim_gets_access_only_for_a_grace_period(
    first, clock
):
    """I-8: A copy used after the victim's rotation yields access only, within W."""
    use(present(first))
    answers = []
    for _ in range(6):
        answers.append(outcome_of(present, first))
        clock.forward(W / 5)

    *within, after = answers

    assert [answer.refresh for answer in within] == [None] * 5
    assert isinstance(after, RefreshTokenReused)
    assert columns(first)["revoked_reason"] == "reused"


def test_thief_who_never_uses_the_answer_is_displaced(first, clock):
    """I-8: What a thief was given and did not use ends the session once it is used."""
    loot = present(first)
    clock.forward(W)
    victim = present(first)
    use(victim)

    answer = outcome_of(use, loot)

    assert isinstance(answer, RefreshTokenReused)
    assert columns(first)["revoked_reason"] == "reused"


# 15.


def test_failover_is_followed_forward_only(first, clock):
    """RT-13, I-15: A row that lost commits moves on to its newest token, never back."""
    saved = columns(first)
    pairs = [first]
    for _ in range(2):
        pairs.append(present(pairs[-1]))
        clock.forward(W)
    restore(first, saved)
    answer = present(pairs[2])
    clock.forward(W)
    generations = [columns(first)["generation"]]

    for pair in (answer, pairs[1]):
        outcome_of(present, pair)
        generations.append(columns(first)["generation"])

    assert generations == [3, 4, 4]
    assert columns(first)["revoked_reason"] == "reused"


# 17.


def test_restart_decides_the_same(first, clock):
    """RT-14, I-17: The same token, row and moment lead to the same row and answer."""
    second = present(first)
    saved = columns(first)
    clock.forward(W)
    seen = []

    for held in (first, second):
        for _ in range(2):
            restore(first, saved)
            revocations.reset()
            conf.get_conf.cache_clear()
            keys.get_key_ring.cache_clear()
            keys._derive_ring.cache_clear()
            answer = present(held)
            row = columns(first)
            row.pop("current_digest")
            seen.append((claims_of(answer).generation, row))

    assert seen[0] == seen[1]
    assert seen[2] == seen[3]
    assert seen[0] != seen[2]


# 18.


def revoke_elsewhere(pair: TokenPair, clock: Clock) -> None:
    """Revoke as another process does: this one sees it in the database only."""
    rows_of(pair).update(revoked_at=clock.now, revoked_reason="staff")


@pytest.mark.parametrize(
    ("elapsed", "answer"),
    [
        (timedelta(seconds=4, microseconds=999_999), "welcome"),
        (timedelta(seconds=5), "session_ended"),
    ],
)
def test_revocation_reaches_other_processes_within_the_poll(
    first, clock, site, elapsed, answer
):
    """RV-01, I-18: Another process refuses a revoked session from its next poll on."""
    site.visit(first)
    revoke_elsewhere(first, clock)
    clock.forward(elapsed)

    assert site.visit(first) == answer


def test_first_request_of_a_process_knows_all_revocations(first, clock):
    """RV-05, I-18: A process loads what is revoked before its first answer."""
    revoke_elsewhere(first, clock)
    clock.forward(MOMENT)

    assert Site().visit(first) == "session_ended"


def test_process_that_cannot_poll_fails_closed(first, clock, site):
    """RV-07, I-18: Unknown for MAX_STALENESS means 503, and the next poll opens."""

    def broken(execute: Any, *args: Any) -> Any:
        raise OperationalError("The server went away.")

    answers = [site.visit(first)]
    with connection.execute_wrapper(broken):
        for seconds in (30, 29, 1, 30):
            clock.forward(timedelta(seconds=seconds))
            answers.append(site.visit(first))
    answers.append(site.visit(first))

    assert answers == [
        *("welcome", "welcome", "welcome"),
        *("unavailable", "unavailable"),
        "welcome",
    ]


def test_revocation_that_commits_late_is_not_missed(first, clock, site):
    """I-18: A commit that comes after the poll past its moment is found by the next."""
    revoked_at = clock.now
    site.visit(first)
    clock.forward(timedelta(seconds=6))
    site.visit(first)
    rows_of(first).update(revoked_at=revoked_at, revoked_reason="staff")
    clock.forward(timedelta(seconds=6))

    assert site.visit(first) == "session_ended"


# 19.


def test_warm_request_does_no_io(first, site, settings, django_assert_num_queries):
    """DB-09, I-19: A request with a known session costs neither SQL nor a cache."""
    settings.CACHES = {"default": {"BACKEND": "a.cache.that.nobody.may.ask"}}
    site.visit(first)

    with django_assert_num_queries(0):
        answer = site.visit(first)

    assert answer == "welcome"


# 21.


def test_no_token_leaves_but_in_the_response_that_issues_it(
    first, clock, caplog, capsys, client
):
    """I-21: Logs, signals, errors, reprs, pages and columns hold no usable token."""
    caplog.set_level(logging.DEBUG)
    site, told = Site(), []
    events = [
        *(signals.session_started, signals.session_refreshed, signals.session_revoked),
        *(signals.refresh_token_reused, signals.network_changed, signals.lost_commit),
    ]
    with heard(*events) as announced:
        second = present(first, client_at(TRAIN))
        told.append(site.visit(second))
        pairs = [first, second, present(second)]
        clock.forward(W)
        told += [repr(outcome_of(job, first)) for job in (present, use)]
    staff = UserFactory.create(is_staff=True, is_superuser=True)
    client.force_login(staff)
    family = SessionFamily.objects.get()
    listed = "/admin/rotating_sessions/sessionfamily/"
    pages = [client.get(listed), client.get(f"{listed}{family.pk}/change/")]

    texts = [
        *[repr(vars(record)) for record in caplog.records],
        *[repr(fields) for fields in announced],
        *told,
        *[repr(pair) for pair in pairs],
        *[repr(claims_of(pair)) for pair in pairs],
        *[page.content.decode() for page in pages],
        *[str(row) for row in SessionFamily.objects.values_list()],
        *[str(row) for row in RefreshToken.objects.values_list()],
        *capsys.readouterr(),
    ]

    assert [page.status_code for page in pages] == [200, 200]
    assert len(announced) == 4
    usable = {
        value
        for pair in pairs
        for value in (pair.access, pair.refresh)
        if value is not None
    }
    assert len(usable) == 5
    for text in texts:
        assert not [value for value in usable if value in text or value[5:] in text]


# 22.


@pytest.mark.parametrize(
    "removal",
    [
        {"SECRET_KEY": NEW_KEY},
        {"ROTATING_SESSIONS": {"EPOCH": 1}},
        {"ROTATING_SESSIONS": {"SIGNING_KEYS": [NEW_KEY]}},
    ],
    ids=["another key", "a raised epoch", "keys of its own"],
)
def test_removing_the_key_ends_everything_without_a_write(
    first, site, settings, removal
):
    """I-22: Without its key a token is garbage: no query, no write, no answer."""
    before = SessionFamily.objects.values().get()
    for name, value in removal.items():
        setattr(settings, name, value)

    with counted() as verbs:
        refusals = [outcome_of(present, first), site.visit(first)]

    assert isinstance(refusals[0], InvalidToken)
    assert refusals[1] == "invalid_token"
    assert verbs == {}
    assert SessionFamily.objects.values().get() == before


def test_fallback_key_carries_sessions_over(first, clock, site, settings):
    """KM-02, I-22: What refreshed while the old key served outlives its removal."""
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = NEW_KEY
    assert site.visit(first) == "welcome"
    carried = present(first)
    settings.SECRET_KEY_FALLBACKS = []
    clock.forward(W)

    answers = [site.visit(first), site.visit(carried), outcome_of(present, first)]

    assert answers[:2] == ["invalid_token", "welcome"]
    assert isinstance(answers[2], InvalidToken)
    assert present(carried).refresh is not None


# 23.


CHANGES: dict[str, dict[str, Any]] = {
    "user_inactive": {"is_active": False},
    "password_changed": {"password": "md5$salt$another"},
}


def _save(user: Any, **changes: Any) -> None:
    for name, value in changes.items():
        setattr(user, name, value)
    user.save()


def _update(user: Any, **changes: Any) -> None:
    type(user).objects.filter(pk=user.pk).update(**changes)


def _execute(user: Any, **changes: Any) -> None:
    ((name, value),) = changes.items()
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE auth_user SET {name} = %s WHERE id = %s",  # noqa: S608 - ours
            [value, user.pk],
        )


@pytest.mark.parametrize("write", [_save, _update, _execute])
@pytest.mark.parametrize("change", ["user_inactive", "password_changed"])
def test_change_of_the_user_ends_the_session_by_whatever_route(
    first, user, site, write, change
):
    """AC-02, AC-03, I-23: By whichever route, refresh and request.user end at once."""
    site.reads_user = True
    before = site.visit(first)
    write(user, **CHANGES[change])

    answers = [site.visit(first), outcome_of(present, first), site.visit(first)]

    assert before == "welcome"
    assert answers[0] == "anonymous"
    assert isinstance(answers[1], SessionEnded)
    assert answers[2] == "session_ended"
    assert columns(first)["revoked_reason"] == change


def _delete(user: Any) -> None:
    user.delete()


def _delete_in_bulk(user: Any) -> None:
    get_user_model().objects.filter(pk=user.pk).delete()


def _delete_by_sql(user: Any) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE rotating_sessions_sessionfamily SET user_id = NULL"
            " WHERE user_id = %s",
            [user.pk],
        )
        cursor.execute("DELETE FROM auth_user WHERE id = %s", [user.pk])


@pytest.mark.parametrize("delete", [_delete, _delete_in_bulk, _delete_by_sql])
def test_deletion_of_the_user_ends_the_session_by_whatever_route(
    first, user, site, delete
):
    """AC-04, I-23: However a user is deleted, refresh and request.user end at once."""
    site.reads_user = True
    before = site.visit(first)
    delete(user)

    answers = [site.visit(first), outcome_of(present, first)]

    assert before == "welcome"
    assert answers[0] in {"anonymous", "session_ended"}
    assert isinstance(answers[1], SessionEnded)
    assert columns(first)["revoked_at"] is not None


def test_deletion_reaches_requests_that_read_no_user(first, user, clock, site):
    """I-23: A user deleted through Django is out everywhere within POLL."""
    site.visit(first)
    user.delete()
    elsewhere = Site()

    assert elsewhere.visit(first) == "session_ended"


def test_session_that_changes_the_password_goes_on(rf, first, user, clock, site):
    """I-23: The session that changes the password is kept for good, no other is."""
    other = log_in(rf, user)
    request = rf.post("/password/", **bearer(first.access), REMOTE_ADDR=HOME)
    site.middleware(request)
    user.set_password("another one")
    with transaction.atomic():
        user.save()
        keep_session_after_password_change(request, user)

    answers, held = [], first
    for _ in range(4):
        clock.forward(W)
        held = present(held)
        answers.append(site.visit(held))

    assert answers == ["welcome"] * 4
    assert isinstance(outcome_of(present, other), SessionEnded)
    assert columns(other)["revoked_reason"] == "password_changed"


# 24 and 25.


def test_network_mismatch_changes_no_row(first, site):
    """IP-06, I-24: A token from elsewhere asks for a refresh, and writes nothing."""
    before = columns(first)

    with counted() as verbs:
        answer = site.visit(first, TRAIN)

    assert answer == "refresh_required"
    assert writes(verbs) == 0
    assert columns(first) == before


def test_client_between_networks_refreshes_once_for_each(first, clock, site):
    """IP-06, I-25: Back and forth between networks costs one refresh for each."""
    addresses = [HOME, TRAIN, "198.51.100.21", "198.51.100.22"]
    held, access, forced = first, first, []

    for lap in range(4):
        for address in addresses:
            clock.forward(MOMENT)
            if site.visit(access, address) == "refresh_required":
                forced.append((lap, address))
                access = present(held, client_at(address))
                held = access if access.refresh is not None else held
                assert site.visit(access, address) == "welcome"

    assert forced == [(0, address) for address in addresses[1:]]


# 26.


@pytest.fixture(params=[False, True], ids=["autocommit", "atomic requests"])
def atomic_requests(request: Any, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run views in transactions, or not."""
    settings = connections.settings["default"]
    monkeypatch.setitem(settings, "ATOMIC_REQUESTS", request.param)
    return bool(request.param)


@pytest.mark.parametrize("transport", ["header", "cookie"])
def test_story_holds_under_atomic_requests(user, clock, atomic_requests, transport):
    """DB-01, I-26: The revocation outlives the refused request that caused it."""
    api = Api()
    body = api.log_in(user, transport)
    stolen = body.get("refresh") or api.cookies["__Host-rs_refresh"].value
    clock.forward(MOMENT)
    answers = []

    def refresh(value: str) -> dict[str, Any]:
        sent = {"refresh": value} if transport == "header" else {}
        if transport == "cookie":
            api.cookies["__Host-rs_refresh"] = value
        response = api.send("/auth/refresh/", sent)
        answers.append(response.status_code)
        return dict(json.loads(response.content))

    body = refresh(stolen)
    authorization = bearer(body["access"]) if transport == "header" else {}
    answers.append(api.get("/auth/sessions/", **authorization).status_code)
    clock.forward(W)
    refused = refresh(stolen)

    assert answers == [200, 200, 401]
    assert refused["code"] == "session_ended"
    assert SessionFamily.objects.get().revoked_reason == "reused"


def test_login_in_a_transaction_of_the_caller_is_a_part_of_it(rf, user):
    """I-26: A session started in a view's transaction goes with it, or stays."""
    with transaction.atomic():
        lost = log_in(rf, user)
        transaction.set_rollback(True)
    with transaction.atomic():
        kept = log_in(rf, user)

    outcomes = [outcome_of(present, pair) for pair in (lost, kept)]

    assert isinstance(outcomes[0], InvalidToken)
    assert outcomes[1].refresh is not None


def test_refresh_never_joins_a_transaction(first):
    """DB-01, I-26: A refresh in a view's transaction is refused before it reads."""
    with counted() as verbs, transaction.atomic(), pytest.raises(RuntimeError):
        present(first)

    assert verbs == {}
    assert present(first).refresh is not None
