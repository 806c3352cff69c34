"""Check the pages for users, where a project has mounted them."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage
from django.shortcuts import resolve_url
from django.urls import (
    NoReverseMatch,
    Resolver404,
    get_script_prefix,
    resolve,
    reverse,
)

from rotating_sessions.checks.types import has_right_types
from rotating_sessions.conf import Conf, get_conf

__all__ = ["check_pages"]


def check_pages(**kwargs: object) -> list[CheckMessage]:
    """Return what keeps users from their pages."""
    conf = get_conf()
    try:
        pages = reverse("rotating_sessions_pages:sessions")
    except NoReverseMatch:
        return []
    if not has_right_types(conf):
        return []
    return [*_check_login_url(), *_check_exempt_paths(conf, pages)]


def _warning(number: int, text: str, hint: str) -> checks.Warning:
    return checks.Warning(text, hint=hint, id=f"rotating_sessions.W{number:03}")


def _check_login_url() -> Iterator[CheckMessage]:
    try:
        # A name of the URLconf, a path or an address, as Django's own views take it.
        address = urlsplit(resolve_url(settings.LOGIN_URL))
        if not address.netloc:
            resolve(address.path.removeprefix(get_script_prefix().rstrip("/")))
    except (NoReverseMatch, Resolver404):
        yield _warning(
            35,
            f"Visitors of the pages for users are sent to {settings.LOGIN_URL!r}, "
            "which is no page of this project.",
            "Set LOGIN_URL to the sign-in page.",
        )


def _check_exempt_paths(conf: Conf, pages: str) -> Iterator[CheckMessage]:
    if pages.startswith(conf.exempt_paths):
        yield _warning(
            36,
            f"EXEMPT_PATHS covers the pages for users at {pages}.",
            "The middleware tells these pages of no session: mount them elsewhere.",
        )
