"""
What takes a claim: a role, a verified address, or whatever the site's CLAIMS says.

By the access token alone, with no I/O: a claim is as old as its token.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TypeVar

from django.http import HttpRequest
from django.utils import timezone
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from rotating_sessions.authentication import read_visit
from rotating_sessions.exceptions import (
    InvalidClaim,
    NotAuthenticated,
    RefreshRequired,
)
from rotating_sessions.permissions.guarding import guard, permit
from rotating_sessions.rotation import CLOCK_SKEW

__all__ = ["HasClaim", "check_claim", "claim_required"]

_View = TypeVar("_View", bound=Callable[..., object])


def check_claim(
    request: HttpRequest,
    claim: str,
    *,
    includes: str | int | None = None,
    max_age: timedelta | None = None,
) -> None:
    """
    Make sure that the session's access token has a claim.

    Args:
        request: As the middleware passed it on.
        claim: Its name, as the site's function gave it.
        includes: What the claim, a list, has to contain. Without it the claim has to be
            true: neither missing, nor False, 0, empty or None.
        max_age: For how long the token may have said so; not asked where not given.

    Raises:
        NotAuthenticated: The request carries no session of ours, or an anonymous one.
        RefreshRequired: The token is older: a refresh computes the claim anew.
        InvalidClaim: It is not so.
    """
    visit = read_visit(request)
    family = visit.family
    if family is None or family.is_anonymous:
        raise visit.refusal or NotAuthenticated()
    # The host that computed the claim may be behind this one by the clocks' skew.
    if max_age is not None and timezone.now() - family.issued_at > max_age + CLOCK_SKEW:
        raise RefreshRequired
    value = family.claims.get(claim)
    if includes is None:
        holds = bool(value)
    else:
        holds = isinstance(value, tuple) and includes in value
    if not holds:
        raise InvalidClaim(claim)


def claim_required(
    claim: str,
    *,
    includes: str | int | None = None,
    max_age: timedelta | None = None,
) -> Callable[[_View], _View]:
    """
    Refuse a view to all but sessions with a claim: see `check_claim`.

    For plain Django views, sync or async, and by `method_decorator` for class-based
    ones. A browser that asks for a page is shown the site's page for a 403, or sent to
    log in; everybody else is told by a status, a code and the claim's name.
    """
    check = partial(check_claim, claim=claim, includes=includes, max_age=max_age)
    return partial(guard, check=check)


class HasClaim(BasePermission):
    """
    DRF: permit sessions with a claim only.

    Behind `RotatingSessionAuthentication`; a subclass names the `claim`, and what it
    `includes`, or its `max_age`: see `check_claim`.
    """

    claim: str
    includes: str | int | None = None
    max_age: timedelta | None = None

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Return True, or raise what DRF answers with 401 or 403."""
        check = partial(
            check_claim,
            claim=self.claim,
            includes=self.includes,
            max_age=self.max_age,
        )
        permit(request, check)
        return True
