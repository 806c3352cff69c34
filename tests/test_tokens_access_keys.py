"""ACCESS_KEYS: which key signs, which verify, and with what."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import jwt
import pytest
from django.test import override_settings
from django.views.debug import SafeExceptionReporterFilter

from rotating_sessions.conf import get_conf
from rotating_sessions.exceptions import InvalidToken
from rotating_sessions.tokens.access import AccessClaims, decode_access, encode_access
from rotating_sessions.tokens.access_keys import encode_jwks, is_open_to_all
from rotating_sessions.tokens.keys import get_key_ring
from rotating_sessions.tokens.pem import ALGORITHMS, UnusableKey, generate_pem, read_pem
from rotating_sessions.transports import access_cookie_name
from tests.keyring import PEMS, public_half, rsa_pem
from tests.test_tokens_secrecy import report_of

ISSUED_AT = datetime(2026, 3, 2, 9, 30, 7, tzinfo=UTC)
NOW = ISSUED_AT + timedelta(minutes=11)
CLAIMS = AccessClaims(
    family_id=UUID("0d6f3a52-7b18-4e9c-b5a4-91c2e8d7f603"),
    generation=7,
    user_pk="41",
    issued_at=ISSUED_AT,
    expires_at=ISSUED_AT + timedelta(minutes=30),
    auth_time=ISSUED_AT - timedelta(days=2, seconds=3),
    networks=("bmV0d29yazE", "bmV0d29yazI"),
)
OLD, NEW = PEMS["ES256"], PEMS["EdDSA"]
EMPTY = {"keys": []}


def configure(*entries: str, **others: Any) -> override_settings:
    return override_settings(ROTATING_SESSIONS={"ACCESS_KEYS": list(entries), **others})


def header_of(token: str) -> Any:
    return json.loads(urlsafe_b64decode(token.partition(".")[0] + "=="))


def mint(*entries: str, **others: Any) -> str:
    with configure(*entries, **others):
        return encode_access(CLAIMS)


def is_taken(token: str) -> bool:
    try:
        return decode_access(token, NOW) == CLAIMS
    except InvalidToken:
        return False


def published(*entries: str, **others: Any) -> Any:
    with configure(*entries, **others):
        return json.loads(encode_jwks(get_key_ring().access_keys.values()))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_first_key_signs_by_its_own_algorithm(algorithm):
    """JV-01: A token is signed by the first key, whose id and algorithm it names."""
    with configure(PEMS[algorithm], "HS256"):
        token = encode_access(CLAIMS)

        assert decode_access(token, NOW) == CLAIMS
        assert header_of(token) == {
            "alg": algorithm,
            "kid": read_pem(PEMS[algorithm]).thumbprint[:16],
            "typ": "at+jwt",
        }


def test_without_the_setting_access_tokens_are_signed_as_ever():
    """The default is HS256, by the key that stems from the first root key."""
    token = encode_access(CLAIMS)

    assert get_conf().access_keys == ("HS256",)
    assert header_of(token)["alg"] == "HS256"
    assert header_of(token)["kid"] == get_key_ring().first.kid_text
    assert mint("HS256") != token
    assert is_taken(mint("HS256"))


@pytest.mark.parametrize("entry", ["HS256", *PEMS.values()], ids=["HS256", *PEMS])
@pytest.mark.parametrize("place", [0, 1])
def test_every_key_verifies(entry, place):
    """KM-02: A token of any key in the ring is taken, whichever signs now."""
    token = mint(entry)
    others = [pem for pem in (OLD, NEW) if pem != entry]

    with configure(*others[:place], entry, *others[place:]):
        assert is_taken(token)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_public_half_verifies(algorithm):
    """A retired key needs no private half to verify what it has signed."""
    token = mint(PEMS[algorithm])

    with configure("HS256", public_half(PEMS[algorithm])):
        assert is_taken(token)


@pytest.mark.parametrize("entries", [["HS256"], [NEW], [NEW, "HS256"]])
def test_a_removed_key_ends_what_it_signed(entries):
    """I-22: What no key in the ring has signed is refused, and no write is needed."""
    token = mint(OLD)

    with configure(*entries):
        assert not is_taken(token)


def test_derived_keys_verify_only_where_they_are_listed():
    """Where ACCESS_KEYS has no HS256, the root keys sign and verify no access token."""
    token = mint("HS256")

    with configure(NEW):
        assert not is_taken(token)
    with configure(NEW, "HS256"):
        assert is_taken(token)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("named", [*ALGORITHMS, "HS256", "none"])
def test_an_algorithm_is_never_taken_from_the_token(algorithm, named):
    """JV-01: A token that names another algorithm than its key's is refused."""
    with configure(PEMS[algorithm]):
        head, payload, tag = encode_access(CLAIMS).split(".")
        forged = json.dumps({**header_of(head), "alg": named}).encode()
        head = urlsafe_b64encode(forged).rstrip(b"=").decode()

        # What is signed is the text itself, so another spelling of it is refused, too.
        assert not is_taken(f"{head}.{payload}.{tag}")


