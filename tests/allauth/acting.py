"""A front end of allauth's: what it sends, and what it keeps of the answers."""

from __future__ import annotations

import base64
import hmac
import json
import re
import struct
import time
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.core import mail

from tests.browsing import Api

APP = "/_allauth/app/v1/"
BROWSER = "/_allauth/browser/v1/"


class App:
    """A native app: its tokens travel in headers, and it has no cookie jar."""

    def __init__(self, http: Api) -> None:
        self.http = http
        self.session_token: str | None = None
        self.access: str | None = None
        self.refresh: str | None = None

    def headers(self) -> dict[str, str]:
        found = {}
        if self.session_token:
            found["HTTP_X_SESSION_TOKEN"] = self.session_token
        if self.access:
            found["HTTP_AUTHORIZATION"] = f"Bearer {self.access}"
        return found

    def call(self, method: str, path: str, body: Any = None, **extra: Any) -> Any:
        response = self.http.generic(
            method,
            APP + path,
            "" if body is None else json.dumps(body),
            content_type="application/json",
            **{**self.headers(), **extra},
        )
        assert not response.cookies
        self.keep(response.json())
        return response

    def post(self, path: str, body: Any = None, **extra: Any) -> Any:
        return self.call("POST", path, body, **extra)

    def keep(self, answer: dict[str, Any]) -> None:
        meta = {**answer.get("meta", {}), **_tokens(answer)}
        self.session_token = meta.get("session_token", self.session_token)
        self.access = meta.get("access_token", self.access)
        self.refresh = meta.get("refresh_token", self.refresh)

    def renew(self, refresh: str | None = None, **extra: Any) -> Any:
        """Refresh by allauth's endpoint."""
        body = {"refresh_token": refresh or self.refresh}
        return self.post("tokens/refresh", body, **extra)

    def whoami(self) -> Any:
        return self.http.get("/whoami/", HTTP_AUTHORIZATION=f"Bearer {self.access}")


class Browser:
    """A page of the site: cookies, and the CSRF token that is in one of them."""

    def __init__(self, http: Api) -> None:
        self.http = http

    def call(self, method: str, path: str, body: Any = None, **extra: Any) -> Any:
        if "csrftoken" not in self.http.cookies:
            self.http.get(BROWSER + "config")
        return self.http.generic(
            method,
            BROWSER + path,
            "" if body is None else json.dumps(body),
            content_type="application/json",
            HTTP_X_CSRFTOKEN=self.http.cookies["csrftoken"].value,
            **extra,
        )

    def post(self, path: str, body: Any = None, **extra: Any) -> Any:
        return self.call("POST", path, body, **extra)


def _tokens(answer: dict[str, Any]) -> dict[str, Any]:
    data = answer.get("data")
    return data if isinstance(data, dict) and "access_token" in data else {}


def give_address(user: Any) -> str:
    """Give the user a verified address, and return it."""
    user.email = f"{user.username}@example.org"
    user.save()
    EmailAddress.objects.create(
        user=user, email=user.email, verified=True, primary=True
    )
    return user.email


def mailed_code() -> str:
    """Return the code in the last mail."""
    found = re.search(r"^([A-Z0-9-]{6,})$", mail.outbox[-1].body, re.MULTILINE)
    assert found
    return found[1]


def mailed_key() -> str:
    """Return the key of the link in the last mail."""
    found = re.search(r"/key/([^/]+)/", mail.outbox[-1].body)
    assert found
    return found[1]


def set_up_totp(user: Any) -> str:
    """Give the user an authenticator app, and return its secret."""
    secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
    Authenticator.objects.create(
        user=user, type=Authenticator.Type.TOTP, data={"secret": secret}
    )
    return secret


def totp(secret: str) -> str:
    """Return the code that the authenticator app shows now. Source: RFC 6238."""
    moment = struct.pack(">Q", int(time.time()) // 30)
    digest = hmac.digest(base64.b32decode(secret), moment, "sha1")
    start = digest[-1] & 15
    number = int.from_bytes(digest[start : start + 4]) & 0x7FFFFFFF
    return f"{number % 10**6:06}"
