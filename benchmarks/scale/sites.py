"""A database for each size: created, filled, and dropped unless it is to be kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.db import connections

from benchmarks.filling import Sessions, fill_ours_unsorted, fill_users, settle
from benchmarks.scale.bulk import TABLES, without_indexes
from benchmarks.scale.routing import choose
from rotating_sessions.services.reading import password_state
from rotating_sessions.tokens.keys import get_key_ring

__all__ = ["ADDRESS", "PASSWORD", "Site", "open_sites"]

PASSWORD = "difference-engine"  # noqa: S105 - of everybody here
# Where everybody is.
ADDRESS = "203.0.113.5"

_WORTH_KEEPING = 1_000_000
# A user has as many sessions on a small site as on a big one.
_SESSIONS_OF_A_USER = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A database with so many families; `alias` names it."""

    families: int
    alias: str

    @property
    def users(self) -> int:
        """Return how many users there are."""
        return self.families // _SESSIONS_OF_A_USER


@contextmanager
def open_sites(*, keep: bool) -> Iterator[list[Site]]:
    """
    Provide a filled database for each size.

    Args:
        keep: Take those that an earlier run has filled, and leave them to the next;
            but not small ones, where a run uses up what there is to purge.
    """
    sites = [Site(families=n, alias=f"families_{n}") for n in settings.SIZES]
    name = connections["default"].settings_dict["NAME"]
    created = []
    try:
        for site in sites:
            kept = keep and site.families >= _WORTH_KEEPING
            creation = connections[site.alias].creation
            creation.create_test_db(
                verbosity=0, autoclobber=True, serialize=False, keepdb=kept
            )
            created.append((creation, kept))
            _fill(site)
        yield sites
    finally:
        for creation, kept in created:
            creation.destroy_test_db(name, verbosity=0, keepdb=kept)


def _fill(site: Site) -> None:
    if _ask(site, "SELECT obj_description(%s::regclass)", TABLES[0]) == "filled":
        return
    began = time.monotonic()
    choose(site.alias)
    password = make_password(PASSWORD)
    fill_users(site.users, password=password, using=site.alias)
    ended = site.families // 10
    sessions = Sessions(
        ended=ended,
        live=site.families - ended,
        refreshes=1,
        users=site.users,
        days=12,
        # No divisor of the number of users: none of them lost all sessions.
        revoked=9,
        auth_hash=password_state(get_user_model()(password=password)),
        network=get_key_ring().hash_network(f"{ADDRESS}/32")[0],
    )
    with without_indexes(site.alias):
        fill_ours_unsorted(sessions, using=site.alias)
    settle(site.alias)
    _ask(site, f"COMMENT ON TABLE {TABLES[0]} IS 'filled'")
    print(f"filled {site.families:,} families in {time.monotonic() - began:.0f} s")


def _ask(site: Site, statement: str, *parameters: object) -> object:
    with connections[site.alias].cursor() as cursor:
        cursor.execute(statement, parameters or None)
        return cursor.fetchone()[0] if cursor.description else None
