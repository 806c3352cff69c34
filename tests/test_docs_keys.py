"""docs/keys.md: its steps, walked by two hosts, and its verifier, run as it stands."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from django.test import override_settings
from django.utils import timezone

from rotating_sessions.models import SessionFamily
from rotating_sessions.services import start_anonymous_session
from rotating_sessions.tokens.access import decode_access, encode_access
from rotating_sessions.tokens.pem import ALGORITHMS, read_pem
from rotating_sessions.views.jwks import MAX_AGE
from tests.acting import MOMENT, W
from tests.browsing import Api, bearer, refusal
from tests.keyring import PEMS, public_half
from tests.test_operating_keys import Person, assert_alive
from tests.test_tokens_access import CLAIMS

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = Path(__file__).parent.parent / "docs" / "keys.md"
NEW = PEMS["EdDSA"]
LIFETIME, IDLE = timedelta(minutes=30), timedelta(days=14)
SECOND = timedelta(seconds=1)
JWKS = "/.well-known/jwks.json"


def section(heading: str) -> str:
    text = PAGE.read_text(encoding="utf-8")
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def steps(old: str) -> dict[str, list[str]]:
    """Return ACCESS_KEYS in each step, as the table of the page says."""
    names = {
        "old": old,
        "new": NEW,
        "public half of old": old if old == "HS256" else public_half(old),
    }
    table = section("Replace a key, and log nobody out")
    rows = re.findall(r"^\| (\S+) \| `\[(.+)\]` \|$", table, re.MULTILINE)
    return {
        step.strip("*"): [names[name] for name in entries.split(", ")]
        for step, entries in rows
    }


class Host:
    """One host of the site, which reads its own ACCESS_KEYS."""

    def __init__(self, entries: list[str]) -> None:
        self.entries = entries

    def serving(self) -> AbstractContextManager[Any]:
        return override_settings(ROTATING_SESSIONS={"ACCESS_KEYS": self.entries})

    def published(self) -> set[str]:
        with self.serving():
            keys = json.loads(Api().get(JWKS).content)["keys"]
        return {key["kid"] for key in keys}


both_ways = pytest.mark.parametrize(
    "old", ["HS256", PEMS["ES256"]], ids=["HS256", "ES256"]
)


def test_the_steps_are_those_that_are_walked():
    """The list of docs/keys.md names each step of its table, and the wait."""
    text = section("Replace a key, and log nobody out")

    listed = re.findall(r"^\d\. \*\*(\w+)\*\*", text, re.MULTILINE)

    assert listed == ["Add", "Swap", "Wait", "Remove"]
    assert list(steps(NEW)) == ["before", "Add", "Swap", "Remove"]
    assert Path(__file__).name in text
    assert "five minutes" in text
    assert MAX_AGE == 5 * 60


@both_ways
def test_a_new_key_signs_nobody_out(user, clock, old):
    """KM-02: Host by host, step by step, every token is good on both hosts."""
    walk = steps(old)
    before = walk.pop("before")
    hosts = [Host(before), Host(before)]
    people = [Person(user, host) for host in hosts]
    clock.forward(MOMENT)
    assert_alive(people, hosts, clock)

    for name, entries in walk.items():
        if name == "Remove":
            wait(people, hosts, clock)
        for host in hosts:
            host.entries = entries
            assert_alive(people, hosts, clock)
            # Whoever logs in on either host in this very state is served by both.
            people += [Person(user, each) for each in hosts]
            clock.forward(MOMENT)
            assert_alive(people, hosts, clock)

    assert {family.revoked_at for family in SessionFamily.objects.all()} == {None}
    assert [host.entries for host in hosts] == [[NEW]] * 2


def wait(people: list[Person], hosts: list[Host], clock: Any) -> None:
    """Let IDLE_TIMEOUT pass, in which everybody is told to refresh, and can."""
    clock.forward(LIFETIME)
    stale = [refusal(person.visit(host)) for person in people for host in hosts]
    assert set(stale) == {(401, "refresh_required")}
    clock.forward(IDLE - LIFETIME - timedelta(hours=1))
    for person in people:
        assert refusal(person.visit(hosts[1])) == (401, "refresh_required")
        assert person.refresh(hosts[0]).status_code == 200
    clock.forward(timedelta(hours=1))
    for person in people:
        assert person.refresh(hosts[1]).status_code == 200
    clock.forward(W)


@both_ways
def test_no_token_of_the_old_key_is_good_after_its_lifetime(user, clock, old):
    """ACCESS_LIFETIME after the swap nothing serves but what the new key has signed."""
    host = Host(steps(old)["before"])
    person = Person(user, host)
    host.entries = steps(old)["Swap"]
    clock.forward(LIFETIME - SECOND)
    in_time = person.visit(host).status_code

    clock.forward(SECOND)

    assert in_time == 200
    assert refusal(person.visit(host)) == (401, "refresh_required")


@both_ways
def test_a_key_that_is_swapped_in_at_once_signs_people_out(user, clock, old):
    """Without the first step a host takes the other one's tokens for another site's."""
    ahead, behind = Host(steps(old)["Swap"]), Host(steps(old)["before"])
    person = Person(user, ahead)
    clock.forward(MOMENT)

    answer = person.visit(behind)

    assert refusal(answer) == (401, "invalid_token")
    assert person.visit(ahead).status_code == 200


@both_ways
@pytest.mark.parametrize("transport", ["header", "cookie"])
def test_a_key_that_is_removed_too_early_signs_sleepers_out(
    user, clock, old, transport
):
    """Who sleeps longer than that is told to log in, but only in header transport."""
    host, api = Host(steps(old)["before"]), Api()
    with host.serving():
        tokens = api.log_in(user, transport)
    carried = bearer(tokens["access"]) if transport == "header" else {}
    host.entries = steps(old)["Swap"]
    clock.forward(LIFETIME)
    with host.serving():
        before = refusal(api.get("/whoami/", **carried))
    host.entries = steps(old)["Remove"]

    with host.serving():
        after = refusal(api.get("/whoami/", **carried))

    assert before == (401, "refresh_required")
    told = "invalid_token" if transport == "header" else "refresh_required"
    assert after == (401, told)


@both_ways
def test_a_key_that_leaked_ends_access_tokens_and_no_session(user, clock, old):
    """I-22: A key that is replaced at once verifies nothing; a refresh mends it."""
    host = Host(steps(old)["before"])
    person = Person(user, host)
    clock.forward(MOMENT)
    host.entries = steps(old)["Remove"]

    answer = person.visit(host)

    assert refusal(answer) == (401, "invalid_token")
    assert person.refresh(host).status_code == 200
    assert person.visit(host).status_code == 200
    assert host.published() == {read_pem(NEW).thumbprint[:16]}


def test_every_cache_knows_the_keys_of_the_next_step():
    """The set of the step before has the key that signs in each step."""
    walk = list(steps(PEMS["ES256"]).values())
    signers = [read_pem(entries[0]).thumbprint[:16] for entries in walk]

    known = [Host(entries).published() for entries in walk]

    assert all(signers[i] in known[i - 1] & known[i] for i in range(1, len(walk)))
    assert known[-1] == {signers[-1]}


# The verifier.

DRIVER = """
import json, sys
import jwt
from verify import verify

