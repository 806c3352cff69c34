"""Check ROTATING_SESSIONS before its values: names, types, and what can be used."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import timedelta

from django.conf import settings
from django.core.checks import CheckMessage, Error

from rotating_sessions.conf import SETTING, Conf

__all__ = ["an_error", "check_names", "check_types", "has_right_types"]

# A century. Beyond a few of them a deadline is no date any more.
_MAX_SPAN = timedelta(days=36_525)
# What every database takes as a number.
_MAX_NUMBER = 2**31 - 1

_SURROGATE = re.compile("[\ud800-\udfff]")

_KINDS: dict[str, tuple[type, ...]] = {
    "timedelta": (timedelta,),
    "int": (int,),
    "bool": (bool,),
    "str": (str,),
    "tuple[str, ...]": (tuple,),
    "int | None": (int, type(None)),
    "str | None": (str, type(None)),
}


def an_error(number: int, text: str) -> Error:
    """Return the error of this id about the setting."""
    return Error(f"{SETTING}: {text}", id=f"rotating_sessions.E{number:03}")


def has_right_types(conf: Conf) -> bool:
    """Tell whether the other checks can look at the values at all."""
    return not list(check_types(conf))


def check_names() -> Iterator[CheckMessage]:
    """Yield what has a name that no setting has."""
    given = getattr(settings, SETTING, None) or {}
    if not isinstance(given, Mapping):
        yield an_error(2, "it has to be a dict.")
        return
    known = {field.name.upper() for field in fields(Conf)}
    for name in sorted(set(given) - known, key=str):
        yield an_error(1, f"there is no setting {name!r}.")


def check_types(conf: Conf) -> Iterator[CheckMessage]:
    """Yield what no other check could look at."""
    for field in fields(Conf):
        value = getattr(conf, field.name)
        fits = isinstance(value, _KINDS[str(field.type)])
        # To Python True is a number.
        fits = fits and (field.type == "bool" or not isinstance(value, bool))
        if isinstance(value, tuple):
            fits = fits and all(isinstance(item, str) for item in value)
        if not fits:
            yield an_error(2, f"{field.name.upper()} has to be of type {field.type}.")
        elif not _can_be_used(value):
            yield an_error(2, f"{field.name.upper()} is too large, or no text.")


def _can_be_used(value: object) -> bool:
    """Tell whether a value can be added, stored and encoded without an error."""
    if isinstance(value, timedelta):
        return -_MAX_SPAN <= value <= _MAX_SPAN
    if isinstance(value, int):
        return -_MAX_NUMBER <= value <= _MAX_NUMBER
    texts = value if isinstance(value, tuple) else (value,)
    return not any(_SURROGATE.search(text) for text in texts if isinstance(text, str))
