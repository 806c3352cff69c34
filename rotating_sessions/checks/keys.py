"""Check ACCESS_KEYS: whether each entry is a key, and the first one can sign."""

from __future__ import annotations

from collections.abc import Iterator

from django.core import checks
from django.core.checks import CheckMessage
from django.views.decorators.debug import sensitive_variables

from rotating_sessions.checks.types import an_error, has_right_types
from rotating_sessions.conf import get_conf
from rotating_sessions.tokens.access_keys import (
    DERIVED,
    AccessKey,
    is_open_to_all,
    read_entry,
    read_key,
)
from rotating_sessions.tokens.pem import CryptographyMissing, UnusableKey

__all__ = ["check_access_keys"]


@sensitive_variables()
def check_access_keys(**kwargs: object) -> list[CheckMessage]:
    """Return what is wrong with the keys of access tokens."""
    conf = get_conf()
    if not has_right_types(conf):
        return []
    messages: list[CheckMessage] = []
    keys: list[AccessKey | None] = []
    for position, entry in enumerate(conf.access_keys, 1):
        where = f"ACCESS_KEYS, entry {position}:"
        try:
            # None stands for the keys derived from a root, each of which can sign.
            key = None if entry == DERIVED else read_key(read_entry(entry), conf.epoch)
        except CryptographyMissing as error:
            messages.append(an_error(17, f"{where} {error}."))
            continue
        except UnusableKey as error:
            messages.append(an_error(16, f"{where} {error}."))
            continue
        keys.append(key)
        messages += _check_file(entry, key, where)
    return messages or list(_check_order(keys))


def _check_file(
    entry: str, key: AccessKey | None, where: str
) -> Iterator[CheckMessage]:
    if key is not None and key.private is not None and is_open_to_all(entry):
        yield _warning(19, f"{where} everybody on this machine can read its file.")


def _warning(number: int, text: str) -> checks.Warning:
    return checks.Warning(
        text,
        hint="Take it from all but the user that Django runs as: chmod o-r.",
        id=f"rotating_sessions.W{number:03}",
    )


def _check_order(keys: list[AccessKey | None]) -> Iterator[CheckMessage]:
    kids = [DERIVED if key is None else key.kid for key in keys]
    if len(set(kids)) < len(kids):
        yield an_error(18, "no two of ACCESS_KEYS may be the same key.")
    if not keys or (keys[0] is not None and keys[0].private is None):
        yield an_error(18, "the first of ACCESS_KEYS has to be able to sign.")
