"""Keys as PEM texts: which are taken, what they are for, and what is told of them."""

from __future__ import annotations

import json
import runpy
import sys
from base64 import urlsafe_b64decode
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

from rotating_sessions.tokens import pem
from rotating_sessions.tokens.pem import (
    ALGORITHMS,
    CryptographyMissing,
    UnusableKey,
    generate_pem,
    read_pem,
    write_public_pem,
)
from tests.keyring import PEMS, as_pem, rsa_pem

P256 = ec.SECP256R1()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_is_for_one_algorithm(algorithm):
    """JV-01: The kind of a key decides what it signs with."""
    key = read_pem(PEMS[algorithm])

    assert key.algorithm == algorithm
    assert key.private is not None


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_new_key_is_unlike_any_other(algorithm):
    """What is made can be read, is of the kind that was asked for, and is new."""
    new = read_pem(generate_pem(algorithm))

    assert new.algorithm == algorithm
    assert new.thumbprint != read_pem(PEMS[algorithm]).thumbprint


def test_a_new_rsa_key_is_longer_than_it_has_to_be():
    """An RSA key is made for years to come: 3,072 bits (NIST SP 800-57)."""
    modulus = read_pem(PEMS["RS256"]).members["n"]

    assert len(urlsafe_b64decode(modulus + "==")) * 8 == 3072


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_public_half_cannot_sign(algorithm):
    """The public half has the same thumbprint, and no private key."""
    key = read_pem(PEMS[algorithm])

    public = read_pem(write_public_pem(key))

    assert public.private is None
    assert (public.algorithm, public.thumbprint) == (algorithm, key.thumbprint)


def test_a_thumbprint_is_that_of_the_standards():
    """The keys of RFC 7638, section 3.1, and RFC 8037, A.3, have their thumbprints."""
    number = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFF"
        "xuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7"
        "_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQ"
        "vRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G"
        "_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    modulus = int.from_bytes(urlsafe_b64decode(number + "=="))
    of_rsa = rsa.RSAPublicNumbers(65537, modulus).public_key()
    seed = urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
    of_curve = ed25519.Ed25519PrivateKey.from_private_bytes(seed)

    found = [read_pem(as_pem(key)).thumbprint for key in (of_rsa, of_curve)]

    assert found == [
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
    ]


def test_coordinates_keep_their_leading_zeros():
    """RFC 7518, section 6.2.1.2: A coordinate of P-256 has 32 bytes, whatever it is."""
    short = next(
        key
        for number in range(1, 10_000)
        if (key := ec.derive_private_key(number, P256))
        and key.public_key().public_numbers().x < 2**248
    )

    members = read_pem(as_pem(short)).members

    assert {len(members[name]) for name in "xy"} == {43}


@pytest.mark.parametrize(("bits", "taken"), [(2047, False), (2048, True)])
def test_a_weak_rsa_key_is_refused(bits, taken):
    """JV-10: An RSA key has 2,048 bits at least (RFC 7518, section 3.3)."""
    text = rsa_pem(bits)

    if taken:
        assert read_pem(text).algorithm == "RS256"
    else:
        with pytest.raises(UnusableKey, match="2048 to 4096 bits"):
            read_pem(text)


@pytest.mark.parametrize(("bits", "taken"), [(4096, True), (4097, False)])
def test_a_huge_rsa_key_is_refused(bits, taken):
    """A signature that leaves no room in a cookie is no good to anybody."""
    # Nobody waits for a real one: any odd number will do as the public half.
    public = rsa.RSAPublicNumbers(65537, 2 ** (bits - 1) + 1).public_key()

    if taken:
        assert read_pem(as_pem(public)).algorithm == "RS256"
    else:
        with pytest.raises(UnusableKey, match="2048 to 4096 bits"):
            read_pem(as_pem(public))


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP256K1()),
        ed448.Ed448PrivateKey.generate(),
        dsa.generate_private_key(2048),
    ],
    ids=["P-384", "secp256k1", "Ed448", "DSA"],
)
def test_keys_of_other_kinds_are_refused(key):
    """JV-01: A key that none of the three algorithms takes is refused, either half."""
    for half in (key, key.public_key()):
        with pytest.raises(UnusableKey, match="Ed25519 key, one on the curve P-256"):
            read_pem(as_pem(half))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no key at all",
        "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
        PEMS["EdDSA"][:90],
        "\ud800",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        as_pem(
            ec.generate_private_key(P256),
            serialization.BestAvailableEncryption(b"open sesame"),
        ),
    ],
)
def test_what_holds_no_open_key_is_refused(text):
    """Text that is no key, or one with a passphrase, is refused, and not quoted."""
    with pytest.raises(UnusableKey) as failure:
        read_pem(text)

    assert str(failure.value) == "it is no key in PEM, or has a passphrase"
    assert failure.value.__cause__ is None
    assert failure.value.__suppress_context__


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_hides_itself(algorithm):
    """I-21: The repr of a key shows what it is for, and nothing of its halves."""
    assert repr(read_pem(PEMS[algorithm])) == f"PemKey(algorithm='{algorithm}')"


def test_only_the_public_half_is_described():
    """I-21: No private member of a JWK (RFC 7518, 6.2.2 and 6.3.2) is among these."""
    names = {name for text in PEMS.values() for name in read_pem(text).members}

    assert names == {"crv", "e", "kty", "n", "x", "y"}
    assert json.dumps(dict(read_pem(PEMS["ES256"]).members)).startswith('{"crv"')


@pytest.mark.parametrize(
    "work",
    [
        lambda module: module["read_pem"](PEMS["EdDSA"]),
        lambda module: module["generate_pem"]("EdDSA"),
    ],
)
def test_without_cryptography_the_extra_is_named(monkeypatch, work: Any):
    """DP-02: Where `cryptography` is missing, the message says what to install."""
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    module = runpy.run_path(pem.__file__)

    with pytest.raises(module["CryptographyMissing"], match=r"sessions\[crypto\]"):
        work(module)

    assert module["CryptographyMissing"] is not CryptographyMissing