@pytest.mark.parametrize("named", ["RS256", "RS384", "RS512", "PS256"])
def test_a_key_is_good_for_its_own_algorithm_only(named):
    """JV-01: What the right key has signed in another way than its own is refused."""
    with configure(PEMS["RS256"]):
        payload = jwt.decode(encode_access(CLAIMS), options={"verify_signature": False})
        [key] = get_key_ring().access_keys.values()
        headers = {"kid": key.kid, "typ": "at+jwt"}
        token = jwt.encode(payload, key.private, algorithm=named, headers=headers)

        assert is_taken(token) is (named == "RS256")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_public_key_is_no_secret_to_sign_with(algorithm):
    """JV-01: A MAC by the public key's own text, which everybody has, is refused."""
    public = public_half(PEMS[algorithm])
    with configure(PEMS[algorithm]):
        head, payload, _tag = encode_access(CLAIMS).split(".")
        for name in ("HS256", algorithm):
            forged = json.dumps({**header_of(head), "alg": name}).encode()
            message = f"{urlsafe_b64encode(forged).rstrip(b'=').decode()}.{payload}"
            for secret in (public, public.strip()):
                tag = hmac.digest(secret.encode(), message.encode(), "sha256")
                token = f"{message}.{urlsafe_b64encode(tag).rstrip(b'=').decode()}"
                assert not is_taken(token)


def test_a_key_signs_under_its_own_id_only():
    """JV-07: A token by one key that names another one's id is refused."""
    ours, other = generate_pem("EdDSA"), read_pem(NEW)
    with configure(NEW, ours):
        payload = jwt.decode(encode_access(CLAIMS), options={"verify_signature": False})
        ids = list(get_key_ring().access_keys)
        tokens = [
            jwt.encode(
                payload,
                other.private,
                algorithm="EdDSA",
                headers={"kid": kid, "typ": "at+jwt"},
            )
            for kid in ids
        ]

        assert [is_taken(token) for token in tokens] == [True, False]


@pytest.mark.parametrize("algorithm", ["HS256", *ALGORITHMS])
def test_another_epoch_ends_what_any_key_has_signed(algorithm):
    """KM-05: EPOCH changes the id of an asymmetric key, and so refuses its tokens."""
    entry = PEMS.get(algorithm, algorithm)
    tokens = [mint(entry), mint(entry, EPOCH=3)]

    with configure(entry, EPOCH=3):
        assert [is_taken(token) for token in tokens] == [False, True]
    with configure(entry, EPOCH=4):
        assert [is_taken(token) for token in tokens] == [False, False]


@pytest.mark.parametrize("epoch", [0, 1, 12])
def test_an_id_is_a_thumbprint_and_the_epoch(epoch):
    """RFC 7638: A key's id is the beginning of its thumbprint, plain at EPOCH 0."""
    thumbprint = read_pem(NEW).thumbprint[:16]

    [key] = published(NEW, EPOCH=epoch)["keys"]

    assert key["kid"] == thumbprint + {0: "", 1: ".1", 12: ".12"}[epoch]


@pytest.mark.parametrize("user_pk", ["u" * 255, "ü" * 255])
def test_the_longest_token_of_a_key_pair_fits_into_a_cookie(user_pk):
    """TF-09: With the largest RSA key and the longest texts it is still 4 KB."""
    texts = {"ISSUER": "i" * 200, "AUDIENCE": "a" * 200, "EPOCH": 2**31 - 1}
    with configure(rsa_pem(4096), **texts):
        networks = get_key_ring().hash_network("203.0.113.5/32") * 4
        claims = replace(CLAIMS, generation=2**37, user_pk=user_pk, networks=networks)

        token = encode_access(claims)

        assert decode_access(token, NOW) == claims
        assert len(access_cookie_name()) + len(token) <= 4096


# Where a key is read from.


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "access.pem"
    path.write_text(NEW)
    path.chmod(0o600)
    return path


def test_a_key_is_read_from_a_file(file):
    """An entry that is no PEM text is the path of a file with one."""
    assert published(str(file)) == published(NEW) != EMPTY


def test_a_file_is_read_once(file):
    """A file that goes, or changes, is noticed by no process that has read it."""
    with configure(str(file)):
        token = encode_access(CLAIMS)
        file.unlink()

        assert is_taken(token)
        assert get_key_ring() is get_key_ring()


