"""Who is measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpResponseBase
from knox.models import get_token_model
from oauth2_provider.models import get_application_model

from benchmarks.beside.application import Call, get
from benchmarks.beside.contenders import Contender, Tokens
from benchmarks.beside.supertokens import mint_access, start_supertokens
from rotating_sessions.authentication.remembered import get_remembered_visits

__all__ = ["list_contenders"]

_Client = get_application_model()
_SESSIONS = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
)


class _Floor(Contender):
    def log_in(self) -> Tokens:
        return Tokens(user_pk=None, access="none")

    def ask(self, tokens: Tokens) -> Call:
        return get(self.asks)


class _Django(_Floor):
    name = floor = "no authentication, Django"
    asks = "/guarded/nobody/"
    refreshes = "/update/"
    refused = 200

    def read(self, response: HttpResponseBase, user_pk: str | None) -> Tokens:
        return Tokens(user_pk=None, access="none")


class _Drf(_Floor):
    name = "no authentication, DRF"
    asks = "/guarded/nobody-drf/"


class _Ours(Contender):
    name = stores = "rotating_sessions"
    floor = "no authentication, Django"
    asks = "/guarded/ours/"
    logs_in, refreshes = "/ours/login/", "/ours/refresh/"
    detects_theft = is_trimmed = True
    middleware = ("rotating_sessions.middleware.RotatingSessionMiddleware",)

    def forget(self) -> None:
        get_remembered_visits.cache_clear()


class _OursUser(_Ours):
    name = "rotating_sessions, user"
    asks = "/guarded/ours-user/"
    refreshes = stores = ""


class _OursDrf(_Ours):
    name = "rotating_sessions, DRF, user"
    floor = "no authentication, DRF"
    asks = "/guarded/ours-drf/"
    refreshes = stores = ""


class _SimpleJwt(Contender):
    name = "simplejwt, stateless"
    stores = "simplejwt with blacklist"
    asks = "/guarded/simplejwt/"
    logs_in, refreshes = "/simplejwt/login/", "/simplejwt/refresh/"


class _SimpleJwtUser(_SimpleJwt):
    name = "simplejwt, user"
    asks = "/guarded/simplejwt-user/"
    refreshes = stores = ""


class _Sessions(Contender):
    floor = "no authentication, Django"
    asks = "/guarded/django/"
    logs_in = "/django/login/"
    is_form = True
    middleware = _SESSIONS

    def __init__(self, engine: str) -> None:
        self.name = self.stores = f"Django sessions, {engine}"
        self.settings = {"SESSION_ENGINE": f"django.contrib.sessions.backends.{engine}"}
        super().__init__()

    def read(self, response: HttpResponseBase, user_pk: str | None) -> Tokens:
        return Tokens(user_pk=user_pk, access=response.cookies["sessionid"].value)

    def ask(self, tokens: Tokens) -> Call:
        return get(self.asks, {"Cookie": f"sessionid={tokens.access}"})


class _SuperTokens(Contender):
    name = "supertokens-python, local verify"
    floor = "no authentication, Django"
    asks = "/guarded/supertokens/"

    def __init__(self) -> None:
        super().__init__()
        start_supertokens()

    def log_in(self) -> Tokens:
        user_pk = str(next(self._users).pk)
        return Tokens(user_pk=user_pk, access=mint_access(user_pk))


class _Knox(Contender):
    name = stores = "knox"
    asks = "/guarded/knox/"
    scheme = "Token"

    def log_in(self) -> Tokens:
        """Create a token, as its LoginView does, which asks for another login first."""
        user = next(self._users)
        _, token = get_token_model().objects.create(user)
        return Tokens(user_pk=str(user.pk), access=token)


class _OAuthToolkit(Contender):
    name = stores = "OAuth Toolkit"
    asks = "/guarded/oauth/"
    logs_in = refreshes = "/oauth/token/"
    detects_theft = True
    names = ("access_token", "refresh_token")
    is_form = True
    refused = 400

    def __init__(self) -> None:
        super().__init__()
        # Public: to check a confidential client's secret costs more than all the rest.
        self._client_id = _Client.objects.create(
            client_type=_Client.CLIENT_PUBLIC,
            authorization_grant_type=_Client.GRANT_PASSWORD,
        ).client_id

    def prove(self, tokens: Tokens) -> Mapping[str, str]:
        return {
            "grant_type": "refresh_token",
            "client_id": self._client_id,
            **super().prove(tokens),
        }

    def identify(self, user: AbstractBaseUser) -> Mapping[str, str]:
        return {
            "grant_type": "password",
            "client_id": self._client_id,
            **super().identify(user),
        }


class _Allauth(Contender):
    name = "allauth headless JWT, stateless"
    stores = "allauth headless JWT"
    asks = "/guarded/allauth/"
    logs_in = "/allauth/app/v1/auth/login"
    refreshes = "/allauth/app/v1/tokens/refresh"
    names = ("access_token", "refresh_token")
    middleware = (*_SESSIONS, "allauth.account.middleware.AccountMiddleware")
    # It does not tell a token that was superseded from one that never was.
    refused = 400

    def read_body(self, response: HttpResponseBase) -> Mapping[str, Any]:
        body = super().read_body(response)
        # A refresh brings the tokens as data, a login beside them.
        return {**body["data"], **body.get("meta", {})}


class _AllauthUser(_Allauth):
    name = "allauth headless JWT, user"
    asks = "/guarded/allauth-user/"
    refreshes = stores = ""


def list_contenders() -> list[Contender]:
    """Return all contenders, the floors first."""
    return [
        _Django(),
        _Drf(),
        _Ours(),
        _OursUser(),
        _OursDrf(),
        _SimpleJwt(),
        _SimpleJwtUser(),
        _Allauth(),
        _AllauthUser(),
        _SuperTokens(),
        _Knox(),
        _OAuthToolkit(),
        *map(_Sessions, ("db", "cached_db", "signed_cookies")),
    ]
