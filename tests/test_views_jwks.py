"""The page of the public keys: what it says, and how caches may keep it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.urls import reverse

from rotating_sessions.tokens.pem import read_pem
from tests.browsing import ACCESS, REFRESH
from tests.keyring import PEMS

PATH = "/.well-known/jwks.json"


def keys_at(client: Any) -> list[Any]:
    return json.loads(client.get(PATH).content)["keys"]


def test_the_page_has_a_name():
    """`reverse` knows where a project has mounted the public keys."""
    assert reverse("rotating_sessions_jwks:jwks") == PATH


def test_public_keys_are_shown_to_everybody(client, settings):
    """Whoever asks gets the public half of each key pair, as RFC 7517 has it."""
    settings.ROTATING_SESSIONS = {"ACCESS_KEYS": [PEMS["EdDSA"], PEMS["ES256"]]}

    response = client.get(PATH)

    key = read_pem(PEMS["EdDSA"])
    assert response.status_code == 200
    assert response["Content-Type"] == "application/jwk-set+json"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert len(keys_at(client)) == 2
    assert keys_at(client)[0] == {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": key.members["x"],
        "kid": key.thumbprint[:16],
        "alg": "EdDSA",
        "use": "sig",
    }


def test_there_is_a_set_without_a_key_pair(client):
    """With HS256 alone the set is empty: nothing could be published (RFC 7517, 5.1)."""
    response = client.get(PATH)

    assert (response.status_code, json.loads(response.content)) == (200, {"keys": []})


def test_caches_may_keep_it_for_five_minutes(client, settings):
    """Caches of any kind may keep the set, for as long as docs/keys.md says to wait."""
    settings.ROTATING_SESSIONS = {"ACCESS_KEYS": [PEMS["EdDSA"]]}

    response = client.get(PATH)

    assert response["Cache-Control"] == "public, max-age=300"
    assert not response.cookies


def test_what_has_not_changed_is_not_sent_again(client, settings):
    """A cache that asks by the ETag gets 304, until the keys are other ones."""
    settings.ROTATING_SESSIONS = {"ACCESS_KEYS": [PEMS["EdDSA"]]}
    etag = client.get(PATH)["ETag"]

    same = client.get(PATH, HTTP_IF_NONE_MATCH=etag)
    settings.ROTATING_SESSIONS = {"ACCESS_KEYS": [PEMS["EdDSA"], PEMS["ES256"]]}
    other = client.get(PATH, HTTP_IF_NONE_MATCH=etag)

    assert (same.status_code, same.content, same["ETag"]) == (304, b"", etag)
    assert same["Cache-Control"] == "public, max-age=300"
    assert (other.status_code, other["ETag"] == etag) == (200, False)


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
def test_the_page_is_for_reading_only(client, method):
    """GET and HEAD are all that the page answers."""
    response = getattr(client, method)(PATH)

    assert (response.status_code, response["Allow"]) == (405, "GET, HEAD")
    assert client.head(PATH).status_code == 200


def test_a_session_plays_no_part(client):
    """A token that any other page would refuse is not even looked at, nor forgotten."""
    client.cookies[ACCESS] = client.cookies[REFRESH] = "garbage"

    response = client.get(PATH, HTTP_AUTHORIZATION="Bearer garbage")

    assert (response.status_code, len(response.cookies)) == (200, 0)
