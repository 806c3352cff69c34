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
from django.http import HttpRequest

from rotating_sessions.authentication import Memory, Visit, identify, remembered
from rotating_sessions.authentication.remembered import get_remembered_visits
from rotating_sessions.exceptions import (
    AccessTokenExpired,
    InvalidToken,
    NetworkChanged,
    RefreshRequired,
)
from rotating_sessions.tokens.access import AccessClaims, encode_access
from rotating_sessions.tokens.keys import get_key_ring
from rotating_sessions.transports import COOKIE, HEADER, Bearer
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
    networks=(),
)
VISIT = Visit(claims=CLAIMS, transport=HEADER, memory=Memory(CLAIMS))
HOME, TRAIN = "203.0.113.5", "198.51.100.9"
FIRST_KEY = "the key that was there first " + "f" * 40
NEXT_KEY = "the key that came next " + "n" * 40
BOUND = 10_000


@pytest.fixture(autouse=True)
def _nothing_verified(settings: Any) -> None:
    """Begin with keys of this module's own, and so with nothing verified."""
    settings.SECRET_KEY = FIRST_KEY
    settings.ROTATING_SESSIONS = {}


def asked(
    token: str,
    now: datetime = NOW,
    transport: str = HEADER,
    *,
    address: str = HOME,
    forwarded: str | None = None,
) -> Visit:
    """Return what is made of a request that carries the token."""
    request = HttpRequest()
    request.META["REMOTE_ADDR"] = address
    if forwarded is not None:
        request.META["HTTP_X_FORWARDED_FOR"] = forwarded
    if transport == HEADER:
        request.META["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    else:
        request.META["HTTP_COOKIE"] = f"theme=dark; __Host-rs_access={token}"
    return identify(request, now)


def mint(generation: int = 12, *, network: str = f"{HOME}/32") -> str:
    """Return a token of the keys in force, for a network."""
    networks = get_key_ring().hash_network(network)
    return encode_access(replace(CLAIMS, generation=generation, networks=networks))


@pytest.fixture(params=[HEADER, COOKIE])
def transport(request: Any) -> str:
    """Return how the token of the test travels."""
    return request.param


@pytest.fixture
def warm(transport: str) -> str:
    """Return a token that was verified before."""
    token = mint()
    asked(token, transport=transport)
    return token


def fill(count: int) -> None:
    """Verify as many distinct tokens, as far as their texts matter."""
    for number in range(count):
        get_remembered_visits().add(f"token {number}", VISIT)


def test_a_token_is_verified_once(warm, transport):
    """The second time a token comes it is not verified, and says the same."""
    with calls_into(jwt) as calls:
        again = asked(warm, transport=transport)

    assert not calls
    assert again.claims.generation == 12
    assert (again.transport, again.refusal) == (transport, None)


def test_only_the_very_same_text_is_known(warm, transport):
    """TF-07: A token with another signature, or respelled, is verified for itself."""
    head, payload, tag = warm.split(".")
    others = [warm[:-1], warm.lower(), f"{head}.{payload}."]

    for other in [*others, f"{head}.{payload}.{tag[::-1]}"]:
        visit = asked(other, transport=transport)
        refused = InvalidToken if transport == HEADER else RefreshRequired
        assert visit.claims is None
        assert type(visit.refusal) is refused


def test_a_token_that_is_known_by_one_transport_is_not_by_the_other(warm, transport):
    """TF-07: A visit by header is never taken for one by cookie, which needs CSRF."""
    (other,) = {HEADER, COOKIE} - {transport}

    visit = asked(warm, transport=other)

    assert visit.transport == other
    assert asked(warm, transport=transport).transport == transport


def test_a_header_spelled_as_a_cookie_is_not_known():
    """TF-07: A token without a scheme is no header of ours, although a cookie was."""
    token = mint()
    asked(token, transport=COOKIE)
    request = HttpRequest()
    request.META["REMOTE_ADDR"] = HOME
    request.META["HTTP_AUTHORIZATION"] = token

    visit = identify(request, NOW)

    assert visit == Visit()


def test_a_cookie_spelled_as_a_header_is_not_known():
    """TF-07: No cookie that says Bearer passes for a header, which needs no CSRF."""
    token = mint()
    asked(token, transport=HEADER)

    visit = asked(f"Bearer {token}", transport=COOKIE)

    assert (visit.family, visit.transport) == (None, COOKIE)


def test_a_header_wins_over_a_cookie_that_is_known():
    """Whoever asks is whom the header names, whatever the cookie beside it says."""
    known, named = mint(13), mint(14)
    asked(known, transport=COOKIE)
    request = HttpRequest()
    request.META["REMOTE_ADDR"] = HOME
    request.META["HTTP_COOKIE"] = f"__Host-rs_access={known}"
    request.META["HTTP_AUTHORIZATION"] = f"Bearer {named}"

    visit = identify(request, NOW)

    assert (visit.transport, visit.claims.generation) == (HEADER, 14)


@pytest.mark.parametrize("other", ["Basic YTpi", "", None])
def test_what_another_protocol_carried_is_known_by_nothing_else(other):
    """A token of a `session_reader` is known to it alone, as one of a header."""
    token = mint()
    request = HttpRequest()
    request.META |= {"REMOTE_ADDR": HOME, "HTTP_COOKIE": f"elsewhere={token}"}
    if other is not None:
        request.META["HTTP_AUTHORIZATION"] = other
    request.session_reader = lambda _request: Bearer(token=token, transport=HEADER)

    visits = [identify(request, NOW) for _ in range(2)]
    del request.session_reader

    assert [visit.transport for visit in visits] == [HEADER, HEADER]
    assert asked(token).transport == HEADER
    assert asked(token, transport=COOKIE).transport == COOKIE
    assert identify(request, NOW) == Visit()
    # Each way for itself: what one allows, another may not.
    assert len(get_remembered_visits()) == 3


def test_another_scheme_leaves_the_cookie_to_be_known(settings):
    """A header of another scheme hides no cookie, the first time nor the second."""
    token = mint()
    request = HttpRequest()
    request.META["REMOTE_ADDR"] = HOME
    request.META["HTTP_AUTHORIZATION"] = "Basic YTpi"
    request.META["HTTP_COOKIE"] = f"__Host-rs_access={token}"

    first = identify(request, NOW)
    with calls_into(jwt) as calls:
        again = identify(request, NOW)

    assert not calls
    assert first == again
    assert again.transport == COOKIE


def test_a_known_token_serves_until_it_expires(warm, transport):
    """A token that was good is refused from the moment that it names."""
    last = asked(warm, EXPIRES_AT - TICK, transport)

    over = asked(warm, EXPIRES_AT, transport)

    assert last.refusal is None
    assert type(over.refusal) is AccessTokenExpired
    assert over.claims == last.claims


def test_a_known_token_is_refused_before_its_time(warm, transport):
    """A clock that ran back finds a token that it knows issued in its future."""
    first = asked(warm, ISSUED_AT - SKEW, transport)

    early = asked(warm, ISSUED_AT - SKEW - TICK, transport)

    assert first.refusal is None
    assert type(early.refusal) is AccessTokenExpired


def test_a_known_token_is_refused_for_a_lifetime_that_was_lowered(
    warm, transport, settings
):
    """A token that lives for longer than ACCESS_LIFETIME now allows asks to refresh."""
    settings.ROTATING_SESSIONS = {"ACCESS_LIFETIME": timedelta(minutes=29, seconds=58)}

    visit = asked(warm, transport=transport)

    assert type(visit.refusal) is AccessTokenExpired


def test_a_known_token_is_refused_from_another_network(warm, transport):
    """I-24: The network is compared at each request, and home it serves again."""
    away = asked(warm, transport=transport, address=TRAIN)
    still_away = asked(warm, transport=transport, address=TRAIN)
    home = asked(warm, transport=transport, address=HOME)

    assert type(away.refusal) is type(still_away.refusal) is NetworkChanged
    assert away.claims == home.claims
    assert home.refusal is None


@pytest.mark.parametrize(("seen", "refusal"), [(HOME, None), (TRAIN, NetworkChanged)])
def test_what_a_trusted_proxy_saw_is_compared(settings, transport, seen, refusal):
    """Behind a proxy the header tells the network, known token or not."""
    settings.ROTATING_SESSIONS = {"TRUSTED_PROXY_COUNT": 1}
    token = mint()
    asked(token, transport=transport, address="10.0.0.7", forwarded=HOME)

    visit = asked(token, transport=transport, address="10.0.0.7", forwarded=seen)

    assert type(visit.refusal) is (refusal or type(None))


def test_a_known_token_serves_anywhere_once_binding_is_off(warm, transport, settings):
    """BIND_NETWORK is read at each request: without it no network is compared."""
    settings.ROTATING_SESSIONS = {"BIND_NETWORK": False}

    visit = asked(warm, transport=transport, address=TRAIN)

    assert visit.refusal is None


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
def test_a_known_token_is_refused_once_the_site_changed(
    warm, transport, settings, change
):
    """I-22, KM-05: Another key, epoch, issuer or audience forgets what was good."""
    for name, value in change.items():
        setattr(settings, name, value)

    visit = asked(warm, transport=transport)

    assert visit.claims is None
    assert visit.refusal is not None
    assert len(get_remembered_visits()) == 0


def test_a_known_token_is_refused_once_its_fallback_key_is_removed(
    settings, warm, transport
):
    """KM-05: A token serves while its key is among the fallbacks, and no longer."""
    settings.ROTATING_SESSIONS = {"BIND_NETWORK": False}
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEXT_KEY, [FIRST_KEY]
    meanwhile = asked(warm, transport=transport)
    settings.SECRET_KEY_FALLBACKS = []

    afterwards = asked(warm, transport=transport)

    assert meanwhile.refusal is None
    assert afterwards.claims is None


def test_megabytes_are_not_even_looked_up():
    """TF-02: A credential longer than a token may be takes no digest to refuse."""
    with calls_into(remembered) as calls:
        visit = asked("a" * 5000)

    assert type(visit.refusal) is InvalidToken
    assert not [call for call in calls if "digest" in call]


def test_what_is_verified_while_the_keys_change_is_not_known_afterwards(settings):
    """KM-05: A thread that began under the old keys adds nothing to the new ones'."""
    begun = get_remembered_visits()
    settings.SECRET_KEY = NEXT_KEY

    get_remembered_visits()
    begun.add("Bearer old", VISIT)

    assert get_remembered_visits().find("Bearer old", NOW) is None


@pytest.mark.parametrize(
    "spoil",
    [str.lower, lambda token: token[:-4] + "AAAA", lambda token: token + "\ud800"],
)
def test_what_is_invalid_is_never_remembered(spoil):
    """However often an invalid token comes, nothing is kept of it."""
    token = spoil(mint())

    for _ in range(3):
        assert type(asked(token).refusal) is InvalidToken

    assert len(get_remembered_visits()) == 0


@pytest.mark.parametrize("now", [EXPIRES_AT, ISSUED_AT - SKEW - TICK])
def test_what_is_out_of_its_time_is_never_remembered(now):
    """A genuine token that has expired, or is not good yet, takes no place."""
    visit = asked(mint(), now)

    assert type(visit.refusal) is AccessTokenExpired
    assert len(get_remembered_visits()) == 0


def test_a_flood_of_genuine_tokens_stays_within_the_bound():
    """Ten thousand tokens are remembered: one more forgets the oldest, and it alone."""
    fill(BOUND)
    visits = get_remembered_visits()
    full = len(visits)

    visits.add("one more", VISIT)

    assert full == len(visits) == BOUND
    assert visits.find("token 0", NOW) is None
    assert visits.find("token 1", NOW) is VISIT
    assert visits.find("one more", NOW) is VISIT


def test_a_token_that_was_forgotten_is_verified_again(warm, transport):
    """Who is pushed out by a flood is verified once more, and known again."""
    fill(BOUND)

    with calls_into(jwt) as verified:
        again = asked(warm, transport=transport)
    with calls_into(jwt) as verified_again:
        asked(warm, transport=transport)

    assert verified
    assert not verified_again
    assert again.refusal is None


def test_no_token_outlives_its_request(warm):
    """LG-01: What is remembered holds no token, only a digest, and shows neither."""
    visits = get_remembered_visits()
    ((digest, visit),) = visits._visits.items()

    held = [item for item in gc.get_referents(visits._visits) if type(item) is str]

    assert held == []
    assert len(digest) == 32
    assert warm not in str(vars(visits))
    memory = visit.memory
    assert warm not in str([getattr(memory, name) for name in memory.__slots__])
    assert digest.hex() not in repr(visits)
    assert repr(digest) not in repr(visits)


@pytest.mark.parametrize("value", [Visit, AccessClaims])
def test_what_requests_share_cannot_be_changed(warm, transport, value):
    """No request can change what the next one with the token is given."""
    visit = asked(warm, transport=transport)
    shared = visit if value is Visit else visit.claims

    for field in fields(value):
        with pytest.raises(FrozenInstanceError):
            setattr(shared, field.name, None)

    assert asked(warm, transport=transport) == visit


def test_threads_share_what_is_verified(monkeypatch):
    """Threads that verify, forget and find at once are each told the truth."""
    bound, threads = 20, 8
    monkeypatch.setattr(remembered, "_REMEMBERED", bound)
    tokens = [(mint(number), number) for number in range(bound * 2)]

    def visit(turn: int) -> bool:
        mine = tokens[turn:] + tokens[:turn]
        return all(
            asked(token).claims.generation == number for token, number in mine * 5
        )

    with ThreadPoolExecutor(threads) as pool:
        answers = list(pool.map(visit, range(0, 40, 5)))

    assert answers == [True] * threads
    assert len(get_remembered_visits()) <= bound


def in_child(work: Callable[[], bool]) -> bool:
    """Tell whether the work is done in a forked child."""
    child = os.fork()
    if child == 0:  # pragma: no cover - the child is measured by its exit code
        os._exit(int(not work()))
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


def test_a_forked_child_goes_on():
    """A child knows what its parent verified, verifies more, and shares nothing."""
    warm, other = mint(12), mint(13)
    asked(warm)

    read = in_child(
        lambda: (
            asked(warm).claims.generation == 12
            and asked(other).claims.generation == 13
            and len(get_remembered_visits()) == 2
        )
    )

    assert read
    assert len(get_remembered_visits()) == 1


def test_rings_of_the_same_keys_are_one(settings):
    """What was verified is kept where settings change and the keys do not."""
    before = get_key_ring()
    settings.SECRET_KEY = NEXT_KEY
    between = get_key_ring()
    settings.SECRET_KEY = FIRST_KEY

    assert get_key_ring() is before
    assert between is not before
