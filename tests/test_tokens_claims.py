"""Claims of the site's own: which are taken into a token, and how they come out."""

from __future__ import annotations

import json
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from rotating_sessions.exceptions import InvalidToken
from rotating_sessions.tokens.access import decode_access, encode_access
from rotating_sessions.tokens.claims import RESERVED_CLAIMS, take_site_claims
from rotating_sessions.transports import access_cookie_name
from tests.keyring import rsa_pem
from tests.test_tokens_access import CLAIMS, NOW, decode, forge

ALL_KINDS = {
    "text": "Grüße",
    "empty": "",
    "number": 7,
    "below": -0.5,
    "yes": True,
    "no": False,
    "nothing": None,
    "list": ["a", 1, None, True, 2.5],
    "none": [],
}
FROZEN = {**ALL_KINDS, "list": ("a", 1, None, True, 2.5), "none": ()}


def test_what_the_site_says_comes_out_again():
    """Each kind of claim comes out of a token as it went in; lists are tuples."""
    claims = replace(CLAIMS, claims=take_site_claims(ALL_KINDS))

    found = decode_access(encode_access(claims), NOW)

    assert found == claims
    assert found.claims == FROZEN
    assert type(found.claims["yes"]) is bool


def test_the_token_has_them_beside_its_own():
    """A claim of the site's is a claim of the JWT, which any other service can read."""
    claims = replace(CLAIMS, claims=take_site_claims({"roles": ["editor"]}))

    payload = decode(encode_access(claims).split(".")[1])

    assert payload["roles"] == ["editor"]
    assert payload.keys() - {"nbf"} == (RESERVED_CLAIMS | {"roles"}) - {"nbf"}


def test_nobody_can_write_into_what_is_remembered():
    """A request that changes its claims would change those of all others, and fails."""
    token = encode_access(replace(CLAIMS, claims=take_site_claims(ALL_KINDS)))
    found: Any = decode_access(token, NOW).claims

    with pytest.raises(TypeError):
        found["yes"] = False

    assert decode_access(token, NOW).claims == FROZEN
    assert isinstance(found, MappingProxyType)
    assert isinstance(found["list"], tuple)


def test_without_any_there_are_none():
    """A site that says nothing has tokens as ever, and an empty mapping."""
    assert decode_access(encode_access(CLAIMS), NOW).claims == {}
    assert take_site_claims({}) == {}


@pytest.mark.parametrize("name", sorted(RESERVED_CLAIMS))
def test_a_reserved_name_is_not_to_be_had(name):
    """No claim of the site's can stand in the place of one that decides."""
    with pytest.raises(ValueError, match=f"may not set '{name}'"):
        take_site_claims({name: "x"})


def test_ours_come_last_even_so():
    """What has not passed the check does not outdo the token's own claims either."""
    forged = replace(CLAIMS, claims={"sub": "42", "exp": 2**40})

    assert decode_access(encode_access(forged), NOW) == CLAIMS


@pytest.mark.parametrize(
    ("found", "error"),
    [
        (None, TypeError),
        (["roles"], TypeError),
        ("roles", TypeError),
        ({5: "x"}, ValueError),
        ({"nested": {"a": 1}}, ValueError),
        ({"nested": [["a"]]}, ValueError),
        ({"set": {"a"}}, ValueError),
        ({"bytes": b"a"}, ValueError),
        ({"nan": float("nan")}, ValueError),
        ({"infinite": [float("inf")]}, ValueError),
    ],
)
def test_what_no_token_can_carry_is_an_error(found, error):
    """What is no dict of flat JSON is refused when it is said, not when it is read."""
    with pytest.raises(error, match="CLAIMS"):
        take_site_claims(found)


@pytest.mark.parametrize(("length", "taken"), [(1024, True), (1025, False)])
def test_claims_have_a_kilobyte(length, taken):
    """TF-09: The claims of a site have at most 1,024 bytes as JSON."""
    claims = {"x": "y" * (length - len('{"x":""}'))}
    assert len(json.dumps(claims, separators=(",", ":"))) == length

    if taken:
        assert take_site_claims(claims) == claims
    else:
        with pytest.raises(ValueError, match="1024 bytes"):
            take_site_claims(claims)


def test_the_longest_token_with_claims_fits_into_a_cookie(settings):
    """TF-09: With a kilobyte of claims and the largest key, too, it is 4 KB."""
    settings.ROTATING_SESSIONS = {
        "ISSUER": "i" * 200,
        "AUDIENCE": "a" * 200,
        "ACCESS_KEYS": [rsa_pem(4096)],
    }
    said = take_site_claims({"x": "y" * (1024 - len('{"x":""}'))})
    claims = replace(CLAIMS, user_pk="u" * 255, networks=("n" * 12,) * 4, claims=said)

    token = encode_access(claims)

    assert decode_access(token, NOW) == claims
    assert len(access_cookie_name()) + len(token) <= 4096


@pytest.mark.parametrize("value", [{"a": 1}, [["a"]], [{"a": 1}]])
def test_a_claim_that_no_site_can_have_said_is_refused(value):
    """What our own key has signed in another shape is no token of ours."""
    with pytest.raises(InvalidToken):
        decode_access(forge(site=value), NOW)
