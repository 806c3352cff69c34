"""The key ring: one key for each purpose, and what follows when a root key goes."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils.crypto import salted_hmac

from rotating_sessions.exceptions import InvalidToken
from rotating_sessions.tokens.access import AccessClaims, decode_access, encode_access
from rotating_sessions.tokens.keys import KID_LENGTH, get_key_ring
from rotating_sessions.tokens.refresh import (
    decode_refresh,
    encode_refresh,
    verify_refresh,
)

OLD_KEY = "the retired key of the site " + "o" * 40
NEW_KEY = "the present key of the site " + "n" * 40
SIGNING_KEY = "a key for tokens alone " + "s" * 40
PURPOSES = ["kid", "access", "refresh", "filter", "network", "password"]
FAMILY = UUID("0d6f3a52-7b18-4e9c-b5a4-91c2e8d7f603")
ISSUED_AT = datetime(2026, 3, 2, 9, 30, 7, tzinfo=UTC)
CLAIMS = AccessClaims(
    family_id=FAMILY,
    generation=7,
    user_pk="41",
    issued_at=ISSUED_AT,
    expires_at=ISSUED_AT + timedelta(minutes=30),
    auth_time=ISSUED_AT - timedelta(days=2),
    networks=(),
)
REFRESH: dict[str, Any] = {
    "family_id": FAMILY,
    "generation": 7,
    "user_pk": "41",
    "secret": bytes(range(32)),
    "issued_at": ISSUED_AT,
}


def derived(settings: Any, **changes: Any) -> set[bytes]:
    """Return all keys that these settings yield."""
    for name, value in changes.items():
        setattr(settings, name, value)
    return {getattr(key, name) for key in get_key_ring().keys for name in PURPOSES}


def test_each_purpose_has_a_key_of_its_own(settings):
    """TF-04, JV-10: No two purposes share a key, and each key has 32 bytes."""
    changes = {"SECRET_KEY": NEW_KEY, "SECRET_KEY_FALLBACKS": [OLD_KEY]}

    keys = derived(settings, **changes)

    assert len(keys) == 2 * len(PURPOSES)
    assert sorted({len(key) for key in keys}) == [KID_LENGTH, 32]


def access_is_taken(key: bytes) -> bool:
    """Tell whether an access token with a tag by this key verifies."""
    signed = encode_access(CLAIMS).rpartition(".")[0]
    tag = urlsafe_b64encode(hmac.digest(key, signed.encode(), "sha256")).decode()
    return not refuses(decode_access, f"{signed}.{tag.rstrip('=')}", ISSUED_AT)


def filter_is_taken(key: bytes) -> bool:
    """Tell whether a refresh token with a filter by this key is looked at further."""
    content = urlsafe_b64decode(encode_refresh(**REFRESH).removeprefix("rsrt_"))
    header, tag = content[:50], content[58:]
    filtered = header + hmac.digest(key, header, "sha256")[:8] + tag
    return not refuses(decode_refresh, f"rsrt_{urlsafe_b64encode(filtered).decode()}")


def refresh_is_taken(key: bytes) -> bool:
    """Tell whether a refresh token with a tag by this key proves itself."""
    token = decode_refresh(encode_refresh(**REFRESH))
    message = b"\x00\x0241" + REFRESH["secret"] + token.header
    forged = replace(token, tag=hmac.digest(key, message, "sha256"))
    return not refuses(verify_refresh, forged, user_pk="41", secret=REFRESH["secret"])


def network_is_taken(key: bytes) -> bool:
    """Tell whether a network's hash by this key is one of ours."""
    return short_hash(key, "203.0.113.5/32") in get_key_ring().hash_network(
        "203.0.113.5/32"
    )


def password_is_taken(key: bytes) -> bool:
    """Tell whether a password's stamp by this key is known."""
    stored = short_hash(key, "hash one")
    return get_key_ring().knows_password_state(stored, ["hash one"])


def refuses(decode: Callable[..., object], *args: Any, **kwargs: Any) -> bool:
    try:
        decode(*args, **kwargs)
    except InvalidToken:
        return True
    return False


def short_hash(key: bytes, text: str) -> str:
    return urlsafe_b64encode(hmac.digest(key, text.encode(), "sha256")[:9]).decode()


@pytest.mark.parametrize("used", PURPOSES[1:])
@pytest.mark.parametrize(
    ("due", "is_taken"),
    [
        ("access", access_is_taken),
        ("filter", filter_is_taken),
        ("refresh", refresh_is_taken),
        ("network", network_is_taken),
        ("password", password_is_taken),
    ],
)
def test_what_one_purpose_made_verifies_for_no_other(used, due, is_taken):
    """TF-04: A tag by the key of one purpose is refused where another's is due."""
    key = getattr(get_key_ring().first, used)

    assert is_taken(key) is (used == due)


def test_nothing_else_that_is_made_of_the_secret_key_is_a_key(settings):
    """TF-04: A text that Django or the site signs under SECRET_KEY yields no key."""
    labels = [f"rotating_sessions:1:{purpose}:0" for purpose in PURPOSES]
    texts = ["", *PURPOSES, *labels, "rotating_sessions"]
    others = {settings.SECRET_KEY.encode()}
    for text in texts:
        others.add(hmac.digest(settings.SECRET_KEY.encode(), text.encode(), "sha256"))
        for salt in texts:
            others.add(salted_hmac(salt, text, algorithm="sha256").digest())

    keys = derived(settings)

    assert keys.isdisjoint(others)
    assert keys.isdisjoint({other[:KID_LENGTH] for other in others})


