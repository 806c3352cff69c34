"""Confirm who is there: `auth_time` is stamped anew, and the family stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import AllowAllUsersModelBackend, ModelBackend
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.db import connection, transaction
from django.utils import timezone

from rotating_sessions.exceptions import (
    NotAuthenticated,
    PasswordRefused,
    RefreshRequired,
    RefreshTokenReused,
    SessionEnded,
    Unavailable,
)
from rotating_sessions.models import RefreshToken, SessionFamily
from rotating_sessions.services import (
    keep_session_after_password_change,
    read_session,
    reauthenticate_session,
    reauthenticate_with_password,
)
from rotating_sessions.services.reading import find_session
from rotating_sessions.transports import COOKIE, TokenPair
from tests.acting import (
    MOMENT,
    W,
    claims_of,
    columns,
    counted,
    log_in,
    overtaken,
    present,
    reads,
    rows_of,
    use,
    writes,
)
from tests.browsing import database_down
from tests.factories import PASSWORD, UserFactory
from tests.test_canaries import break_down

pytestmark = pytest.mark.django_db(transaction=True)

HASHERS = "django.contrib.auth.hashers."
STRONGER_FIRST = [f"{HASHERS}PBKDF2PasswordHasher", f"{HASHERS}MD5PasswordHasher"]


class Meddled(ModelBackend):
    """The site's own backend, while which something else happens."""

    before: Callable[[], object] = int
    after: Callable[[], object] = int

    def authenticate(self, *args: Any, **kwargs: Any) -> Any:
        """Answer as Django does, with something before and something after it."""
        type(self).before()
        user = super().authenticate(*args, **kwargs)
        type(self).after()
        return user


class Generous(AllowAllUsersModelBackend):
    """A backend that lets inactive users in."""


class Confused(ModelBackend):
    """A backend that takes everybody for the user who came last."""

    def authenticate(self, *args: Any, **kwargs: Any) -> Any:
        """Answer with that user."""
        return get_user_model().objects.latest("pk")


@contextmanager
def meanwhile(
    settings: Any, monkeypatch: pytest.MonkeyPatch, **moments: Callable[[], object]
) -> Iterator[None]:
    """Let something happen before or after the password is checked."""
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.Meddled"]
    for name, change in moments.items():
        monkeypatch.setattr(Meddled, name, staticmethod(change))
    yield


@contextmanager
def between_reads(change: Callable[[], object]) -> Iterator[None]:
    """Change the row after it was read for the first time, and before it is locked."""
    seen: list[str] = []

    def intervene(execute: Any, sql: str, *args: Any) -> Any:
        if sql.startswith("SELECT") and "sessionfamily" in sql:
            seen.append(sql)
            if len(seen) == 2:
                change()
        return execute(sql, *args)

    with connection.execute_wrapper(intervene):
        yield


@pytest.fixture
def request_of(rf: Any) -> Callable[[TokenPair], Any]:
    """Return a maker of requests that carry the access token of a pair."""

    def make(pair: TokenPair) -> Any:
        request = rf.post("/anything/")
        request.session_family = claims_of(pair)
        return request

    return make


@pytest.fixture
def old(first: TokenPair, clock: Any) -> TokenPair:
    """Return the pair of a login that is not recent, whose access still serves."""
    clock.forward(timedelta(minutes=20))
    return first


def test_password_stamps_the_login_and_nothing_else(old, request_of, clock, user):
    """I-14: Only `auth_time` of the row changes: neither generation nor deadlines."""
    before = columns(old)

    reauthenticate_with_password(request_of(old), PASSWORD)

    assert columns(old) == before | {"auth_time": clock.now}
    assert RefreshToken.objects.count() == 1


def test_other_factors_stamp_the_login_and_nothing_else(old, request_of, clock, user):
    """What a site has verified by itself counts like a password."""
    before = columns(old)

    reauthenticate_session(request_of(old), user)

    assert columns(old) == before | {"auth_time": clock.now}
    assert RefreshToken.objects.count() == 1


