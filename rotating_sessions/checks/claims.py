"""Check that the site's function for claims can be called."""

from __future__ import annotations

from asgiref.sync import iscoroutinefunction
from django.core.checks import CheckMessage
from django.utils.module_loading import import_string

from rotating_sessions.checks.types import an_error, has_right_types
from rotating_sessions.conf import get_conf

__all__ = ["check_claims"]


def check_claims(**kwargs: object) -> list[CheckMessage]:
    """Return what keeps access tokens from getting the site's claims."""
    conf = get_conf()
    if conf.claims is None or not has_right_types(conf):
        return []
    try:
        function = import_string(conf.claims)
    except ImportError as error:
        return [an_error(37, f"CLAIMS cannot be imported: {error}.")]
    if not callable(function) or iscoroutinefunction(function):
        return [an_error(37, "CLAIMS has to name a function, and not an async one.")]
    return []
