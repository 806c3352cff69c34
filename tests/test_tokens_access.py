"""Access tokens: what is refused although the right key signed it, and what is not."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest

from rotating_sessions.checks.values import check_values
from rotating_sessions.exceptions import AccessTokenExpired, InvalidToken
from rotating_sessions.tokens.access import (
    MAX_ACCESS_TOKEN_LENGTH,
    AccessClaims,
    decode_access,
    encode_access,
)
from rotating_sessions.tokens.keys import get_key_ring
from rotating_sessions.transports import access_cookie_name
from tests.acting import calls_into

FAMILY = UUID("0d6f3a52-7b18-4e9c-b5a4-91c2e8d7f603")
ISSUED_AT = datetime(2026, 3, 2, 9, 30, 7, tzinfo=UTC)
EXPIRES_AT = ISSUED_AT + timedelta(minutes=30)
AUTH_TIME = ISSUED_AT - timedelta(days=2, seconds=3)
NOW = ISSUED_AT + timedelta(minutes=11)
TICK = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
CLAIMS = AccessClaims(
    family_id=FAMILY,
    generation=7,
    user_pk="41",
    issued_at=ISSUED_AT,
    expires_at=EXPIRES_AT,
    auth_time=AUTH_TIME,
    networks=("bmV0d29yazE", "bmV0d29yazI"),
)
OLD_KEY = "the retired key of the site " + "o" * 40
NEW_KEY = "the present key of the site " + "n" * 40
MISSING = object()


def encode(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def decode(part: str) -> Any:
    return json.loads(urlsafe_b64decode(part + "=="))


def sign(header: bytes, payload: bytes, digest: str = "sha256") -> str:
    """Return a JWT of any content, signed by the site's own key."""
    message = f"{encode(header)}.{encode(payload)}"
    tag = hmac.digest(get_key_ring().first.access, message.encode(), digest)
    return f"{message}.{encode(tag)}"


def forge(header: Any = None, spaces: int = 0, **claims: Any) -> str:
    """Return a genuine token with header fields and claims replaced or left out."""
    parts = [decode(part) for part in encode_access(CLAIMS).split(".")[:2]]
    for part, changes in zip(parts, (header or {}, claims), strict=True):
        part.update(changes)
        for name in [name for name in part if part[name] is MISSING]:
            del part[name]
    head, payload = (json.dumps(part).encode() for part in parts)
    return sign(head + b" " * spaces, payload)


def stretch(length: int) -> str:
    """Return a genuine token of exactly this length, with a claim of the site's own."""
    missing = (length - len(forge(site=""))) * 3 // 4
    tokens = (
        forge(spaces=spaces, site="x" * (missing - short))
        for spaces in range(3)
        for short in range(12)
    )
    return next(token for token in tokens if len(token) == length)


def test_what_goes_in_comes_out():
    """A token says what it was minted with, and the forger of these tests can mint."""
    token = encode_access(CLAIMS)

    assert decode_access(token, NOW) == CLAIMS
    assert decode_access(forge(), NOW) == CLAIMS


def test_a_token_tells_nothing_about_a_person():
    """TF-08: The claims are these ten: no name, no address, no device."""
    header, payload, _ = encode_access(CLAIMS).split(".")

    claims = decode(payload)

    assert decode(header).keys() == {"alg", "kid", "typ"}
    assert claims.pop("jti")
    assert claims == {
        "iss": "rotating_sessions",
        "aud": "rotating_sessions",
        "sub": "41",
        "sid": str(FAMILY),
        "gen": 7,
        "iat": int(ISSUED_AT.timestamp()),
        "exp": int(EXPIRES_AT.timestamp()),
        "auth_time": int(AUTH_TIME.timestamp()),
        "net": ["bmV0d29yazE", "bmV0d29yazI"],
    }


def test_no_two_tokens_are_equal():
    """Tokens minted for the same in the same second differ by their `jti`."""
    tokens = {encode_access(CLAIMS) for _ in range(50)}

    assert len(tokens) == 50


def test_a_token_has_72_bits_of_its_own():
    """The token's id is of nine random bytes: enough to tell two apart, and short."""
    payload = decode(encode_access(CLAIMS).split(".")[1])

    assert len(payload["jti"]) == 12


@pytest.mark.parametrize("generation", [0, 253_402_300_799])
def test_a_generation_is_read_up_to_either_end(generation):
    """TF-06: The first generation is as good as the last that could be."""
    claims = replace(CLAIMS, generation=generation)

    assert decode_access(encode_access(claims), NOW) == claims


