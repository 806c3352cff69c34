"""What is fuzzed: functions of bytes that raise where a promise is broken."""

from __future__ import annotations

from collections.abc import Callable

from tests.fuzz.targets import (
    access_token,
    address,
    authorization,
    cookie,
    cursor,
    fdi,
    next_page,
    refresh_token,
    request,
    settings,
    user_agent,
)

__all__ = ["NEED_DATABASE", "TARGETS"]

TARGETS: dict[str, Callable[[bytes], None]] = {
    module.__name__.rpartition(".")[2]: module.fuzz
    for module in (
        access_token,
        address,
        authorization,
        cookie,
        cursor,
        fdi,
        next_page,
        refresh_token,
        request,
        settings,
        user_agent,
    )
}
# These ask the whole site, as a client does; the others are functions by themselves.
NEED_DATABASE = {"cursor", "next_page", "request", "settings"}
