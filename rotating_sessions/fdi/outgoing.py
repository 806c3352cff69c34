"""Tokens into responses: set, and cleared, in the way of each mode."""

from __future__ import annotations

from datetime import timedelta
from http.cookies import Morsel

from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.views.decorators.debug import sensitive_variables

from rotating_sessions.conf import get_conf
from rotating_sessions.fdi.anti_csrf import mint_anti_csrf
from rotating_sessions.fdi.carried import carried_modes, carries_legacy
from rotating_sessions.fdi.conf import TOKEN, get_fdi_conf
from rotating_sessions.fdi.front_token import encode_front_token
from rotating_sessions.fdi.incoming import claims_of
from rotating_sessions.fdi.names import (
    ACCESS_COOKIE,
    ACCESS_HEADER,
    ANTI_CSRF_HEADER,
    EXPOSED_HEADERS,
    FRONT_TOKEN_HEADER,
    LEGACY_COOKIE,
    REFRESH_COOKIE,
    REFRESH_HEADER,
    REMOVED,
)
from rotating_sessions.transports import COOKIE, HEADER, TokenPair, forbid_caching

__all__ = ["clear_session", "write_session", "writes_session"]

# Longer than any session: that the cookie is there is what tells an access token which
# has expired from none, and so "try refresh" from "sign in".
_ACCESS_COOKIE_LIFETIME = timedelta(days=365)


@sensitive_variables()
def write_session(
    request: HttpRequest, response: HttpResponseBase, pair: TokenPair
) -> None:
    """
    Put the tokens of a login or a refresh on the response.

    Without a refresh token in the pair, nothing is said of the one that the client
    has, which it keeps. What the request carries in the other mode is cleared.
    """
    for mode in carried_modes(request) - {pair.transport}:
        _clear(response, mode)
    _forget_left_behind(request, response)
    claims = claims_of(pair.access)
    if pair.transport == HEADER:
        response.headers[ACCESS_HEADER] = pair.access
        if pair.refresh is not None:
            response.headers[REFRESH_HEADER] = pair.refresh
    else:
        _set_cookie(response, ACCESS_COOKIE, pair.access, _ACCESS_COOKIE_LIFETIME)
        if pair.refresh is not None:
            _set_cookie(response, REFRESH_COOKIE, pair.refresh, pair.refresh_lifetime)
        if get_fdi_conf().anti_csrf == TOKEN:
            response.headers[ANTI_CSRF_HEADER] = mint_anti_csrf(claims.family_id)
    response.headers[FRONT_TOKEN_HEADER] = encode_front_token(claims)
    forbid_caching(response)
    _expose_headers(response)


def clear_session(request: HttpRequest, response: HttpResponseBase) -> None:
    """Make the client forget its session, in both modes."""
    _clear(response, HEADER)
    _clear(response, COOKIE)
    _forget_left_behind(request, response)
    response.headers.pop(ANTI_CSRF_HEADER, None)
    response.headers[FRONT_TOKEN_HEADER] = REMOVED
    forbid_caching(response)
    _expose_headers(response)


def writes_session(response: HttpResponseBase) -> bool:
    """Tell whether the response says already what becomes of the client's session."""
    return response.has_header(FRONT_TOKEN_HEADER)


def _clear(response: HttpResponseBase, mode: str) -> None:
    if mode == HEADER:
        response.headers[ACCESS_HEADER] = response.headers[REFRESH_HEADER] = ""
        return
    conf = get_fdi_conf()
    for name in (ACCESS_COOKIE, REFRESH_COOKIE):
        response.delete_cookie(
            name,
            path=_path_of(name),
            domain=conf.cookie_domain,
            samesite=conf.cookie_samesite,
        )


def _set_cookie(
    response: HttpResponseBase, name: str, value: str, lifetime: timedelta
) -> None:
    conf = get_fdi_conf()
    response.set_cookie(
        name,
        value,
        max_age=int(lifetime.total_seconds()),
        path=_path_of(name),
        domain=conf.cookie_domain,
        secure=not get_conf().insecure_cookies,
        httponly=True,
        samesite=conf.cookie_samesite,
    )


def _path_of(name: str) -> str:
    """Return where the browser sends a cookie: the refresh token to its endpoint."""
    return reverse("rotating_sessions_fdi:refresh") if name == REFRESH_COOKIE else "/"


def _forget_left_behind(request: HttpRequest, response: HttpResponseBase) -> None:
    """Clear the cookies of OLDER_COOKIE_DOMAIN, and that of older sessions."""
    conf = get_fdi_conf()
    left = [(LEGACY_COOKIE, conf.cookie_domain)] if carries_legacy(request) else []
    if conf.older_cookie_domain is not None:
        left += [
            (name, conf.older_cookie_domain) for name in (ACCESS_COOKIE, REFRESH_COOKIE)
        ]
    for name, domain in left:
        # Django keeps one cookie of a name: this one goes beside the one that is set.
        response.cookies[f"{name}-left-behind"] = _expired(name, domain)


def _expired(name: str, domain: str | None) -> Morsel[str]:
    morsel: Morsel[str] = Morsel()
    morsel.set(name, "", "")
    morsel["path"], morsel["domain"] = _path_of(name), domain or ""
    morsel["max-age"], morsel["expires"] = 0, "Thu, 01 Jan 1970 00:00:00 GMT"
    return morsel


def _expose_headers(response: HttpResponseBase) -> None:
    """Let pages of other origins read what the front end has to."""
    name = "Access-Control-Expose-Headers"
    exposed = [part.strip() for part in response.headers.get(name, "").split(",")]
    known = {part.lower() for part in exposed}
    written = [
        header
        for header in EXPOSED_HEADERS
        if response.has_header(header) and header not in known
    ]
    response.headers[name] = ", ".join([*filter(None, exposed), *written])