def test_a_token_fits_into_a_kilobyte():
    """TF-09: With four networks and a long user id a token is at most 1 KB long."""
    networks = tuple(
        get_key_ring().hash_network(f"203.0.113.{n}/32")[0] for n in "1234"
    )
    claims = AccessClaims(
        family_id=FAMILY,
        generation=2**40,
        user_pk="u" * 255,
        issued_at=ISSUED_AT,
        expires_at=EXPIRES_AT,
        auth_time=AUTH_TIME,
        networks=networks,
    )

    token = encode_access(claims)

    assert len(token) <= 1024


@pytest.mark.parametrize("user_pk", ["u" * 255, "ü" * 255])
def test_the_longest_token_fits_into_a_cookie(settings, user_pk):
    """TF-09: With the longest settings and user id, token and cookie name are 4 KB."""
    settings.ROTATING_SESSIONS = {"ISSUER": "i" * 200, "AUDIENCE": "a" * 200}
    networks = get_key_ring().hash_network("203.0.113.5/32") * 4
    claims = replace(CLAIMS, generation=2**37, user_pk=user_pk, networks=networks)

    token = encode_access(claims)

    assert not check_values()
    assert decode_access(token, NOW) == claims
    assert len(access_cookie_name()) + len(token) <= 4096


@pytest.mark.parametrize(
    "claim",
    ["iss", "aud", "sub", "sid", "gen", "iat", "exp", "jti", "auth_time", "net"],
)
def test_no_claim_may_be_left_out(claim):
    """JV-02: A signed token that lacks any one of the claims is refused."""
    token = forge(**{claim: MISSING})

    with pytest.raises(InvalidToken):
        decode_access(token, NOW)


@pytest.mark.parametrize("claim", ["gen", "iat", "exp", "auth_time"])
@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        None,
        "7",
        "1772443807",
        "",
        7.0,
        7.5,
        1e309,
        [],
        [7],
        {},
        -1,
        253402300800,
        10**30,
        10**400,
    ],
)
def test_a_number_is_a_number_that_we_could_have_minted(claim, value):
    """JV-05: Numbers as text, truth, fractions or beyond the year 9999 are refused."""
    token = forge(**{claim: value})

    with pytest.raises(InvalidToken):
        decode_access(token, NOW)


@pytest.mark.parametrize("claim", ["sub", "sid", "jti", "iss", "aud"])
@pytest.mark.parametrize("value", [None, True, 41, 4.1, [], {}, ["41", "x"], [[]]])
def test_a_text_is_text(claim, value):
    """JV-05: Texts of another type, and names of nobody, are refused."""
    token = forge(**{claim: value})

    with pytest.raises(InvalidToken):
        decode_access(token, NOW)


@pytest.mark.parametrize(
    "value", [None, True, 3, "bmV0", {}, [1], ["bmV0", None], [[]]]
)
def test_networks_are_a_list_of_texts(value):
    """JV-05: A `net` claim of another shape is refused."""
    token = forge(net=value)

    with pytest.raises(InvalidToken):
        decode_access(token, NOW)


@pytest.mark.parametrize("value", ["41", str(FAMILY)[:-1], f"{FAMILY}0", "x" * 36])
def test_a_session_id_is_a_uuid(value):
    """A `sid` that is no UUID is refused."""
    token = forge(sid=value)

    with pytest.raises(InvalidToken):
        decode_access(token, NOW)


@pytest.mark.parametrize("claim", ["iss", "aud"])
@pytest.mark.parametrize(
    "value",
    [
        "rotating_session",
        "rotating_sessions2",
        "ROTATING_SESSIONS",
        " rotating_sessions",
        "",
        ["other"],
        ["rotating_session", "s"],
        "https://evil.example",
    ],
)
def test_issuer_and_audience_are_compared_in_full(claim, value):
    """JV-04: A token of another issuer or for another audience is refused."""
    token = forge(**{claim: value})

    with pytest.raises(InvalidToken):
        decode_access(token, NOW)


@pytest.mark.parametrize("name", ["ISSUER", "AUDIENCE"])
def test_issuer_and_audience_are_settings(settings, name):
    """A site that renames its issuer or audience refuses the tokens of before."""
    before = encode_access(CLAIMS)
    settings.ROTATING_SESSIONS = {name: "shop"}

    with pytest.raises(InvalidToken):
        decode_access(before, NOW)


