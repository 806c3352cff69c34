"""The keys of access tokens, at the paths that clients of SuperTokens know."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest
from jwt import PyJWKSet

from tests.browsing import HOME
from tests.fronting import FrontEnd, mount
from tests.keyring import PEMS

JWKS = "/auth/jwt/jwks.json"
CONFIGURATION = "/auth/.well-known/openid-configuration"


@pytest.fixture(autouse=True)
def _site(settings: Any) -> None:
    mount(settings)


@pytest.mark.django_db(transaction=True)
def test_another_service_verifies_by_what_it_finds(client, user, settings):
    """By the configuration a service finds issuer and keys, and reads a token."""
    issuer = "https://api.example.com/auth"
    settings.ROTATING_SESSIONS = {"ACCESS_KEYS": [PEMS["EdDSA"]], "ISSUER": issuer}
    front = FrontEnd()
    front.sign_in(user)

    found = client.get(CONFIGURATION, secure=True).json()
    keys = PyJWKSet.from_dict(json.loads(client.get(JWKS).content))

    assert found == {"issuer": issuer, "jwks_uri": f"https://testserver{JWKS}"}
    claims = jwt.decode(
        front.access(),
        keys.keys[0].key,
        algorithms=["EdDSA"],
        issuer=issuer,
        audience="rotating_sessions",
    )
    assert claims["sub"] == str(user.pk)


@pytest.mark.parametrize("path", [JWKS, CONFIGURATION])
def test_everybody_may_read_and_caches_may_keep_it(client, path):
    """Pages of any origin read it, with an old token on the request, too."""
    client.cookies["sAccessToken"] = "a.b.c"

    response = client.get(path, REMOTE_ADDR=HOME)

    assert response.status_code == 200
    assert response["Access-Control-Allow-Origin"] == "*"
    assert response["Cache-Control"] == "public, max-age=300"
    assert "front-token" not in response.headers


@pytest.mark.parametrize("path", [JWKS, CONFIGURATION])
def test_there_is_nothing_to_write(client, path):
    """Any method but GET and HEAD is 405."""
    assert client.post(path).status_code == 405
    assert client.head(path).status_code == 200
