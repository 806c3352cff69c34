"""Ask the site what its access tokens shall say of a user."""

from __future__ import annotations

from django.contrib.auth.base_user import AbstractBaseUser
from django.utils.module_loading import import_string

from rotating_sessions.conf import get_conf
from rotating_sessions.tokens.claims import SiteClaims, take_site_claims

__all__ = ["compute_claims"]


def compute_claims(user: AbstractBaseUser | None) -> SiteClaims:
    """
    Return what the function that CLAIMS names says of the user now.

    Of an anonymous session, which has none, nothing is said.

    Raises:
        TypeError, ValueError: The site's fault: it said what no token can carry.
    """
    path = get_conf().claims
    if path is None or user is None:
        return take_site_claims({})
    return take_site_claims(import_string(path)(user))
