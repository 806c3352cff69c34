"""What is known of the one who asks, as long as a request lasts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from rest_framework.request import Request

from rotating_sessions.exceptions import SessionEnded, SessionError
from rotating_sessions.revocations import Lull
from rotating_sessions.rotation import CLOCK_SKEW
from rotating_sessions.tokens.access import AccessClaims
from rotating_sessions.transports import COOKIE

__all__ = [
    "NOBODY",
    "Memory",
    "Visit",
    "django_request",
    "end_visit",
    "read_visit",
    "session_exempt",
]

_View = TypeVar("_View", bound=Callable[..., Any])


class Memory:
    """
    What this process has found out about a token: all that it need not ask again.

    `begins_at` and `ends_at` are the token's time. `origin` is what `read_origin` said
    when its network was last good, and `lull` what `revocations.current_lull` did when
    its session was last known to be confirmed and not revoked: None until then.
    """

    __slots__ = ("begins_at", "ends_at", "lull", "origin")

    def __init__(self, claims: AccessClaims) -> None:
        # From a host whose clock may be ahead of ours by as much.
        self.begins_at = claims.issued_at - CLOCK_SKEW
        self.ends_at = claims.expires_at
        self.origin: object = None
        self.lull: Lull | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """
    What the access token of one request says.

    `claims` are proven: set even where the token is refused for its age or network,
    which is enough to log out with. `refusal` is the answer, None where it is welcome.
    `memory` is set where the token was good when it was verified.
    """

    claims: AccessClaims | None = None
    transport: str | None = None
    refusal: SessionError | None = None
    memory: Memory | None = field(default=None, compare=False, repr=False)

    @property
    def family(self) -> AccessClaims | None:
        """Return the claims that the request may act under."""
        return self.claims if self.refusal is None else None


# Carries no token: every request without one, and so it is made once.
NOBODY = Visit()


def end_visit(visit: Visit, refusal: SessionError) -> Visit:
    """Return the visit, refused; or nobody's, where an anonymous session has ended."""
    is_nobodys = visit.claims is not None and visit.claims.is_anonymous
    is_over = isinstance(refusal, SessionEnded)
    if is_nobodys and is_over and visit.transport == COOKIE:
        # Anonymous with the session or without; and its cookies are not to be cleared,
        # because a login in another tab may just have replaced them.
        return NOBODY
    return replace(visit, refusal=refusal)


def django_request(request: Request) -> HttpRequest:
    """Return Django's own request, which all of the package but its views knows."""
    return request._request  # noqa: SLF001 - DRF has no public name for it


def read_visit(request: HttpRequest) -> Visit:
    """
    Return what the middleware found of this request.

    Raises:
        ImproperlyConfigured: The middleware is not installed.
    """
    visit = getattr(request, "session_visit", None)
    if not isinstance(visit, Visit):
        raise ImproperlyConfigured(
            "rotating_sessions verifies access tokens in RotatingSessionMiddleware: "
            "add it to MIDDLEWARE."
        )
    return visit


def session_exempt(view: _View) -> _View:
    """
    Mark a view that the middleware shall let through, whatever the token is worth.

    The view runs with `request.session_family` None, where other views are answered
    401 for it. For endpoints that a client must reach without a good access token.
    """
    view.session_exempt = True  # type: ignore[attr-defined]
    return view