def again(request: Any, user: Any, by: str) -> TokenPair:
    """Confirm who is there, by the password or by what the site has verified."""
    if by == "password":
        return reauthenticate_with_password(request, PASSWORD)
    return reauthenticate_session(request, user)


BOTH = pytest.mark.parametrize("by", ["password", "factors"])


@BOTH
def test_answer_is_access_only(old, request_of, clock, user, by):
    """I-3, I-4, I-10: The answer has no refresh token, and the generation presented."""
    presented = claims_of(old)

    pair = again(request_of(old), user, by)

    claims = claims_of(pair)
    assert pair.refresh is None
    assert pair.transport == "header"
    assert claims.generation == presented.generation == 0
    assert claims.family_id == presented.family_id
    assert claims.auth_time == clock.now.replace(microsecond=0)
    assert claims.networks == presented.networks


@BOTH
def test_session_ends_when_it_would_have_ended(old, request_of, clock, user, by):
    """A confirmation puts off neither ABSOLUTE_TIMEOUT nor IDLE_TIMEOUT."""
    deadline = columns(old)["idle_at"]

    pair = again(request_of(old), user, by)

    assert clock.now + pair.refresh_lifetime == deadline


@BOTH
def test_refreshes_go_on_as_before(old, request_of, clock, user, by):
    """The refresh token that the client holds rotates, and carries the new login."""
    again(request_of(old), user, by)
    stamped = clock.now.replace(microsecond=0)
    clock.forward(MOMENT)

    newest = present(old)

    assert newest.refresh is not None
    assert claims_of(newest).auth_time == stamped


@BOTH
def test_replaced_token_is_theft_as_before(old, request_of, clock, user, by):
    """I-8: Whoever confirms a password confirms no stolen token."""
    newest = present(old)
    use(newest)
    clock.forward(W)
    again(request_of(newest), user, by)

    with pytest.raises(RefreshTokenReused):
        present(old)


@BOTH
def test_confirmation_costs_few_statements(old, request_of, user, by):
    """A confirmation is one write, in one transaction."""
    request = request_of(old)

    with counted() as verbs:
        again(request, user, by)

    # The session and its user, the user by the backend, and the row that is locked.
    assert (reads(verbs), writes(verbs)) == ({"password": 3, "factors": 2}[by], 1)


@BOTH
def test_rest_of_the_request_sees_the_new_login(old, request_of, user, by):
    """A view that takes the password and acts at once is not refused."""
    request = request_of(old)
    read_session(request)

    again(request, user, by)

    row = read_session(request)
    assert row is not None
    assert row.auth_time == timezone.now()
    assert row.user == user


@BOTH
def test_request_without_a_session_has_nothing_to_confirm(rf, user, by):
    """Who carries no token of ours has to log in."""
    with pytest.raises(NotAuthenticated):
        again(rf.post("/anything/"), user, by)


ENDS: dict[str, Callable[[], object]] = {
    "revoked": lambda: SessionFamily.objects.update(revoked_at=timezone.now()),
    "too old": lambda: SessionFamily.objects.update(expires_at=timezone.now()),
    "idle": lambda: SessionFamily.objects.update(idle_at=timezone.now()),
    "inactive": lambda: get_user_model().objects.update(is_active=False),
    "password": lambda: get_user_model().objects.update(password="md5$s$other"),
    "user deleted": lambda: get_user_model().objects.all().delete(),
    "purged": lambda: SessionFamily.objects.all().delete(),
}


@BOTH
@pytest.mark.parametrize("state", ENDS)
def test_session_that_is_over_stays_over(old, request_of, user, by, state):
    """I-1, I-23: No confirmation revives a session, whatever has ended it."""
    request = request_of(old)
    # Deleting a user takes the key off the object that was deleted.
    ENDS[state]()
    before = list(SessionFamily.objects.values())

    with pytest.raises(SessionEnded):
        again(request, user, by)

    assert list(SessionFamily.objects.values()) == before


