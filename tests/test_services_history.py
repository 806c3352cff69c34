"""What staff ask for is read by an index, and no more of it than is asked for."""

from __future__ import annotations

import pytest
from django.utils import timezone

from rotating_sessions.exceptions import Unavailable
from rotating_sessions.models import RefreshToken, RevokedReason, SessionFamily
from rotating_sessions.services import (
    find_sessions,
    read_history,
    read_whole_history,
)
from tests.browsing import database_down
from tests.factories import RefreshTokenFactory, SessionFamilyFactory

pytestmark = pytest.mark.django_db(transaction=True)


def with_tokens(count: int, **fields: object) -> SessionFamily:
    """Return a session and the tokens of its generations."""
    family = SessionFamilyFactory.create(generation=count - 1, **fields)
    for generation in range(count):
        RefreshTokenFactory.create(family=family, generation=generation)
    return family


def replay(family: SessionFamily, generation: int) -> None:
    """Note that a token came back, as a revocation for theft does."""
    rows = RefreshToken.objects.filter(family=family, generation=generation)
    rows.update(reused_at=timezone.now())


@pytest.mark.parametrize(
    ("count", "shown", "hidden_below"),
    [(2, [1, 0], 0), (3, [2, 1, 0], 0), (4, [3, 2, 1], 1)],
)
def test_newest_tokens_are_read_up_to_a_limit(count, shown, hidden_below):
    """A history has the newest tokens, as many as asked for, and says what it hides."""
    family = with_tokens(count)
    with_tokens(5)

    history = read_history(family, limit=3)

    assert [token.generation for token in history.tokens] == shown
    assert history.hidden_below == hidden_below
    assert (history.reused, history.replaced_at) == (None, None)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("generation", [0, 2, 4])
def test_token_that_came_back_is_in_any_history(whole, generation):
    """The reused token is told of, with the moment at which it was replaced."""
    family = with_tokens(6, revoked_reason=RevokedReason.REUSED)
    replay(family, generation)
    issued = dict(RefreshToken.objects.values_list("generation", "issued_at"))

    history = read_whole_history(family) if whole else read_history(family, limit=2)

    assert history.reused is not None
    assert history.reused.generation == generation
    assert history.replaced_at == issued[generation + 1]
    assert generation in [token.generation for token in history.tokens]


@pytest.mark.parametrize("read", [read_history, read_whole_history])
def test_record_of_the_token_may_be_gone(read):
    """Where a purge took the reused token's record, the history has none."""
    family = with_tokens(3, revoked_reason=RevokedReason.REUSED)

    history = read(family)

    assert (history.reused, history.replaced_at) == (None, None)
    assert [token.generation for token in history.tokens] == [2, 1, 0]


def test_newest_token_that_came_back_was_not_replaced():
    """Of a token without a successor on record it is not said when it was replaced."""
    family = with_tokens(2, revoked_reason=RevokedReason.REUSED)
    replay(family, 1)

    history = read_history(family)

    assert history.reused is not None
    assert history.replaced_at is None


@pytest.mark.parametrize("read", [read_history, read_whole_history])
def test_failing_database_is_unavailable(read):
    """A history that cannot be read is nobody's fault but the database's."""
    family = with_tokens(2, revoked_reason=RevokedReason.REUSED)

    with database_down(), pytest.raises(Unavailable):
        read(family)


def test_users_whose_names_begin_alike_are_bounded(monkeypatch):
    """Of users whose names begin alike only so many count, so that a search ends."""
    monkeypatch.setattr("rotating_sessions.services.history._MAX_USERS", 2)
    for name in ("ann", "anna", "anne"):
        SessionFamilyFactory.create(user__username=name)

    found = find_sessions(SessionFamily.objects.all(), "ann")

    assert len(found) == 2


@pytest.mark.parametrize("term", ["9" * 40, "'; --", "\u0663", "%", "::/0", "-1"])
def test_any_term_can_be_searched_for(term):
    """Nothing that somebody types into the search is an error."""
    SessionFamilyFactory.create()

    found = list(find_sessions(SessionFamily.objects.all(), term))

    assert found == []