def test_the_kid_is_the_beginning_of_no_key():
    """The key id, which every token shows, tells nothing of the keys beside it."""
    key = get_key_ring().first

    hidden = [getattr(key, name) for name in PURPOSES[1:]]

    assert not any(secret.startswith(key.kid) for secret in hidden)


@pytest.mark.parametrize(
    "change",
    [
        {"ROTATING_SESSIONS": {"EPOCH": 1}},
        {"ROTATING_SESSIONS": {"SIGNING_KEYS": [SIGNING_KEY]}},
        {"SECRET_KEY": NEW_KEY},
    ],
)
def test_another_epoch_or_root_changes_every_key(settings, change):
    """KM-05, I-22: Not one key survives a new epoch or a new root key."""
    before = derived(settings)

    after = derived(settings, **change)

    assert before.isdisjoint(after)


def test_the_same_settings_yield_the_same_keys(settings):
    """I-17: Keys depend on the settings alone: another process derives the same."""
    before = derived(settings, ROTATING_SESSIONS={"EPOCH": 4})
    derived(settings, ROTATING_SESSIONS={"EPOCH": 5})

    after = derived(settings, ROTATING_SESSIONS={"EPOCH": 4})

    assert before == after


def test_the_secret_key_comes_before_its_fallbacks(settings):
    """KM-03: The ring holds SECRET_KEY first, then its fallbacks in their order."""
    kids = []
    for secret_key in (NEW_KEY, OLD_KEY, SIGNING_KEY):
        settings.SECRET_KEY = secret_key
        kids.append(get_key_ring().first.kid)
    settings.SECRET_KEY = NEW_KEY
    settings.SECRET_KEY_FALLBACKS = [OLD_KEY, SIGNING_KEY]

    ring = get_key_ring()

    assert [key.kid for key in ring.keys] == kids
    assert ring.first is ring.keys[0]


def test_signing_keys_outdo_the_secret_key(settings):
    """With SIGNING_KEYS set, SECRET_KEY and its fallbacks sign and verify nothing."""
    settings.SECRET_KEY = SIGNING_KEY
    kid = get_key_ring().first.kid
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW_KEY, [OLD_KEY]
    settings.ROTATING_SESSIONS = {"SIGNING_KEYS": [SIGNING_KEY]}

    ring = get_key_ring()

    assert [key.kid for key in ring.keys] == [kid]


def test_a_root_key_may_be_bytes(settings):
    """A root key of bytes yields the keys of the same text."""
    as_text = derived(settings, SECRET_KEY=NEW_KEY)

    as_bytes = derived(settings, SECRET_KEY=NEW_KEY.encode())

    assert as_bytes == as_text


def test_a_key_is_found_by_its_id_only(settings):
    """JV-07: A key id finds its own key, and anything else finds none."""
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW_KEY, [OLD_KEY]
    ring = get_key_ring()
    new, old = ring.keys

    found = [ring.find(kid) for kid in (new.kid, old.kid, b"", b"other", old.kid[:4])]
    by_text = [
        ring.find_access_key(kid)
        for kid in (new.kid_text, old.kid_text, old.kid_text.upper() + "0", "")
    ]

    assert found == [new, old, None, None, None]
    assert by_text == [*ring.access_keys.values(), None, None]
    assert [key.private for key in by_text[:2]] == [new.access, old.access]


def test_a_network_has_a_hash_by_every_key(settings):
    """IP-05: A network is hashed by each key, the first key's hash first."""
    settings.SECRET_KEY = OLD_KEY
    [old] = get_key_ring().hash_network("203.0.113.0/24")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW_KEY, [OLD_KEY]

    hashes = get_key_ring().hash_network("203.0.113.0/24")

    assert len(set(hashes)) == 2
    assert hashes[1] == old
    assert not any("203" in each for each in hashes)
    assert {len(each) for each in hashes} == {12}


def test_networks_differ_by_their_hashes():
    """IP-05: Another network, and another purpose, has another hash."""
    ring = get_key_ring()

    hashes = {
        *ring.hash_network("203.0.113.5/32"),
        *ring.hash_network("203.0.113.6/32"),
        ring.hash_password_state("203.0.113.5/32"),
    }

    assert len(hashes) == 3


def test_a_password_state_is_known_as_long_as_its_key(settings):
    """I-22, I-23: A stored state is known until its key has left the ring."""
    settings.SECRET_KEY = OLD_KEY
    stored = get_key_ring().hash_password_state("hash one")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW_KEY, [OLD_KEY]
    during = get_key_ring()
    settings.SECRET_KEY_FALLBACKS = []

    after = get_key_ring()

    assert during.knows_password_state(stored, ["hash one"])
    assert not after.knows_password_state(stored, ["hash one"])
    assert during.hash_password_state("hash one") != stored


@pytest.mark.parametrize(
    ("candidates", "known"),
    [
        (["hash one"], True),
        (["hash two", "hash one"], True),
        (["hash two"], False),
        ([""], False),
        ([], False),
    ],
)
def test_a_password_state_is_known_by_the_hash_it_was_made_of(candidates, known):
    """I-23: A changed session auth hash is not the stored one."""
    ring = get_key_ring()
    stored = ring.hash_password_state("hash one")

    assert ring.knows_password_state(stored, candidates) is known


def test_a_key_ring_hides_its_keys():
    """I-21: The repr of ring and key shows the key id and no key."""
    ring = get_key_ring()

    shown = repr(ring) + repr(ring.first) + str(ring)

    assert repr(ring.first.kid) in shown
    for name in PURPOSES[1:]:
        key = getattr(ring.first, name)
        assert repr(key) not in shown
        assert key.hex() not in shown


def test_keys_are_derived_once():
    """The ring is the same object for as long as the keys in force are the same."""
    assert get_key_ring() is get_key_ring()