for token in json.load(sys.stdin):
    try:
        answer = verify(token)
    except jwt.PyJWTError as error:
        answer = type(error).__name__
    print(json.dumps(answer))
assert "django" not in sys.modules
"""


@pytest.fixture
def verified(live_server: Any, tmp_path: Path, settings: Any) -> Any:
    """Return what the page's program says of tokens, with a live site to ask."""

    def run(*tokens: str, accept_bound: bool = False) -> list[Any]:
        [program] = re.findall(
            r"```python\n# verify\.py\n(.*?)```", PAGE.read_text(), re.DOTALL
        )
        program = program.replace("https://shop.example", live_server.url)
        if accept_bound:
            program = program.replace("ACCEPT_BOUND = False", "ACCEPT_BOUND = True")
        (tmp_path / "verify.py").write_text(program)
        printed = subprocess.run(  # noqa: S603 - our own lines
            [sys.executable, "-c", DRIVER],
            cwd=tmp_path,
            env={},
            input=json.dumps(tokens),
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        return [json.loads(line) for line in printed.splitlines()]

    return run


def test_the_verifier_takes_the_tokens_of_a_site(settings, api, user, verified):
    """Another service verifies by `jwks.json` alone what a login has handed out."""
    tokens = []
    for algorithm in ALGORITHMS:
        settings.ROTATING_SESSIONS = {
            "ACCESS_KEYS": [PEMS[algorithm]],
            "BIND_NETWORK": False,
        }
        tokens.append(api.log_in(user)["access"])
    settings.ROTATING_SESSIONS = {"ACCESS_KEYS": list(PEMS.values())}

    answers = verified(*tokens)

    assert [answer["sub"] for answer in answers] == [str(user.pk)] * 3
    assert {answer["sid"] for answer in answers} == {
        str(pk) for pk in SessionFamily.objects.values_list("pk", flat=True)
    }


def forge(pem: str = NEW, kid: str | None = None, typ: str = "at+jwt", **claims: Any):
    """Return a token of a key, with claims replaced, or left out where None."""
    key, now = read_pem(pem), int(timezone.now().timestamp())
    payload = {
        "iss": "rotating_sessions",
        "aud": "rotating_sessions",
        "sub": "41",
        "sid": "0d6f3a52-7b18-4e9c-b5a4-91c2e8d7f603",
        "iat": now,
        "exp": now + 60,
        "net": [],
        **claims,
    }
    return jwt.encode(
        {name: value for name, value in payload.items() if value is not None},
        key.private,
        algorithm=key.algorithm,
        headers={"kid": kid or key.thumbprint[:16], "typ": typ},
    )


def test_the_verifier_refuses_what_the_site_refuses(settings, verified):
    """JV-01, JV-07: Type, audience, issuer, expiry, size, key and algorithm count."""
    settings.ROTATING_SESSIONS = {"ACCESS_KEYS": [NEW]}
    past = int(timezone.now().timestamp()) - 10
    with override_settings(ROTATING_SESSIONS={}):
        derived = encode_access(CLAIMS)
    tokens = {
        forge(): "41",
        forge(exp=past): "ExpiredSignatureError",
        forge(aud="another"): "InvalidAudienceError",
        forge(iss="another"): "InvalidIssuerError",
        forge(typ="JWT"): "InvalidTokenError",
        forge(exp=None): "MissingRequiredClaimError",
        forge(net=None): "MissingRequiredClaimError",
        forge(pad="x" * 4096): "InvalidTokenError",
        forge(sub=""): "InvalidTokenError",
        # By a key of another site, under its own id and under ours.
        forge(PEMS["ES256"]): "PyJWKClientError",
        forge(PEMS["ES256"], read_pem(NEW).thumbprint[:16]): "InvalidAlgorithmError",
        derived: "PyJWKClientError",
        "garbage": "DecodeError",
    }

    answers = verified(*tokens)

    found = [each if isinstance(each, str) else each["sub"] for each in answers]
    assert found == list(tokens.values())


def test_the_verifier_takes_no_visitor_for_a_user(settings, rf, verified):
    """A token of an anonymous session is good here, and a login nowhere."""
    settings.ROTATING_SESSIONS = {"ACCESS_KEYS": [NEW], "BIND_NETWORK": False}
    access = start_anonymous_session(rf.get("/")).access

    assert decode_access(access, timezone.now()).is_anonymous
    assert verified(access) == ["InvalidTokenError"]


def test_the_verifier_leaves_bound_tokens_to_the_site(settings, api, user, verified):
    """What is bound to a network is refused, unless the service has chosen."""
    settings.ROTATING_SESSIONS = {"ACCESS_KEYS": [NEW]}
    tokens = api.log_in(user)
    settings.ROTATING_SESSIONS = {"ACCESS_KEYS": [NEW], "BIND_NETWORK": False}
    # Of the same session, which still knows its network.
    free = api.send("/auth/refresh/", {"refresh": tokens["refresh"]}).json()["access"]

    answers = verified(tokens["access"], free)
    [knowingly] = verified(tokens["access"], accept_bound=True)

    assert answers[0] == "InvalidTokenError"
    assert answers[1]["net"] == []
    assert len(knowingly["net"]) == 1
    assert knowingly["sid"] == answers[1]["sid"]


def test_the_verifier_has_nothing_to_go_by_without_a_key_pair(settings, verified):
    """An empty set of keys is an error of its own, not a token that is taken."""
    settings.ROTATING_SESSIONS = {}

    assert verified(forge()) == ["PyJWKSetError"]