@pytest.mark.parametrize(
    "header",
    [
        *({"alg": alg} for alg in ["none", "None", "", "HS512", "RS256", "hs256"]),
        *({"alg": alg} for alg in [None, ["HS256"], 256, MISSING]),
        *({"typ": typ} for typ in ["JWT", "at+JWT", "rt+jwt", "", None, MISSING]),
        *({"typ": typ} for typ in [["at+jwt"], "application/jwt"]),
        *({"kid": kid} for kid in ["", "0" * 10, None, 5, [], MISSING]),
        *({"crit": crit} for crit in [["b64"], [], "exp"]),
        {"b64": False},
        {"jku": "https://evil.example/keys"},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"x5u": "https://evil.example/cert"},
        {"cty": "JWT"},
    ],
)
def test_the_header_is_exactly_ours(header):
    """JV-01, JV-03, JV-07: Signed by us and yet of another header: refused."""
    token = forge(header=header)

    with pytest.raises(InvalidToken):
        decode_access(token, NOW)


@pytest.mark.parametrize(("alg", "digest"), [("HS384", "sha384"), ("HS512", "sha512")])
def test_the_algorithm_is_the_keys_and_not_the_headers(alg, digest):
    """JV-01: A tag that is right by the header's algorithm is refused all the same."""
    header, payload, _ = encode_access(CLAIMS).split(".")
    fields = {**decode(header), "alg": alg}
    token = sign(
        json.dumps(fields).encode(), json.dumps(decode(payload)).encode(), digest
    )

    with pytest.raises(InvalidToken):
        decode_access(token, NOW)


@pytest.mark.parametrize("tag", ["", "AAAA", "!", encode(bytes(32))])
@pytest.mark.parametrize("alg", ["none", "HS256"])
def test_no_token_goes_unsigned(alg, tag):
    """JV-01: No, a short and a wrong signature are refused, whatever `alg` says."""
    header, payload, _ = forge(header={"alg": alg}).split(".")

    with pytest.raises(InvalidToken):
        decode_access(f"{header}.{payload}.{tag}", NOW)


def test_only_the_clock_of_the_caller_counts():
    """I-17: A token of another century is good in that century, whatever now is."""
    later = timedelta(days=36_525)
    claims = replace(CLAIMS, issued_at=ISSUED_AT + later, expires_at=EXPIRES_AT + later)

    assert decode_access(encode_access(claims), NOW + later) == claims


def test_no_token_waits_for_its_time():
    """A token that names a time before which it is none was not minted here."""
    tomorrow = int((NOW + timedelta(days=1)).timestamp())

    for moment in (tomorrow, str(tomorrow), None):
        with pytest.raises(InvalidToken):
            decode_access(forge(nbf=moment), NOW)


@pytest.mark.parametrize(
    ("now", "good"),
    [(EXPIRES_AT - TICK, True), (EXPIRES_AT, False), (EXPIRES_AT + SECOND, False)],
)
def test_a_token_expires_in_the_moment_it_names(now, good):
    """A token is good until just before `exp`, and says whose it was from then on."""
    token = encode_access(CLAIMS)

    outcome = _outcome(token, now)

    assert outcome == (CLAIMS if good else ("expired", CLAIMS))


@pytest.mark.parametrize(
    ("behind", "good"),
    [(timedelta(), True), (5 * SECOND, True), (5 * SECOND + TICK, False)],
)
def test_a_token_may_come_from_a_clock_that_is_ahead(behind, good):
    """JV-06: A token from the future is good up to the clock skew, then to refresh."""
    token = encode_access(CLAIMS)

    outcome = _outcome(token, ISSUED_AT - behind)

    assert outcome == (CLAIMS if good else ("expired", CLAIMS))


@pytest.mark.parametrize(
    ("longer", "good"),
    [(timedelta(), True), (SECOND, True), (2 * SECOND, False), (99 * SECOND, False)],
)
def test_no_token_outlives_the_lifetime_in_force(longer, good):
    """JV-06: Minted for longer than ACCESS_LIFETIME and a second, it has expired."""
    token = forge(exp=int((EXPIRES_AT + longer).timestamp()))

    outcome = _outcome(token, NOW)

    assert (type(outcome) is AccessClaims) == good
    assert good or outcome[0] == "expired"


def test_a_shorter_lifetime_holds_for_tokens_of_before(settings):
    """JV-06: A site that shortens ACCESS_LIFETIME has its clients refresh at once."""
    token = encode_access(CLAIMS)
    settings.ROTATING_SESSIONS = {"ACCESS_LIFETIME": timedelta(minutes=20)}

    outcome = _outcome(token, NOW)

    assert outcome == ("expired", CLAIMS)


@pytest.mark.parametrize("suffix", ["=", "==", "\n", " ", "A", ".", ".AAAA"])
def test_a_token_spelled_differently_is_the_same_or_none(suffix):
    """TF-07: A respelled token is refused or names the very same session."""
    outcome = _outcome(encode_access(CLAIMS) + suffix, NOW)

    assert outcome in (CLAIMS, "invalid")


