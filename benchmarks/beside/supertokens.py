"""
What supertokens-python needs to verify a token without its core.

Only that is measured: to log in and to refresh takes the core, a service of its own. So
this mints what the core would, and puts its key where a first verification keeps it.
"""

from __future__ import annotations

import json
from time import time

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from django.utils.crypto import get_random_string
from jwt.algorithms import RSAAlgorithm
from supertokens_python import InputAppInfo, SupertokensConfig, init
from supertokens_python.recipe import session
from supertokens_python.recipe.session.jwks import CachedKeys

__all__ = ["mint_access", "start_supertokens"]

_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
# The core calls its changing keys so.
_KID = "d-benchmark"
_HOUR = 3600


def start_supertokens() -> None:
    """Configure the SDK, and let it know the key as if the core had told it."""
    init(
        app_info=InputAppInfo(
            app_name="benchmark",
            api_domain="http://testserver",
            website_domain="http://testserver",
        ),
        framework="django",
        supertokens_config=SupertokensConfig(connection_uri="http://127.0.0.1:3567"),
        recipe_list=[session.init(get_token_transfer_method=lambda *_: "header")],
        mode="wsgi",
        telemetry=False,
    )
    public = json.loads(RSAAlgorithm.to_jwk(_key.public_key()))
    key = jwt.PyJWK({**public, "kid": _KID, "alg": "RS256", "use": "sig"})
    session.jwks.cached_keys = CachedKeys([key], _HOUR * 24)


def mint_access(user_pk: str) -> str:
    """Return an access token as the core's fifth version has them."""
    now = int(time())
    payload = {
        "sub": user_pk,
        "rsub": user_pk,
        "tId": "public",
        "iat": now,
        "exp": now + _HOUR,
        "sessionHandle": get_random_string(36),
        "refreshTokenHash1": get_random_string(64),
        "parentRefreshTokenHash1": None,
        "antiCsrfToken": None,
    }
    headers = {"kid": _KID, "version": "5"}
    return jwt.encode(payload, _key, algorithm="RS256", headers=headers)
