"""Key pairs for tests: one of each kind, made once, and any other as PEM."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from rotating_sessions.tokens.pem import (
    ALGORITHMS,
    generate_pem,
    read_pem,
    write_public_pem,
)

PEMS = {algorithm: generate_pem(algorithm) for algorithm in ALGORITHMS}


def as_pem(key: Any, encryption: Any = None) -> str:
    """Return either half of any key as a PEM text."""
    encoding = serialization.Encoding.PEM
    if hasattr(key, "public_key"):
        pkcs8 = serialization.PrivateFormat.PKCS8
        encryption = encryption or serialization.NoEncryption()
        return key.private_bytes(encoding, pkcs8, encryption).decode()
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(encoding, info).decode()


def rsa_pem(bits: int) -> str:
    return as_pem(rsa.generate_private_key(public_exponent=65537, key_size=bits))


def public_half(pem: str) -> str:
    return write_public_pem(read_pem(pem))