def test_every_character_of_head_and_claims_counts():
    """A token with any character of its first two parts changed is refused."""
    token = encode_access(CLAIMS)
    signed = token.rindex(".")
    changed = [
        token[:at] + ("B" if token[at] == "A" else "A") + token[at + 1 :]
        for at in range(signed)
    ]

    accepted = [each for each in changed if _outcome(each, NOW) != "invalid"]

    assert accepted == []


def test_a_token_of_4096_characters_is_read():
    """JV-08: A genuine token of exactly the allowed length is good."""
    token = stretch(4096)

    assert MAX_ACCESS_TOKEN_LENGTH == 4096
    assert replace(decode_access(token, NOW), claims={}) == CLAIMS


@pytest.mark.parametrize("length", [4097, 15_000_000])
def test_a_longer_token_is_never_parsed(length):
    """JV-08: A genuine token beyond 4096 characters never gets as far as PyJWT."""
    token, short = stretch(length), encode_access(CLAIMS)

    with calls_into(jwt) as calls, pytest.raises(InvalidToken):
        decode_access(token, NOW)

    assert not calls
    with calls_into(jwt) as calls:
        decode_access(short, NOW)
    assert calls["decode"]


def test_a_repeated_key_changes_nothing_that_was_signed():
    """JV-09: We sign no key twice, and what repeats one is of no use without ours."""
    header, payload, _ = encode_access(CLAIMS).split(".")
    pairs = [
        json.loads(urlsafe_b64decode(part + "=="), object_pairs_hook=list)
        for part in (header, payload)
    ]
    fields = [[name for name, _ in part] for part in pairs]
    twice = urlsafe_b64decode(payload + "==")[:-1] + b',"sub":"42"}'
    unsigned = f"{header}.{encode(twice)}.{encode_access(CLAIMS).split('.')[2]}"

    assert [len(set(names)) for names in fields] == [len(names) for names in fields]
    assert _outcome(unsigned, NOW) == "invalid"
    # Whoever has the key could as well sign "sub": "42" alone: the last one counts.
    signed = sign(urlsafe_b64decode(header + "=="), twice)
    assert decode_access(signed, NOW) == replace(CLAIMS, user_pk="42")


@pytest.mark.parametrize(
    "nested", [b"[" * 2900, b'{"a":' * 580, b"[" * 1450 + b"]" * 1450]
)
def test_deeply_nested_json_is_refused(nested):
    """JV-12: No nesting in header or payload gets any further than a refusal."""
    header, payload, _ = encode_access(CLAIMS).split(".")
    head, body = (json.dumps(decode(part)).encode() for part in (header, payload))

    outcomes = [
        _outcome(sign(*parts), NOW) for parts in ((nested, body[:40]), (head, nested))
    ]

    assert outcomes == ["invalid", "invalid"]


@pytest.mark.parametrize(
    "value",
    [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "e30.e30.e30",
        "\x00",
        "é.é.é",
        "�",
        "Bearer x",
        "bnVsbA.bnVsbA.",
        "W10.W10.W10",
        "MQ.MQ.MQ",
    ],
)
def test_garbage_is_refused(value):
    """JV-11: What is no JWT is refused as any other bad token, with no other error."""
    with pytest.raises(InvalidToken):
        decode_access(value, NOW)


def test_the_first_key_mints_and_all_keys_verify(settings):
    """KM-02, KM-03: A retired key among the fallbacks still verifies its tokens."""
    settings.SECRET_KEY = OLD_KEY
    old = encode_access(CLAIMS)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW_KEY, [OLD_KEY]

    new = encode_access(CLAIMS)

    assert decode_access(old, NOW) == decode_access(new, NOW) == CLAIMS
    assert decode(new.split(".")[0])["kid"] == get_key_ring().first.kid_text
    assert decode(old.split(".")[0])["kid"] == get_key_ring().keys[1].kid_text


@pytest.mark.parametrize(
    "change",
    [
        {"SECRET_KEY": NEW_KEY},
        {"ROTATING_SESSIONS": {"SIGNING_KEYS": [NEW_KEY]}},
        {"ROTATING_SESSIONS": {"EPOCH": 1}},
    ],
)
def test_a_removed_key_ends_what_it_signed(settings, change):
    """I-22, KM-05: Without its key a token is refused, and no row has changed."""
    old = encode_access(CLAIMS)
    for name, value in change.items():
        setattr(settings, name, value)

    with pytest.raises(InvalidToken):
        decode_access(old, NOW)


def _outcome(token: str, now: datetime) -> Any:
    try:
        return decode_access(token, now)
    except AccessTokenExpired as error:
        return ("expired", error.claims)
    except InvalidToken:
        return "invalid"