def test_a_line_of_an_environment_file_is_a_key():
    r"""A PEM text may have its line breaks spelled as \n."""
    line = NEW.replace("\n", r"\n")

    assert "\n" not in line
    assert published(line) == published(NEW) != EMPTY


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], "The first of ACCESS_KEYS has to be able to sign."),
        ([public_half(NEW)], "The first of ACCESS_KEYS has to be able to sign."),
        (["/no/such/key.pem"], "entry 1: its file cannot be read: No such file"),
        (["HS256", "/"], "entry 2: its file cannot be read: Is a directory"),
        (["\0"], "entry 1: its file cannot be read: it is no text"),
        ([NEW, "-----BEGIN NOTHING-----"], "entry 2: it is no key in PEM"),
        ([rsa_pem(1024)], "entry 1: it has to be an Ed25519 key"),
        (["hs256"], "entry 1: its file cannot be read"),
    ],
)
def test_a_ring_of_wrong_keys_is_an_error(entries, message):
    """A site that ran no check learns which entry is wrong at its first request."""
    with configure(*entries), pytest.raises(UnusableKey, match=message):
        get_key_ring()


def test_a_file_that_is_no_text_is_an_error(file):
    """A key in DER, or whatever is no ASCII, is refused and not quoted."""
    file.write_bytes(bytes(range(128, 256)))

    with configure(str(file)), pytest.raises(UnusableKey, match="it is no text"):
        get_key_ring()


@pytest.mark.parametrize(
    ("mode", "is_open"), [(0o600, False), (0o640, False), (0o644, True), (0o604, True)]
)
def test_a_file_that_everybody_can_read_is_noticed(file, mode, is_open):
    """Whether a file is open to all is told by its mode; a text is no file."""
    file.chmod(mode)

    assert is_open_to_all(str(file)) is is_open
    assert not is_open_to_all(NEW)
    assert not is_open_to_all("HS256")


# The public keys.


def test_the_public_keys_are_published_in_their_order():
    """RFC 7517: Each asymmetric key is in the set, with id, use and algorithm."""
    found = published(NEW, "HS256", OLD, PEMS["RS256"])["keys"]

    assert [key["alg"] for key in found] == ["EdDSA", "ES256", "RS256"]
    assert {key["use"] for key in found} == {"sig"}
    assert [key.keys() - {"kid", "alg", "use"} for key in found] == [
        {"crv", "kty", "x"},
        {"crv", "kty", "x", "y"},
        {"e", "kty", "n"},
    ]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_published_key_verifies(algorithm):
    """A key of the set, read by PyJWT, verifies a token by this key alone."""
    token = mint(PEMS[algorithm])

    [key] = jwt.PyJWKSet.from_dict(published(PEMS[algorithm])).keys
    [other] = jwt.PyJWKSet.from_dict(published(generate_pem(algorithm))).keys

    read = {"algorithms": [algorithm], "options": {"verify_exp": False}}
    audience = "rotating_sessions"
    assert jwt.decode(token, key, audience=audience, **read)["sub"] == "41"
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, other, audience=audience, **read)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_published_is_the_same_for_either_half(algorithm):
    """I-21: The set is what the public half yields, with nothing of the private one."""
    pem = PEMS[algorithm]

    assert published(NEW, pem) == published(NEW, public_half(pem))


def test_derived_keys_are_never_published():
    """I-21: A set of HS256 alone is empty: its keys are secrets."""
    with override_settings(SECRET_KEY_FALLBACKS=["another" * 8]):
        assert published("HS256") == EMPTY


# Where a key must not be seen.


def test_no_repr_shows_a_key():
    """I-21: Neither ring nor settings nor key show a private half, or a root key."""
    with configure(NEW, "HS256", SIGNING_KEYS=["a root key of the site " * 3]):
        ring = get_key_ring()
        shown = repr(ring) + repr(get_conf()) + repr(list(ring.access_keys.values()))

    assert NEW not in shown
    assert "PRIVATE" not in shown
    assert "root key" not in shown
    assert "algorithm='EdDSA'" in shown


def test_an_error_page_hides_the_setting():
    """LG-01: Django's filter of settings hides both lists of keys."""
    with configure(NEW, SIGNING_KEYS=["a root key of the site " * 3]):
        shown = SafeExceptionReporterFilter().get_safe_settings()["ROTATING_SESSIONS"]

    assert set(shown.values()) == {SafeExceptionReporterFilter.cleansed_substitute}


@pytest.mark.parametrize("damage", ["truncated", "no such file"])
def test_no_error_report_shows_a_wrong_key(damage):
    """LG-01: Where a key cannot be read, the report shows nothing of what was given."""
    wrong = NEW[:90] if damage == "truncated" else "MC4CAQAwBQYDK2VwBCIEIPz4zX9p"

    with configure(wrong):
        report = report_of(get_key_ring)

    assert wrong not in report
    assert wrong[-20:] not in report
