"""Refresh tokens: one spelling, one owner, and a MAC that covers every bit."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotating_sessions.exceptions import InvalidToken
from rotating_sessions.tokens.access import AccessClaims, decode_access, encode_access
from rotating_sessions.tokens.keys import get_key_ring
from rotating_sessions.tokens.refresh import (
    REFRESH_TOKEN_LENGTH,
    decode_refresh,
    digest_refresh,
    encode_refresh,
    verify_refresh,
)

FAMILY = UUID("5a1d2f30-9c41-4b07-8e35-6f2c11d0a7b9")
OTHER_FAMILY = UUID("c07e94d2-31b8-4f6a-a210-0d9b7e5583f4")
SECRET = bytes(range(32))
OTHER_SECRET = bytes(range(32, 64))
ISSUED_AT = datetime(2026, 3, 2, 9, 30, 7, tzinfo=UTC)
OLD_KEY = "the retired key of the site " + "o" * 40
NEW_KEY = "the present key of the site " + "n" * 40


def mint(**changes: Any) -> str:
    values = {
        "family_id": FAMILY,
        "generation": 7,
        "user_pk": "41",
        "secret": SECRET,
        "issued_at": ISSUED_AT,
    }
    return encode_refresh(**{**values, **changes})


def is_accepted(value: str) -> bool:
    """Tell whether a token passes the filter and proves itself to its family."""
    try:
        verify_refresh(decode_refresh(value), user_pk="41", secret=SECRET)
    except InvalidToken:
        return False
    return True


def raw(value: str) -> bytearray:
    return bytearray(urlsafe_b64decode(value.removeprefix("rsrt_")))


def spell(content: bytes) -> str:
    return "rsrt_" + urlsafe_b64encode(content).decode()


@given(
    family_id=st.uuids(),
    generation=st.integers(0, 2**64 - 1),
    user_pk=st.text(max_size=255),
    secret=st.binary(min_size=32, max_size=32),
    issued_at=st.datetimes(
        datetime(1970, 1, 1),  # noqa: DTZ001 - hypothesis adds the time zone
        datetime(2106, 2, 7),  # noqa: DTZ001
        timezones=st.just(UTC),
    ),
)
def test_what_goes_in_comes_out(family_id, generation, user_pk, secret, issued_at):
    """A token says its family, generation and second of issue, and proves them."""
    value = encode_refresh(
        family_id=family_id,
        generation=generation,
        user_pk=user_pk,
        secret=secret,
        issued_at=issued_at,
    )

    token = decode_refresh(value)
    verify_refresh(token, user_pk=user_pk, secret=secret)

    assert (token.family_id, token.generation) == (family_id, generation)
    assert token.issued_at == issued_at.replace(microsecond=0)
    assert token.digest == digest_refresh(value)
    assert len(value) == REFRESH_TOKEN_LENGTH == 125


@pytest.mark.parametrize("generation", [0, 1, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_generation_is_an_unsigned_number_of_64_bits(generation):
    """TF-06: The smallest and the largest generations survive the round trip."""
    token = decode_refresh(mint(generation=generation))

    assert token.generation == generation


def test_every_bit_counts():
    """TF-03: A token with any one of its 720 bits flipped is refused."""
    value = mint()
    content = raw(value)
    flipped = []
    for bit in range(len(content) * 8):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        flipped.append(spell(changed))

    accepted = [each for each in flipped if is_accepted(each)]

    assert is_accepted(value)
    assert len(flipped) == 720
    assert accepted == []


def test_every_character_counts():
    """TF-01: A token with any bit of any of its characters flipped is refused."""
    value = mint()
    flipped = [
        value[:at] + chr(ord(value[at]) ^ 1 << bit) + value[at + 1 :]
        for at in range(len(value))
        for bit in range(16)
    ]

    accepted = [each for each in flipped if is_accepted(each)]

    assert accepted == []


@pytest.mark.parametrize(
    "respell",
    [
        lambda _: "",
        lambda value: value[:-1],
        lambda value: value + "A",
        lambda value: value[:-4],
        lambda value: value + "AAAA",
        lambda value: value + "=",
        lambda value: value + "==",
        lambda value: value[:-1] + "=",
        lambda value: value + "\n",
        lambda value: value[:-1] + "\n",
        lambda value: " " + value,
        lambda value: " " + value[1:],
        lambda value: value[:60] + " " + value[60:],
        lambda value: value[:60] + "+" + value[61:],
        lambda value: value[:60] + "/" + value[61:],
        lambda value: value[:60] + "é" + value[61:],
        lambda value: value[:60] + "\uff21" + value[61:],
        lambda value: value[:60] + "\u0660" + value[61:],
        lambda value: value[:60] + "\ud800" + value[61:],
        lambda value: value[:60] + "\0" + value[61:],
        lambda value: value.replace("rsrt_", ""),
        lambda value: value.replace("rsrt_", "RSRT_"),
        lambda value: value.replace("rsrt_", "rsat_"),
        lambda value: value.replace("rsrt_", "rsrt-"),
        lambda value: "rsrt_" + value[5:].swapcase(),
        lambda _: "A" * 125,
        lambda _: "rsrt_" + "A" * 120,
        lambda _: "rsrt_" * 25,
        lambda value: value * 100_000,
    ],
)
def test_garbage_is_refused_with_no_query(respell, django_assert_num_queries, db):
    """TF-01, TH-01: Any other spelling is refused, before the database is asked."""
    garbage = respell(mint())

    with django_assert_num_queries(0), pytest.raises(InvalidToken):
        decode_refresh(garbage)


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_is_refused(version):
    """A token of another version is refused, though its filter be right."""
    assert not is_accepted(_refiltered(mint(), at=0, content=bytes([version])))


def test_an_unknown_key_id_is_refused():
    """A token that names no key of ours is refused, though its filter be right."""
    assert not is_accepted(_refiltered(mint(), at=1, content=b"other"))


def test_a_right_filter_alone_proves_nothing():
    """TF-03: Whoever knows the filter's key alone passes the filter, and no more."""
    value = _refiltered(mint(), at=22, content=(8).to_bytes(8, "big"))

    assert decode_refresh(value).generation == 8
    assert not is_accepted(value)


