"""The setting of this package, ROTATING_SESSIONS_FDI: its fields and defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Literal

from django.conf import settings
from django.core.signals import setting_changed

__all__ = [
    "CUSTOM_HEADER",
    "NONE",
    "SETTING",
    "TOKEN",
    "FdiConf",
    "get_fdi_conf",
]

SETTING = "ROTATING_SESSIONS_FDI"

# What ANTI_CSRF may be.
CUSTOM_HEADER = "custom_header"
TOKEN = "token"  # noqa: S105 - the name of a way, not a token
NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class FdiConf:
    """
    The settings. Keys of ROTATING_SESSIONS_FDI are these names in capitals.

    docs/supertokens.md says what each means; `checks` tells which values are wrong.
    """

    anti_csrf: str = CUSTOM_HEADER
    cookie_domain: str | None = None
    older_cookie_domain: str | None = None
    cookie_samesite: Literal["Lax", "Strict", "None"] = "Lax"
    session_expired_status: int = 401
    invalid_claim_status: int = 403
    wrapped_claims: tuple[str, ...] = ("st-ev", "st-role", "st-perm")

    @property
    def is_cross_site(self) -> bool:
        """Tell whether browsers send the cookies for pages of other sites, too."""
        return self.cookie_samesite == "None"


@lru_cache(maxsize=1)
def get_fdi_conf() -> FdiConf:
    """Return the settings in force, without what no field has."""
    given = getattr(settings, SETTING, None) or {}
    if not isinstance(given, Mapping):
        given = {}
    known = {field.name for field in fields(FdiConf)}
    values = {name: given[name.upper()] for name in known if name.upper() in given}
    if isinstance(values.get("wrapped_claims"), list):
        values["wrapped_claims"] = tuple(values["wrapped_claims"])
    return FdiConf(**values)


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting == SETTING:
        get_fdi_conf.cache_clear()


setting_changed.connect(_forget)
