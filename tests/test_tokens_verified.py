"""Tokens that were verified before: not verified again, and no less checked."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest

from rotating_sessions.exceptions import AccessTokenExpired, InvalidToken
from rotating_sessions.tokens import verified
from rotating_sessions.tokens.access import AccessClaims, decode_access, encode_access
from rotating_sessions.tokens.keys import get_key_ring
from rotating_sessions.tokens.verified import get_verified_tokens
from tests.acting import calls_into

ISSUED_AT = datetime(2027, 5, 6, 7, 8, 9, tzinfo=UTC)
EXPIRES_AT = ISSUED_AT + timedelta(minutes=30)
NOW = ISSUED_AT + timedelta(minutes=4)
TICK = timedelta(microseconds=1)
SKEW = timedelta(seconds=5)
CLAIMS = AccessClaims(
    family_id=UUID("5b0c9d1e-62f7-4a38-8e15-d94b7a20c6f3"),
    generation=12,
    user_pk="77",
    issued_at=ISSUED_AT,
    expires_at=EXPIRES_AT,
    auth_time=ISSUED_AT - timedelta(hours=5),
    networks=("bmV0d29yazM",),
)
FIRST_KEY = "the key that was there first " + "f" * 40
NEXT_KEY = "the key that came next " + "n" * 40
BOUND = 10_000


@pytest.fixture(autouse=True)
def _nothing_verified(settings: Any) -> None:
    """Begin with keys of this module's own, and so with nothing verified."""
    settings.SECRET_KEY = FIRST_KEY
    settings.ROTATING_SESSIONS = {}


@pytest.fixture
def warm() -> str:
    """Return a token that was verified before."""
    token = encode_access(CLAIMS)
    decode_access(token, NOW)
    return token


def fill(count: int) -> None:
    """Verify as many distinct tokens, as far as their texts matter."""
    for number in range(count):
        get_verified_tokens().add(f"token {number}", CLAIMS)


def test_a_token_is_verified_once(warm):
    """The second time a token is read it is not verified, and says the same."""
    with calls_into(jwt) as calls:
        again = decode_access(warm, NOW)

    assert not calls
    assert again == CLAIMS


def test_only_the_very_same_text_is_known(warm):
    """TF-07: A token with another signature, or respelled, is verified for itself."""
    head, payload, tag = warm.split(".")
    others = [warm[:-1], f"{warm}=", f" {warm}", warm.lower(), f"{head}.{payload}."]
    swapped = f"{head}.{payload}.{tag[::-1]}"

    for other in [*others, swapped]:
        assert get_verified_tokens().find(other) is None
    with pytest.raises(InvalidToken):
        decode_access(swapped, NOW)


def test_a_known_token_serves_until_it_expires(warm):
    """A token that was good is refused from the moment that it names."""
    last = decode_access(warm, EXPIRES_AT - TICK)

    with pytest.raises(AccessTokenExpired) as refused:
        decode_access(warm, EXPIRES_AT)

    assert last == refused.value.claims == CLAIMS


def test_a_known_token_is_refused_before_its_time(warm):
    """A clock that ran back finds a token that it knows issued in its future."""
    first = decode_access(warm, ISSUED_AT - SKEW)

    with pytest.raises(AccessTokenExpired):
        decode_access(warm, ISSUED_AT - SKEW - TICK)

    assert first == CLAIMS


def test_a_known_token_is_refused_for_a_lifetime_that_was_lowered(warm, settings):
    """A token that lives for longer than ACCESS_LIFETIME now allows asks to refresh."""
    settings.ROTATING_SESSIONS = {"ACCESS_LIFETIME": timedelta(minutes=29, seconds=58)}

    with pytest.raises(AccessTokenExpired):
        decode_access(warm, NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"SECRET_KEY": NEXT_KEY},
        {"ROTATING_SESSIONS": {"SIGNING_KEYS": [NEXT_KEY]}},
        {"ROTATING_SESSIONS": {"EPOCH": 1}},
        {"ROTATING_SESSIONS": {"ISSUER": "another"}},
        {"ROTATING_SESSIONS": {"AUDIENCE": "another"}},
    ],
)
def test_a_known_token_is_refused_once_the_site_changed(warm, settings, change):
    """I-22, KM-05: Another key, epoch, issuer or audience forgets what was good."""
    for name, value in change.items():
        setattr(settings, name, value)

    with pytest.raises(InvalidToken):
        decode_access(warm, NOW)

    assert len(get_verified_tokens()) == 0


def test_a_known_token_is_refused_once_its_fallback_key_is_removed(settings, warm):
    """KM-05: A token serves while its key is among the fallbacks, and no longer."""
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEXT_KEY, [FIRST_KEY]
    meanwhile = decode_access(warm, NOW)
    settings.SECRET_KEY_FALLBACKS = []

    with pytest.raises(InvalidToken):
        decode_access(warm, NOW)

    assert meanwhile == CLAIMS


