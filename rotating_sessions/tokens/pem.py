"""
Asymmetric keys as PEM texts: read, made, and described.

They take `cryptography`, which the extra "crypto" brings; nothing else here does.

Source: RFC 7517 and RFC 8037 (JWK), RFC 7638 (thumbprint).
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TypeAlias, TypeGuard, cast

from django.core.exceptions import ImproperlyConfigured
from django.views.decorators.debug import sensitive_variables

try:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
except ImportError:
    _HAS_CRYPTOGRAPHY = False
else:
    _HAS_CRYPTOGRAPHY = True

__all__ = [
    "ALGORITHMS",
    "CryptographyMissing",
    "PemKey",
    "PrivateKey",
    "PublicKey",
    "UnusableKey",
    "generate_pem",
    "read_pem",
    "write_public_pem",
]

# The names of RFC 7518 and RFC 8037, each for one kind of key.
ALGORITHMS = ("EdDSA", "ES256", "RS256")

# Texts, so that they can be named where there is no `cryptography`.
PrivateKey: TypeAlias = (
    "ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey"
)
PublicKey: TypeAlias = (
    "ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey"
)

# RFC 7518, section 3.3.
_MIN_RSA_BITS = 2048
# Beyond it a signature leaves too little of a cookie for what is signed.
_MAX_RSA_BITS = 4096
_NEW_RSA_BITS = 3072
_P256_BYTES = 32


class UnusableKey(ImproperlyConfigured):
    """A text holds no key of a kind that access tokens can be signed with."""


class CryptographyMissing(UnusableKey):
    """Nobody has installed what asymmetric keys take."""

    def __init__(self) -> None:
        super().__init__(
            "asymmetric keys take `cryptography`: "
            'python -m pip install "django-rotating-sessions[crypto]"'
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PemKey:
    """
    A key pair, or the public half of one, and the one algorithm that it is for.

    `members` are the required members of its JWK, in the order of their names.
    """

    algorithm: str
    private: PrivateKey | None = field(repr=False)
    public: PublicKey = field(repr=False)
    members: Mapping[str, str] = field(repr=False)

    @property
    def thumbprint(self) -> str:
        """Return the thumbprint of the public key: the same in every process."""
        canonical = json.dumps(self.members, separators=(",", ":"))
        return _base64(sha256(canonical.encode()).digest())


@sensitive_variables()
def read_pem(text: str) -> PemKey:
    """
    Return the key that a PEM text holds, private or public.

    Raises:
        UnusableKey: The text is no PEM, has a passphrase, or its key is of a kind or
            size that is not taken.
        CryptographyMissing: The extra "crypto" is not installed.
    """
    if not _HAS_CRYPTOGRAPHY:
        raise CryptographyMissing
    private = None
    try:
        if "PRIVATE KEY-----" in text:
            private = serialization.load_pem_private_key(text.encode(), password=None)
            public = private.public_key()
        else:
            public = serialization.load_pem_public_key(text.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # None of it is passed on: it may quote the text.
        raise UnusableKey("it is no key in PEM, or has a passphrase") from None
    algorithm, members = _describe(public)
    return PemKey(
        algorithm=algorithm,
        private=cast("PrivateKey | None", private),
        public=cast("PublicKey", public),
        members=members,
    )


@sensitive_variables()
def generate_pem(algorithm: str) -> str:
    """
    Return a new private key for one of ALGORITHMS.

    Raises:
        CryptographyMissing: The extra "crypto" is not installed.
    """
    if not _HAS_CRYPTOGRAPHY:
        raise CryptographyMissing
    private: PrivateKey
    if algorithm == "EdDSA":
        private = ed25519.Ed25519PrivateKey.generate()
    elif algorithm == "ES256":
        private = ec.generate_private_key(ec.SECP256R1())
    else:
        private = rsa.generate_private_key(
            public_exponent=65537, key_size=_NEW_RSA_BITS
        )
    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def write_public_pem(key: PemKey) -> str:
    """Return the public half, which verifies and cannot sign."""
    return key.public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()


def _describe(public: object) -> tuple[str, dict[str, str]]:
    """
    Return the algorithm of a public key, and the required members of its JWK.

    Raises:
        UnusableKey: It is of another kind, or too small or large.
    """
    if isinstance(public, ed25519.Ed25519PublicKey):
        x = _base64(public.public_bytes_raw())
        return "EdDSA", {"crv": "Ed25519", "kty": "OKP", "x": x}
    if _is_p256(public):
        point = public.public_numbers()
        x, y = _number(point.x, _P256_BYTES), _number(point.y, _P256_BYTES)
        return "ES256", {"crv": "P-256", "kty": "EC", "x": x, "y": y}
    if _is_strong_rsa(public):
        pair = public.public_numbers()
        return "RS256", {"e": _number(pair.e), "kty": "RSA", "n": _number(pair.n)}
    raise UnusableKey(
        "it has to be an Ed25519 key, one on the curve P-256, or an RSA key of "
        f"{_MIN_RSA_BITS} to {_MAX_RSA_BITS} bits"
    )


def _is_p256(public: object) -> TypeGuard[ec.EllipticCurvePublicKey]:
    return isinstance(public, ec.EllipticCurvePublicKey) and isinstance(
        public.curve, ec.SECP256R1
    )


def _is_strong_rsa(public: object) -> TypeGuard[rsa.RSAPublicKey]:
    return (
        isinstance(public, rsa.RSAPublicKey)
        and _MIN_RSA_BITS <= public.key_size <= _MAX_RSA_BITS
    )


def _number(number: int, length: int | None = None) -> str:
    return _base64(number.to_bytes(length or (number.bit_length() + 7) // 8))


def _base64(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()