@pytest.mark.parametrize(
    ("user_pk", "secret"),
    [
        ("42", SECRET),
        ("4", b"1" + SECRET),
        ("41" + chr(SECRET[0]), SECRET[1:]),
        ("", b"41" + SECRET),
        ("41", OTHER_SECRET),
        ("41", SECRET[:-1]),
        ("41", b""),
    ],
)
def test_a_token_serves_one_user_and_one_secret_only(user_pk, secret):
    """KM-06: No tag fits another user or secret, nor bytes moved between the two."""
    token = decode_refresh(mint())

    with pytest.raises(InvalidToken):
        verify_refresh(token, user_pk=user_pk, secret=secret)


def test_a_token_moved_to_another_family_is_refused():
    """KM-06: Whoever writes another family into a token cannot make its tag."""
    value = _refiltered(mint(), at=6, content=OTHER_FAMILY.bytes)

    assert decode_refresh(value).family_id == OTHER_FAMILY
    assert not is_accepted(value)


def test_no_two_tokens_are_equal():
    """TF-02: Tokens issued alike in the same second differ in 16 random bytes."""
    contents = [bytes(raw(mint())) for _ in range(500)]

    nonces = {content[34:50] for content in contents}

    assert len(nonces) == 500
    assert len({content[:34] for content in contents}) == 1
    assert all(len({nonce[at] for nonce in nonces}) > 100 for at in range(16))


def test_what_differs_is_what_the_system_drew(monkeypatch):
    """TF-02: The 16 bytes are those of `os.urandom`, and of nothing weaker."""
    drawn = bytes(range(100, 116))
    monkeypatch.setattr("os.urandom", lambda length: drawn[:length])

    token = mint()

    assert bytes(raw(token)[34:50]) == drawn


def test_the_first_key_mints_and_all_keys_verify(settings):
    """KM-02: A new first key mints, and lets the tokens of the old one go on."""
    settings.SECRET_KEY = OLD_KEY
    old = mint()
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW_KEY, [OLD_KEY]

    new = mint()

    assert is_accepted(old)
    assert is_accepted(new)
    assert decode_refresh(old).key == get_key_ring().keys[1]
    assert decode_refresh(new).key == get_key_ring().first


def test_a_removed_key_ends_what_it_signed(settings, django_assert_num_queries, db):
    """I-22: Without its key a token is refused at once, and no row has changed."""
    settings.SECRET_KEY = OLD_KEY
    old = mint()
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW_KEY, []

    with django_assert_num_queries(0), pytest.raises(InvalidToken):
        decode_refresh(old)


def test_a_higher_epoch_ends_every_token(settings):
    """KM-05: Raising EPOCH refuses every token that was ever issued."""
    old = mint()
    settings.ROTATING_SESSIONS = {"EPOCH": 1}

    accepted = is_accepted(old)

    assert not accepted
    assert is_accepted(mint())


def test_an_access_token_is_no_refresh_token():
    """TF-05: An access token is refused where a refresh token is due."""
    claims = AccessClaims(
        family_id=FAMILY,
        generation=7,
        user_pk="41",
        issued_at=ISSUED_AT,
        expires_at=ISSUED_AT + timedelta(minutes=30),
        auth_time=ISSUED_AT - timedelta(days=2),
        networks=(),
    )
    access = encode_access(claims)

    with pytest.raises(InvalidToken):
        decode_refresh(access)


def test_a_refresh_token_is_no_access_token():
    """TF-05: A refresh token is refused where an access token is due."""
    refresh = mint()

    with pytest.raises(InvalidToken):
        decode_access(refresh, ISSUED_AT + timedelta(minutes=1))


def test_a_decoded_token_hides_what_could_be_used():
    """I-21: The repr of a decoded token shows neither tag, digest, header nor key."""
    value = mint()
    token = decode_refresh(value)

    shown = repr(token)

    assert str(FAMILY) in shown
    assert value[5:] not in shown
    for secret in (token.tag, token.digest, token.header, token.key.refresh):
        assert repr(secret) not in shown
        assert secret.hex() not in shown


def test_the_refusal_says_nothing():
    """I-21: The error of a refused token repeats no part of it."""
    value = mint()[:-1] + "!"

    with pytest.raises(InvalidToken) as refusal:
        decode_refresh(value)

    assert str(refusal.value) == "The token is not valid."
    assert refusal.value.args == ()


def _refiltered(value: str, *, at: int, content: bytes) -> str:
    """Return the token with bytes of its header replaced, and the filter made anew."""
    token = raw(value)
    token[at : at + len(content)] = content
    filter_key = get_key_ring().first.filter
    token[50:58] = hmac.digest(filter_key, bytes(token[:50]), "sha256")[:8]
    return spell(token)


def test_user_and_secret_are_never_taken_for_each_other():
    """What a token is verified against is given by name."""
    token = decode_refresh(mint())

    with pytest.raises(TypeError):
        verify_refresh(token, "41", SECRET)
