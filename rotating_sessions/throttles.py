"""How often one client may try: logins by network and name, refreshes by session."""

from __future__ import annotations

import logging
import re
import unicodedata
from hashlib import sha256
from string import ascii_letters, digits
from typing import Any, Protocol

from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables
from rest_framework.throttling import SimpleRateThrottle

from rotating_sessions.clients import read_client
from rotating_sessions.conf import get_conf
from rotating_sessions.exceptions import InvalidToken
from rotating_sessions.signals import report
from rotating_sessions.tokens.refresh import decode_refresh

__all__ = [
    "LoginThrottle",
    "RefreshThrottle",
    "ThrottledView",
    "throttled_family",
    "throttled_login",
    "throttled_user",
]

# The only letters that MariaDB's Unicode collations take for nothing.
_WEIGHTLESS = "\u1cf2\u1cf3\ufe73"

# What the names of Latin letters say, of small ones above others and of those in boxes.
_LATIN = re.compile("LATIN|MODIFIER LETTER|SQUARED")


class ThrottledView(Protocol):
    """What a throttle asks of its view."""

    def throttle_ident(self, request: Any) -> str | None:
        """Return whom to count, or None to let the request pass."""


class _Throttle(SimpleRateThrottle):
    """A throttle over whom the view names, at a rate of our settings."""

    def get_cache_key(self, request: Any, view: Any) -> str | None:
        """Return a key that tells nothing of whom it counts, nor is chosen by them."""
        if self._ident is None:
            return None
        ident = self._ident.encode("utf-8", "surrogatepass")
        return f"{self.scope}:{sha256(ident).hexdigest()}"

    def allow_request(self, request: Any, view: Any) -> bool:
        """Tell whether the request is within the rate."""
        if self.rate is None:
            return True
        throttled: ThrottledView = view
        self._ident = throttled.throttle_ident(request)
        try:
            return super().allow_request(request, view)
        # Every cache client raises errors of its own. A login is still guarded by its
        # password and a refresh by its token, so a cache that is down locks nobody out.
        except Exception:  # noqa: BLE001
            report("throttle_unavailable", level=logging.WARNING, scope=self.scope)
            return True


class LoginThrottle(_Throttle):
    """LOGIN_RATE, for each network and user name."""

    scope = "rotating_sessions_login"

    def get_rate(self) -> str | None:
        """Return LOGIN_RATE."""
        return get_conf().login_rate


class RefreshThrottle(_Throttle):
    """REFRESH_RATE, for each session."""

    scope = "rotating_sessions_refresh"

    def get_rate(self) -> str | None:
        """Return REFRESH_RATE."""
        return get_conf().refresh_rate


@sensitive_variables()
def throttled_family(refresh: str | None) -> str | None:
    """Return whom a refresh counts for: what is no token of ours costs no query."""
    try:
        return str(decode_refresh(refresh or "").family_id)
    except InvalidToken:
        return None


def throttled_login(network: str | None, name: str) -> str:
    """
    Return whom a login counts for: a network, and a name in whichever spelling.

    MySQL and MariaDB compare names without case and accents and, by some collations,
    without strokes and the script of digits; what is no letter or digit may not count.
    Names with what only a collation knows to be Latin, or a digit, count as one name:
    so all spellings of a name together buy it one more rate, and not a rate each.
    """
    spelled = unicodedata.normalize("NFKD", name)
    if any(_is_ambiguous(char) for char in spelled):
        # No other name is counted by this, of which only letters and digits are left.
        return f"{network}|?"
    letters = "".join(char for char in spelled if _counts(char)).casefold()
    return f"{network}|" + "".join(_base(char) for char in letters)


def throttled_user(request: HttpRequest, user: Any) -> str:
    """Return whom a password of a known user counts for: the same as their login."""
    # A name may be a number, or an object of a field of the site's own.
    name = str(user.get_username())
    return throttled_login(read_client(request).network, name)


def _is_ambiguous(char: str) -> bool:
    """Tell whether a collation may take it for ASCII, its name not saying for what."""
    is_number = unicodedata.category(char)[0] == "N"
    is_latin = _LATIN.search(unicodedata.name(char, "")) is not None
    return (is_number or is_latin) and _base(char) not in _ASCII


def _counts(char: str) -> bool:
    """Tell whether a name with this character differs from the name without it."""
    category = unicodedata.category(char)
    return category[0] in "LN" and category != "Lm" and char not in _WEIGHTLESS


def _base(char: str) -> str:
    """Return what a letter or a digit is, without what its name says it is "with"."""
    digit = unicodedata.digit(char, None)
    if digit is not None:
        return str(digit)
    return unicodedata.name(char, char).partition(" WITH ")[0]


_ASCII = frozenset(map(_base, ascii_letters + digits))
