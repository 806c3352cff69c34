"""
The invariants of tests/test_invariants.py, each a function that looks and asserts.

SHOWN are asked of every refresh token shown, from the history of its family alone, and
WATCHED of the whole database after every step.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from hashlib import sha256
from itertools import pairwise

from tests.acting import W
from tests.machine.oracle import Answer
from tests.machine.sights import Shown, Watch

__all__ = ["SHOWN", "WATCHED"]

ACCESS_LIFETIME = timedelta(minutes=30)
SECOND = timedelta(seconds=1)


def revoked_family_yields_nothing(shown: Shown) -> None:
    """I-1: No token ever comes out of a family that was revoked."""
    assert not shown.life.ended or shown.access is None


def proven_successor_bars_its_predecessors(shown: Shown) -> None:
    """I-8, I-9: Once a newer token was used, an older one gets no full answer."""
    newer = [number for number in shown.proven if number > shown.token.generation]
    assert not newer or shown.answer is not Answer.FULL
    assert not newer or shown.access is None or shown.book.is_in_grace(shown.now)


def access_only_proves_what_was_shown(shown: Shown) -> None:
    """I-10: An access token carries the generation of the refresh token beside it."""
    beside = shown.new or shown.token
    assert shown.access is None or shown.access.generation == beside.generation


def orphan_yields_nothing(shown: Shown) -> None:
    """I-11: A token that was displaced gets no answer but the end."""
    orphan = shown.book.displaces(shown.token.generation)
    assert not orphan or shown.answer in {Answer.ENDED, Answer.INVALID}


def generations_grow(shown: Shown) -> None:
    """I-15: A new token is the newest: of those issued, none is as new."""
    if shown.new is not None:
        newest = max(shown.book.newest.generation, shown.token.generation)
        assert shown.new.generation == newest + 1


def rotations_are_apart(shown: Shown) -> None:
    """I-14: A family hands out its refresh tokens at least W apart."""
    moments = shown.life.rotations
    assert all(after - before >= W for before, after in pairwise(moments))


def removed_key_opens_nothing(shown: Shown) -> None:
    """I-22, I-23: Neither does a removed key yield a token, nor a user who may not."""
    owner = shown.life.owner
    may = owner.exists and owner.active
    same = shown.book.stamp.password == owner.password
    assert shown.access is None or (shown.key_in_force and may and same)


def access_token_ends_with_its_session(shown: Shown) -> None:
    """An access token lives for half an hour, and no longer than its session."""
    if shown.access is not None:
        limit = min(shown.now + ACCESS_LIFETIME, shown.life.deadline)
        assert limit - SECOND <= shown.access.expires_at <= limit


SHOWN = (
    revoked_family_yields_nothing,
    proven_successor_bars_its_predecessors,
    access_only_proves_what_was_shown,
    orphan_yields_nothing,
    generations_grow,
    rotations_are_apart,
    removed_key_opens_nothing,
    access_token_ends_with_its_session,
)


def families_end_when_they_have_to(watch: Watch) -> None:
    """I-1, I-7, I-11, I-16, I-23: Who has to end has ended, and nobody else."""
    for life, row in watch.open():
        assert row["revoked_reason"] == life.ended, life
        assert (row["revoked_at"] is not None) == bool(life.ended), life


def honest_clients_stay(watch: Watch) -> None:
    """I-7: No family is revoked of which nothing bad, and no wish, is known."""
    for life, row in watch.open():
        assert row["revoked_at"] is None or life.excuses, life


def revocation_is_final(watch: Watch) -> None:
    """I-1: A row that is revoked never changes again."""
    for key, row in watch.before.items():
        if row["revoked_at"] is not None and key in watch.after:
            assert watch.after[key] | {"user_id": 0} == row | {"user_id": 0}


def only_the_purged_are_gone(watch: Watch) -> None:
    """No row is gone but of families that a purge may take."""
    gone = [life for key, life in watch.lives.items() if key not in watch.after]
    assert all(life.purged for life in gone)


def refresh_tokens_are_handed_out_once(watch: Watch) -> None:
    """I-3: No refresh token is in two answers."""
    assert not watch.issued or max(Counter(watch.issued).values()) == 1


def rows_tell_what_happened(watch: Watch) -> None:
    """I-10, I-13: Confirmed is what was used; at most three are lost in a row."""
    for life, row in watch.open():
        book = life.book
        assert row["generation"] == book.newest.generation, life
        assert row["rotated_at"] == book.rotated_at, life
        assert (row["confirmed_at"] is not None) == book.confirmed, life
        assert row["displaced"] == book.lost <= 3, life
        assert len(row["networks"].split()) == len(book.networks) <= 4, life
        assert row["current_digest"] == sha256(book.newest.value.encode()).digest()


def data_goes_with_its_visitor(watch: Watch) -> None:
    """I-2: What the site keeps is where it was put, or in the login it was taken to."""
    for life, row in watch.open():
        assert row["data"] == life.data, life


def generation_never_falls(watch: Watch) -> None:
    """I-15: No family goes back, unless its database did."""
    for key, row in watch.before.items():
        if key in watch.after:
            assert watch.after[key]["generation"] >= row["generation"]


def refusal_for_the_network_writes_nothing(watch: Watch) -> None:
    """I-22, I-24: A removed key, and a request from elsewhere, change no row."""
    assert not watch.quiet or watch.after == watch.before


def ledger_has_each_token_once(watch: Watch) -> None:
    """The ledger names each generation once, the newest of each family among them."""
    named = Counter((row["family_id"], row["generation"]) for row in watch.ledger)
    assert not named or max(named.values()) == 1
    for _life, row in watch.open():
        assert named[(row["id"], row["generation"])] == 1


def secrets_stay_secret(watch: Watch) -> None:
    """I-21: No column of text, log or repr holds a token, or what proves one."""
    rows = [*watch.after.values(), *watch.ledger]
    columns = [value for row in rows for value in row.values() if type(value) is str]
    text = "\n".join([*columns, *watch.said])
    digests = [sha256(value.encode()).hexdigest() for value in watch.issued]
    for secret in (*watch.issued, *watch.accesses, *digests):
        assert secret not in text


WATCHED = (
    families_end_when_they_have_to,
    honest_clients_stay,
    revocation_is_final,
    only_the_purged_are_gone,
    refresh_tokens_are_handed_out_once,
    rows_tell_what_happened,
    data_goes_with_its_visitor,
    generation_never_falls,
    refusal_for_the_network_writes_nothing,
    ledger_has_each_token_once,
    secrets_stay_secret,
)
