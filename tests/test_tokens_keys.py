"""The key ring: one key for each purpose, and what follows when a root key goes."""

from __future__ import annotations

from typing import Any

import pytest

from rotating_sessions.tokens.keys import KID_LENGTH, get_key_ring

OLD_KEY = "the retired key of the site " + "o" * 40
NEW_KEY = "the present key of the site " + "n" * 40
SIGNING_KEY = "a key for tokens alone " + "s" * 40
PURPOSES = ["kid", "access", "refresh", "filter", "network", "password"]


def derived(settings: Any, **changes: Any) -> set[bytes]:
    """Return all keys that these settings yield."""
    for name, value in changes.items():
        setattr(settings, name, value)
    return {getattr(key, name) for key in get_key_ring().keys for name in PURPOSES}


def test_each_purpose_has_a_key_of_its_own(settings):
    """TF-04: No two purposes of one root key, nor of two, share a key."""
    changes = {"SECRET_KEY": NEW_KEY, "SECRET_KEY_FALLBACKS": [OLD_KEY]}

    keys = derived(settings, **changes)

    assert len(keys) == 2 * len(PURPOSES)
    assert sorted({len(key) for key in keys}) == [KID_LENGTH, 32]


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
        ring.find_text(kid)
        for kid in (new.kid_text, old.kid_text, old.kid_text.upper() + "0", None, [], 5)
    ]

    assert found == [new, old, None, None, None]
    assert by_text == [new, old, None, None, None, None]


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