@pytest.mark.parametrize("state", ["revoked", "too old", "idle", "purged"])
def test_session_that_ends_while_the_password_is_checked_is_over(
    old, request_of, settings, monkeypatch, state
):
    """I-1: A revocation that comes while a slow hash is made is not overlooked."""
    request = request_of(old)

    with (
        meanwhile(settings, monkeypatch, after=ENDS[state]),
        pytest.raises(SessionEnded),
    ):
        reauthenticate_with_password(request, PASSWORD)

    assert not SessionFamily.objects.filter(auth_time=timezone.now()).exists()


@BOTH
def test_session_that_ends_at_the_last_moment_is_over(old, request_of, user, by):
    """I-1: The write itself spares a revoked row, where no lock has kept it."""
    with overtaken(ENDS["revoked"]), pytest.raises(SessionEnded):
        again(request_of(old), user, by)

    assert columns(old)["auth_time"] < timezone.now()


def test_session_purged_before_it_is_locked_is_over(old, request_of, user):
    """A row that is gone between two reads is a session that is gone."""
    with between_reads(ENDS["purged"]), pytest.raises(SessionEnded):
        reauthenticate_session(request_of(old), user)


def test_user_deactivated_before_the_row_is_locked_is_out(
    old, request_of, user, monkeypatch
):
    """A session that was stamped anew for a user who is now inactive is over."""
    user.set_password("another one")
    user.is_active = False

    def change() -> None:
        user.save()
        rows_of(old).update(auth_hash="of another password")

    with between_reads(change), pytest.raises(SessionEnded):
        reauthenticate_session(request_of(old), user)


def test_wrong_password_is_refused_and_announced(old, request_of, user):
    """A wrong password is 403, ends nothing, and is a failed login to the site."""
    before, failed = columns(old), []

    def note(credentials: Any, **kwargs: Any) -> None:
        failed.append(credentials["username"])

    user_login_failed.connect(note)
    with pytest.raises(PasswordRefused) as refused:
        reauthenticate_with_password(request_of(old), "wrong")
    user_login_failed.disconnect(note)

    assert refused.value.status == 403
    assert failed == [user.username]
    assert columns(old) == before


def test_confirmation_is_no_login_to_the_site(old, request_of, user):
    """`user_logged_in` is not sent: a receiver of it would count a new session."""
    user_logged_in.connect(break_down)

    reauthenticate_with_password(request_of(old), PASSWORD)

    user_logged_in.disconnect(break_down)
    user.refresh_from_db()
    assert user.last_login is None


def test_factors_of_another_user_are_refused(old, request_of):
    """Whoever proves to be somebody else confirms nothing about this session."""
    before = columns(old)

    with pytest.raises(PasswordRefused):
        reauthenticate_session(request_of(old), UserFactory.create())

    assert columns(old) == before


def test_backend_that_finds_another_user_is_refused(old, request_of, settings):
    """The user that `authenticate` returns has to be the session's."""
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.Confused"]
    UserFactory.create()

    with pytest.raises(PasswordRefused):
        reauthenticate_with_password(request_of(old), PASSWORD)


def test_inactive_user_is_out_whatever_the_backend_says(
    old, request_of, settings, monkeypatch
):
    """A backend that lets inactive users in lets none of them confirm."""
    request = request_of(old)
    read_session(request)
    ENDS["inactive"]()
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.Generous"]

    with pytest.raises(SessionEnded):
        reauthenticate_with_password(request, PASSWORD)


