"""How a request says who sends it: the security schemes."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

from rotating_sessions.authentication import RotatingSessionAuthentication
from rotating_sessions.conf import get_conf
from rotating_sessions.transports import (
    COOKIE,
    HEADER,
    access_cookie_name,
    refresh_cookie_name,
)

__all__ = ["by_access_token", "by_any_token", "by_refresh_token"]

_BEARER = "rotatingSessionBearer"
_ACCESS_COOKIE = "rotatingSessionAccessCookie"
_REFRESH_COOKIE = "rotatingSessionRefreshCookie"

_Requirements = list[dict[str, list[Any]]]


def by_access_token() -> _Requirements:
    """Return the ways that an access token comes, as far as TRANSPORTS allows them."""
    ways = {HEADER: _BEARER, COOKIE: _ACCESS_COOKIE}
    return [{ways[each]: []} for each in ways if each in get_conf().transports]


def by_refresh_token() -> _Requirements:
    """Return the ways that a refresh token comes: in the body, and perhaps a cookie."""
    cookie: _Requirements = [{_REFRESH_COOKIE: []}]
    return [{}, *(cookie if COOKIE in get_conf().transports else [])]


def by_any_token() -> _Requirements:
    """Return the ways that any token comes."""
    nothing, *cookie = by_refresh_token()
    return [nothing, *by_access_token(), *cookie]


class _Scheme(OpenApiAuthenticationExtension):
    """The schemes of `RotatingSessionAuthentication`, and that of the refresh token."""

    target_class = RotatingSessionAuthentication

    @property
    def name(self) -> list[str]:  # type: ignore[override]
        """Return the names of the schemes that are defined."""
        return [name for way in by_any_token() for name in way]

    def get_security_requirement(self, auto_schema: Any) -> _Requirements:
        """Return what a view behind the authentication class asks for."""
        return by_access_token()

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, Any]]:
        """Return the definitions, in the order of their names."""
        definitions = {
            _BEARER: {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "The access token, in header transport.",
            },
            _ACCESS_COOKIE: _cookie(
                access_cookie_name(),
                "The access token, in cookie transport; unsafe methods also need "
                "`X-CSRFToken`.",
            ),
            _REFRESH_COOKIE: _cookie(
                refresh_cookie_name(),
                "The refresh token, in cookie transport, with `X-CSRFToken`.",
            ),
        }
        return [definitions[name] for name in self.name]


def _cookie(name: str, description: str) -> dict[str, Any]:
    return {"type": "apiKey", "in": "cookie", "name": name, "description": description}