def test_what_is_verified_while_the_keys_change_is_not_known_afterwards(settings):
    """KM-05: A thread that began under the old keys adds nothing to the new ones'."""
    token = encode_access(CLAIMS)
    begun = get_verified_tokens()
    settings.SECRET_KEY = NEXT_KEY

    get_verified_tokens()
    begun.add(token, CLAIMS)

    assert get_verified_tokens().find(token) is None


@pytest.mark.parametrize(
    "spoil",
    [str.lower, lambda token: token[:-4] + "AAAA", lambda token: token + "\ud800"],
)
def test_what_is_invalid_is_never_remembered(spoil):
    """However often an invalid token comes, nothing is kept of it."""
    token = spoil(encode_access(CLAIMS))

    for _ in range(3):
        with pytest.raises(InvalidToken):
            decode_access(token, NOW)

    assert len(get_verified_tokens()) == 0


@pytest.mark.parametrize("now", [EXPIRES_AT, ISSUED_AT - SKEW - TICK])
def test_what_is_out_of_its_time_is_never_remembered(now):
    """A genuine token that has expired, or is not good yet, takes no place."""
    token = encode_access(CLAIMS)

    with pytest.raises(AccessTokenExpired):
        decode_access(token, now)

    assert len(get_verified_tokens()) == 0


def test_a_flood_of_genuine_tokens_stays_within_the_bound():
    """Ten thousand tokens are remembered: one more forgets the oldest, and it alone."""
    fill(BOUND)
    full = len(get_verified_tokens())

    get_verified_tokens().add("one more", CLAIMS)

    assert full == len(get_verified_tokens()) == BOUND
    assert get_verified_tokens().find("token 0") is None
    assert get_verified_tokens().find("token 1") is CLAIMS
    assert get_verified_tokens().find("one more") is CLAIMS


def test_a_token_that_was_forgotten_is_verified_again(warm):
    """Who is pushed out by a flood is verified once more, and known again."""
    fill(BOUND)
    known = get_verified_tokens().find(warm)

    again = decode_access(warm, NOW)

    assert known is None
    assert again == get_verified_tokens().find(warm) == CLAIMS


def test_no_token_outlives_its_request(warm):
    """LG-01: What is remembered holds no token, only a digest, and shows neither."""
    tokens = get_verified_tokens()
    (digest,) = tokens._claims

    held = [item for item in gc.get_referents(tokens._claims) if type(item) is str]

    assert held == []
    assert len(digest) == 32
    assert warm not in str(vars(tokens))
    assert digest.hex() not in repr(tokens)
    assert repr(digest) not in repr(tokens)


@pytest.mark.parametrize("name", [field.name for field in fields(AccessClaims)])
def test_what_requests_share_cannot_be_changed(warm, name):
    """No request can change the claims that the next one with the token is given."""
    with pytest.raises(FrozenInstanceError):
        setattr(decode_access(warm, NOW), name, None)

    assert decode_access(warm, NOW) == CLAIMS
    assert hash(decode_access(warm, NOW)) == hash(CLAIMS)


def test_threads_share_what_is_verified(monkeypatch):
    """Threads that verify, forget and find at once are each told the truth."""
    bound, threads = 20, 8
    monkeypatch.setattr(verified, "_REMEMBERED", bound)
    everyone = [replace(CLAIMS, generation=number) for number in range(bound * 2)]
    tokens = [(encode_access(claims), claims) for claims in everyone]

    def visit(turn: int) -> bool:
        mine = tokens[turn:] + tokens[:turn]
        return all(decode_access(token, NOW) == claims for token, claims in mine * 5)

    with ThreadPoolExecutor(threads) as pool:
        answers = list(pool.map(visit, range(0, 40, 5)))

    assert answers == [True] * threads
    assert len(get_verified_tokens()) <= bound


def in_child(work: Callable[[], bool]) -> bool:
    """Tell whether the work is done in a forked child."""
    child = os.fork()
    if child == 0:  # pragma: no cover - the child is measured by its exit code
        os._exit(int(not work()))
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


def test_a_forked_child_goes_on(warm):
    """A child knows what its parent verified, verifies more, and shares nothing."""
    other = encode_access(replace(CLAIMS, generation=13))

    read = in_child(
        lambda: (
            decode_access(warm, NOW) == CLAIMS
            and decode_access(other, NOW).generation == 13
            and len(get_verified_tokens()) == 2
        )
    )

    assert read
    assert len(get_verified_tokens()) == 1


def test_rings_of_the_same_keys_are_one(settings):
    """What was verified is kept where settings change and the keys do not."""
    before = get_key_ring()
    settings.SECRET_KEY = NEXT_KEY
    between = get_key_ring()
    settings.SECRET_KEY = FIRST_KEY

    assert get_key_ring() is before
    assert between is not before