def test_stronger_hash_does_not_end_the_session(old, request_of, user, settings):
    """I-23: A hash upgraded by the confirmation is stamped with it, in one commit."""
    settings.PASSWORD_HASHERS = STRONGER_FIRST
    states = []

    def watch(execute: Any, sql: str, *args: Any) -> Any:
        if sql.startswith(("SELECT", "UPDATE")):
            states.append(connection.in_atomic_block)
        return execute(sql, *args)

    request = request_of(old)
    read_session(request)
    with connection.execute_wrapper(watch):
        pair = reauthenticate_with_password(request, PASSWORD)

    user.refresh_from_db()
    assert user.password.startswith("pbkdf2_")
    # Never is there the one without the other for anybody to see.
    assert all(states)
    assert find_session(claims_of(pair)) is not None
    assert present(old).refresh is not None


def test_stronger_hash_of_another_confirmation_is_waited_for(
    old, request_of, user, settings
):
    """I-2: Of two who find a weak hash, the second finds the stronger one."""
    settings.PASSWORD_HASHERS = STRONGER_FIRST
    late = request_of(old)
    read_session(late)
    reauthenticate_with_password(request_of(old), PASSWORD)
    user.refresh_from_db()
    stored = user.password

    pair = reauthenticate_with_password(late, PASSWORD)

    user.refresh_from_db()
    assert user.password == stored
    assert find_session(claims_of(pair)) is not None


def test_no_stronger_hash_is_kept_without_its_stamp(
    old, request_of, user, settings, clock
):
    """I-23: Where the session is to refresh first, it does so by the hash it knows."""
    settings.PASSWORD_HASHERS = STRONGER_FIRST
    newest = present(old)
    clock.forward(W)

    with pytest.raises(RefreshRequired):
        reauthenticate_with_password(request_of(old), PASSWORD)

    user.refresh_from_db()
    assert user.password.startswith("md5$")
    assert present(newest).refresh is not None


def test_wrong_password_of_a_weak_hash_is_noted_for_good(
    old, request_of, user, settings
):
    """What a receiver of `user_login_failed` writes is kept, in a transaction, too."""
    settings.PASSWORD_HASHERS = STRONGER_FIRST

    def note(**kwargs: Any) -> None:
        get_user_model().objects.update(last_name="locked")

    user_login_failed.connect(note)
    with pytest.raises(PasswordRefused):
        reauthenticate_with_password(request_of(old), "wrong")
    user_login_failed.disconnect(note)

    user.refresh_from_db()
    assert user.last_name == "locked"


def test_session_that_ends_before_a_weak_hash_is_checked_is_over(
    old, request_of, settings
):
    """I-1: What ends between the first read and the lock has ended."""
    settings.PASSWORD_HASHERS = STRONGER_FIRST
    request = request_of(old)
    read_session(request)
    ENDS["revoked"]()

    with pytest.raises(SessionEnded):
        reauthenticate_with_password(request, PASSWORD)


def test_strong_hash_is_checked_outside_a_transaction(
    old, request_of, settings, monkeypatch
):
    """A slow hash, or a slow backend, keeps no transaction open."""
    states: list[bool] = []

    def watch() -> None:
        states.append(connection.in_atomic_block)

    with meanwhile(settings, monkeypatch, before=watch):
        reauthenticate_with_password(request_of(old), PASSWORD)

    assert states == [False]


def test_user_without_a_hash_may_have_a_backend_of_their_own(
    old, request_of, user, settings
):
    """Where the password is none of Django's, the backend decides."""
    user.set_unusable_password()
    user.save()
    keep_session_after_password_change(request_of(old), user)
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.Confused"]

    reauthenticate_with_password(request_of(old), "whatever the directory says")

    assert columns(old)["auth_time"] == timezone.now()


@pytest.mark.parametrize("hashers", [[f"{HASHERS}MD5PasswordHasher"], STRONGER_FIRST])
def test_password_changed_meanwhile_is_no_stronger_hash(  # noqa: PLR0917
    old, request_of, user, settings, monkeypatch, hashers
):
    """I-23: A session that a new password ends is not kept by knowing the new one."""
    settings.PASSWORD_HASHERS = hashers
    request = request_of(old)
    before = columns(old)

    def change() -> None:
        user.set_password("another one")
        user.save()

    with (
        meanwhile(settings, monkeypatch, before=change),
        pytest.raises(SessionEnded),
    ):
        reauthenticate_with_password(request, "another one")

    assert columns(old) == before


