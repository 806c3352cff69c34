"""The first use of an access token: confirmed, harmless, ended or theft."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import OperationalError, connection, transaction

from rotating_sessions.exceptions import (
    RefreshTokenReused,
    SessionEnded,
    Unavailable,
)
from rotating_sessions.models import RefreshToken
from rotating_sessions.services import check_not_revoked
from rotating_sessions.signals import refresh_token_reused, session_revoked
from tests.acting import (
    MOMENT,
    START,
    W,
    claims_of,
    client_at,
    columns,
    counted,
    heard,
    present,
    rows_of,
    use,
)
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("displaced", [0, 1, 3])
def test_first_use_confirms_the_newest_generation(first, clock, displaced):
    """I-13: An access token of the newest generation confirms it and its losses end."""
    newest = present(first)
    rows_of(first).update(displaced=displaced)
    before = columns(first)
    clock.forward(MOMENT)

    use(newest)

    assert columns(first) == before | {"confirmed_at": clock.now, "displaced": 0}


def test_access_token_of_the_login_confirms_the_login(first, clock):
    """The first generation is confirmed as any other."""
    use(first)

    assert columns(first)["confirmed_at"] == clock.now


def test_second_use_changes_nothing(first, clock):
    """TH-10: A confirmation keeps its first moment."""
    use(first)
    before = columns(first)
    clock.forward(MOMENT)

    use(first)

    assert columns(first) == before


@pytest.mark.parametrize("generations", [1, 2])
def test_use_of_an_older_generation_is_harmless(first, clock, generations):
    """I-10: An access token of the predecessor or before has its time, and no say."""
    newest = first
    for _ in range(generations):
        newest = present(newest)
        clock.forward(W)
    before = columns(first)

    use(first)

    assert columns(first) == before


def test_use_beside_an_orphan_ends_the_session(first, clock):
    """RT-07, I-11: An access token beside a displaced one is in wrong hands."""
    orphan = present(first)
    clock.forward(W)
    present(first)

    with pytest.raises(RefreshTokenReused):
        use(orphan, client_at("192.0.2.66"))

    row = columns(first)
    assert (row["revoked_at"], row["revoked_reason"]) == (clock.now, "reused")
    marks = RefreshToken.objects.order_by("generation")
    assert list(marks.values_list("reused_at", "reused_ip_address")) == [
        (None, None),
        (clock.now, "192.0.2.66"),
        (None, None),
    ]


def test_former_orphan_is_harmless_once_the_family_went_on(first, clock):
    """I-11: An orphan's access token tells of theft only while it is an orphan."""
    orphan = present(first)
    clock.forward(W)
    newest = present(first)
    clock.forward(W)
    present(newest)
    before = columns(first)

    use(orphan)

    assert columns(first) == before


@pytest.mark.django_db(transaction=True)
def test_orphan_in_use_is_announced_as_theft(first, clock):
    """LG-05: A theft exposed by an access token tells which generation came back."""
    orphan = present(first)
    clock.forward(W)
    present(first)

    with (
        heard(session_revoked, refresh_token_reused) as events,
        pytest.raises(RefreshTokenReused),
    ):
        use(orphan)

    family = rows_of(first).get()
    who = {"family_id": family.pk, "user_pk": family.user_pk}
    assert events == [who | {"reason": "reused"}, who | {"generation": 1}]


def test_revoked_session_is_not_confirmed(first, clock):
    """I-1: An access token of a revoked session is refused, and changes nothing."""
    newest = present(first)
    rows_of(first).update(revoked_at=clock.now, revoked_reason="staff")
    before = columns(first)

    with pytest.raises(SessionEnded):
        use(newest)

    assert columns(first) == before


def test_purged_session_is_over(first):
    """An access token of a session that is gone is refused."""
    rows_of(first).delete()

    with pytest.raises(SessionEnded):
        use(first)


def test_session_of_another_user_is_over(first):
    """An access token of a row that now belongs to another user is refused."""
    use(first)
    other = UserFactory.create()
    rows_of(first).update(user=other, user_pk=str(other.pk))

    with pytest.raises(SessionEnded):
        use(first)


def test_confirmation_beats_the_re_rotation_that_comes_later(first, clock):
    """I-12: Once a generation is confirmed it is not displaced any more."""
    newest = present(first)
    clock.forward(W)
    use(newest)

    with pytest.raises(RefreshTokenReused):
        present(first)

    assert columns(first)["generation"] == 1


def test_re_rotation_beats_the_confirmation_that_comes_later(first, clock):
    """I-12: Once a generation is displaced it is not confirmed any more."""
    displaced = present(first)
    clock.forward(W)
    present(first)

    with pytest.raises(RefreshTokenReused):
        use(displaced)

    assert columns(first)["confirmed_at"] is None


def test_confirmation_is_one_statement(first):
    """TH-10: The first use of a session costs one UPDATE."""
    with counted() as verbs:
        use(first)

    assert verbs == {"UPDATE": 1}


@pytest.mark.django_db(transaction=True)
def test_confirmation_refuses_to_run_inside_a_transaction(first):
    """A confirmation that a view could roll back is never made."""
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        use(first)

    assert columns(first)["confirmed_at"] is None


@pytest.mark.django_db(transaction=True)
def test_theft_found_by_use_is_committed(first, clock):
    """I-1: The revocation is committed before the refusal is raised."""
    orphan = present(first)
    clock.forward(timedelta(minutes=2))
    present(first)

    with pytest.raises(RefreshTokenReused):
        use(orphan)
    connection.close()

    assert columns(first)["revoked_reason"] == "reused"


def test_row_that_is_looked_at_is_one_select(first):
    """Whether a family is revoked is told by its primary key, and costs one read."""
    with counted() as verbs:
        check_not_revoked(claims_of(first))

    assert verbs == {"SELECT": 1}


@pytest.mark.parametrize(
    "change", [{"revoked_at": START}, {"user_pk": "4711"}], ids=["revoked", "another's"]
)
def test_row_that_does_not_serve_is_the_end(first, change):
    """I-1: A row that is revoked, or of another user, ends the session."""
    rows_of(first).update(**change)

    with pytest.raises(SessionEnded):
        check_not_revoked(claims_of(first))


def test_row_that_cannot_be_read_is_unavailable(first):
    """RV-07: Where the database fails, a row in doubt is refused and not ended."""
    claims = claims_of(first)

    def broken(*args: object) -> None:
        raise OperationalError("The server went away.")

    with connection.execute_wrapper(broken), pytest.raises(Unavailable):
        check_not_revoked(claims)
