"""
Tell requests that the front end sent from those that another site made a browser send.

Only cookies need it. The token of ANTI_CSRF "token" is a MAC of the session's id, so
that it needs no place in row or token, and outlives every refresh.
"""

from __future__ import annotations

from collections.abc import Callable
from hmac import compare_digest
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from django.utils.crypto import salted_hmac
from django.views.decorators.debug import sensitive_variables

from rotating_sessions.fdi.conf import CUSTOM_HEADER, TOKEN, get_fdi_conf
from rotating_sessions.fdi.names import ANTI_CSRF_HEADER, CUSTOM_REQUEST_HEADER

__all__ = ["is_from_another_site", "is_from_front_end", "is_safe", "mint_anti_csrf"]

_SALT = "rotating_sessions.fdi.anti_csrf"


def is_safe(request: HttpRequest) -> bool:
    """Tell whether the request changes nothing, so that nobody forges it."""
    return request.method in {"GET", "HEAD", "OPTIONS", "TRACE"}


def is_from_another_site(request: HttpRequest) -> bool:
    """Tell whether a page of another site sends it, by no means that CORS guards."""
    return _is_cross_site(request) and CUSTOM_REQUEST_HEADER not in request.headers


def is_from_front_end(
    request: HttpRequest, find_family: Callable[[], UUID | None]
) -> bool:
    """
    Tell whether a request by cookie was sent by a page that may.

    Args:
        request: The request.
        find_family: Returns the session that its token proves, None for no session:
            called where ANTI_CSRF is "token".
    """
    conf = get_fdi_conf()
    if _is_cross_site(request) and not conf.is_cross_site:
        return False
    if conf.anti_csrf == CUSTOM_HEADER:
        # No page of another origin can send it without a preflight, which CORS answers.
        return CUSTOM_REQUEST_HEADER in request.headers
    if conf.anti_csrf != TOKEN:
        return True
    family_id = find_family()
    # What proves no session is refused for that, whoever sent it.
    return family_id is None or _is_genuine(
        request.headers.get(ANTI_CSRF_HEADER, ""), family_id
    )


def mint_anti_csrf(family_id: UUID) -> str:
    """Return the anti-CSRF token of a session."""
    return _mint(family_id, settings.SECRET_KEY)


def _is_cross_site(request: HttpRequest) -> bool:
    return request.headers.get("Sec-Fetch-Site") == "cross-site"


@sensitive_variables()
def _is_genuine(value: str, family_id: UUID) -> bool:
    given = value.encode("utf-8", "surrogatepass")
    return any(
        compare_digest(_mint(family_id, key).encode(), given)
        for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    )


def _mint(family_id: UUID, key: str | bytes) -> str:
    made = salted_hmac(_SALT, str(family_id), secret=key, algorithm="sha256")
    return made.hexdigest()