def test_session_kept_at_a_password_change_is_kept_and_not_confirmed(
    old, request_of, user, settings, monkeypatch
):
    """A password that was replaced while it was checked confirms nothing any more."""
    request = request_of(old)

    def change() -> None:
        user.set_password("another one")
        user.save()
        keep_session_after_password_change(request, user)

    with (
        meanwhile(settings, monkeypatch, after=change),
        pytest.raises(PasswordRefused),
    ):
        reauthenticate_with_password(request, PASSWORD)

    assert find_session(claims_of(old)) is not None
    assert columns(old)["auth_time"] < timezone.now()


@BOTH
def test_predecessor_confirms_inside_the_grace_period_only(
    old, request_of, clock, user, by
):
    """I-8, I-9: A replaced generation has access as long as a refresh gives it some."""
    newest = present(old)
    clock.forward(W - timedelta(microseconds=1))

    pair = again(request_of(old), user, by)

    assert claims_of(pair).generation == 0
    clock.forward(timedelta(microseconds=1))
    with pytest.raises(RefreshRequired):
        again(request_of(old), user, by)
    assert claims_of(again(request_of(newest), user, by)).generation == 1


@BOTH
def test_confirmation_gives_no_orphan_away_nor_access(old, request_of, clock, user, by):
    """I-11: The access token of a displaced generation is sent to refresh."""
    present(old)
    orphan = request_of(present(old))
    clock.forward(W)
    lost = present(old)
    orphan.session_family = claims_of(lost)
    clock.forward(W)
    present(old)

    with pytest.raises(RefreshRequired):
        again(orphan, user, by)


@BOTH
def test_database_failure_is_unavailable(old, request_of, user, by):
    """A database that fails is 503, and the session is as it was, I-6."""
    request = request_of(old)

    with database_down(), pytest.raises(Unavailable):
        again(request, user, by)

    assert columns(old)["auth_time"] < timezone.now()


def test_failure_while_the_password_is_checked_is_unavailable(old, request_of):
    """A user who cannot be read has no wrong password."""
    request = request_of(old)
    read_session(request)

    with database_down("auth_user"), pytest.raises(Unavailable):
        reauthenticate_with_password(request, PASSWORD)


@BOTH
def test_confirmation_may_be_part_of_a_transaction(old, request_of, user, by):
    """A view under ATOMIC_REQUESTS confirms, and undoes it with what else it does."""
    before = columns(old)

    with transaction.atomic():
        again(request_of(old), user, by)
        transaction.set_rollback(True)

    assert columns(old) == before


def test_refresh_that_reads_before_a_stronger_hash_is_honest(old, user, rf, settings):
    """I-2, I-7: A refresh beside a confirmation is decided on the row as it then is."""
    settings.PASSWORD_HASHERS = STRONGER_FIRST
    request = rf.post("/anything/")
    request.session_family = claims_of(old)

    with overtaken(lambda: reauthenticate_with_password(request, PASSWORD)):
        newest = present(old)

    assert newest.refresh is not None
    assert find_session(claims_of(newest)) is not None


@BOTH
def test_only_the_session_that_asks_is_confirmed(old, rf, request_of, user, by):
    """The user's other sessions have logins of their own."""
    other = log_in(rf, user, transport=COOKIE)
    rows_of(other).update(auth_time=timezone.now() - MOMENT)
    before = columns(other)

    again(request_of(old), user, by)

    assert columns(other) == before


def test_row_of_the_request_passes_the_check(old, request_of, user, monkeypatch):
    """What was just confirmed is recent, by the same request already."""
    request = request_of(old)
    reauthenticate_with_password(request, PASSWORD)

    row = read_session(request)

    assert row is not None
    assert timezone.now() - row.auth_time < timedelta(minutes=15)
