"""An authenticator with a passkey. Source: Web Authentication, level 2."""

from __future__ import annotations

import json
import secrets
import struct
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2 import cbor

__all__ = ["Passkey"]

ORIGIN = "https://testserver"
# The user was there and was verified; and, at the registration, a key comes along.
_VERIFIED, _WITH_KEY = 0x05, 0x45


def _text(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


class Passkey:
    """A key pair on P-256, which the authenticator keeps for one user of one site."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._id = secrets.token_bytes(16)
        self._user_handle = ""

    def register(self, options: dict[str, Any]) -> dict[str, Any]:
        """Answer to the options of `navigator.credentials.create`."""
        self._user_handle = options["publicKey"]["user"]["id"]
        numbers = self._key.public_key().public_numbers()
        public = {
            1: 2,  # kty: EC2
            3: -7,  # alg: ES256
            -1: 1,  # crv: P-256
            -2: numbers.x.to_bytes(32),
            -3: numbers.y.to_bytes(32),
        }
        attested = bytes(16) + struct.pack(">H", len(self._id)) + self._id
        data = self._data(_WITH_KEY) + attested + cbor.encode(public)
        attestation = {"fmt": "none", "attStmt": {}, "authData": data}
        return self._credential(
            clientDataJSON=_text(self._client_data("webauthn.create", options)),
            attestationObject=_text(cbor.encode(attestation)),
        )

    def sign(self, options: dict[str, Any]) -> dict[str, Any]:
        """Answer to the options of `navigator.credentials.get`."""
        data = self._data(_VERIFIED)
        client = self._client_data("webauthn.get", options)
        signature = self._key.sign(
            data + sha256(client).digest(), ec.ECDSA(hashes.SHA256())
        )
        return self._credential(
            clientDataJSON=_text(client),
            authenticatorData=_text(data),
            signature=_text(signature),
            userHandle=self._user_handle,
        )

    def _credential(self, **response: str) -> dict[str, Any]:
        return {
            "type": "public-key",
            "id": _text(self._id),
            "rawId": _text(self._id),
            "response": response,
            "clientExtensionResults": {"credProps": {"rk": True}},
        }

    def _data(self, flags: int) -> bytes:
        return sha256(b"testserver").digest() + bytes([flags]) + bytes(4)

    def _client_data(self, kind: str, options: dict[str, Any]) -> bytes:
        challenge = options["publicKey"]["challenge"]
        fields = {"type": kind, "challenge": challenge, "origin": ORIGIN}
        return json.dumps(fields).encode()
