"""Attacks that have to fail, and accidents that have to do no harm."""

from __future__ import annotations

import io
import os
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.signals import user_login_failed
from django.core.management import CommandError, call_command
from django.test.utils import override_settings
from django.utils import timezone

from rotating_sessions import revocations
from rotating_sessions.exceptions import SessionEnded
from rotating_sessions.models import RevokedReason, SessionFamily
from rotating_sessions.services import refresh_session
from rotating_sessions.services.reading import password_state
from rotating_sessions.tokens.access import AccessClaims, encode_access
from rotating_sessions.tokens.keys import get_key_ring
from rotating_sessions.tokens.refresh import encode_refresh
from tests.acting import client_at, log_in, overtaken
from tests.browsing import HOME, bearer, refusal, rows
from tests.factories import PASSWORD, SessionFamilyFactory, UserFactory
from tests.models import Colleague

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 4, 8, 11, 20, 5, tzinfo=UTC)
STRONGER_FIRST = ["PBKDF2PasswordHasher", "MD5PasswordHasher"]
TOSSED = "\u2000__Host-rs_refresh=evil".encode().decode("latin-1")


def test_clock_that_jumps_ahead_and_back_revives_nothing():
    """RT-14: What a poll forgot while the clock was ahead, it knows again once back."""
    family = SessionFamilyFactory.create(now=NOW, revoked_at=NOW)
    for moment in (NOW, NOW + timedelta(hours=2)):
        revocations.poll(moment)

    revocations.poll(NOW + timedelta(minutes=6))

    assert revocations.is_revoked(family.pk)


def forge(family_id: UUID, user_pk: str, secret: bytes, generation: int = 0):
    """Return a refresh and an access token, made with the keys now in the settings."""
    now = timezone.now()
    refresh = encode_refresh(
        family_id=family_id,
        generation=generation,
        user_pk=user_pk,
        secret=secret,
        issued_at=now,
    )
    claims = AccessClaims(
        family_id=family_id,
        generation=generation,
        user_pk=user_pk,
        issued_at=now,
        expires_at=now + timedelta(minutes=5),
        auth_time=now,
        networks=get_key_ring().hash_network(f"{HOME}/32"),
    )
    return refresh, encode_access(claims)


def answers(api, refresh, access):
    used = api.get("/plain/", **bearer(access))
    return refusal(api.send("/auth/refresh/", {"refresh": refresh})), refusal(used)


def test_database_without_the_key_is_good_for_no_token(api, user):
    """KM-06: With every column of the database in hand no key can be guessed."""
    api.log_in(user)
    family = SessionFamily.objects.get()
    columns = [value for row in rows() for value in row.values() if value]
    roots = {
        value.hex() if isinstance(value, bytes) else str(value)
        for value in (bytes(v) if isinstance(v, memoryview) else v for v in columns)
    }
    before = rows()

    outcomes = set()
    for root in roots:
        with override_settings(ROTATING_SESSIONS={"SIGNING_KEYS": [root]}):
            forged = forge(family.pk, family.user_pk, bytes(family.secret))
        outcomes.add(answers(api, *forged))

    assert len(roots) > 12
    assert outcomes == {((401, "invalid_token"), (401, "invalid_token"))}
    assert rows() == before


def test_key_without_the_database_is_good_for_no_token(api, user):
    """KM-06: Whoever has the key and no row is refused, by the MAC or at first use."""
    api.log_in(user)
    key = SessionFamily.objects.get().pk
    before = rows()

    known, _access = forge(key, str(user.pk), os.urandom(32))
    invented = forge(uuid4(), str(user.pk), os.urandom(32))
    refused = refusal(api.send("/auth/refresh/", {"refresh": known}))

    assert refused == (401, "invalid_token")
    assert answers(api, *invented) == ((401, "invalid_token"), (401, "session_ended"))
    assert rows() == before


def test_user_deleted_under_another_name_is_out():
    """AC-04: Deleting a user through a proxy model revokes the user's sessions."""
    family = SessionFamilyFactory.create()

    Colleague.objects.get(pk=family.user.pk).delete()

    family.refresh_from_db()
    assert (family.user_id, family.revoked_reason) == (None, "user_deleted")


def test_password_that_changes_during_a_refresh_revokes_nothing_by_guess(rf, user):
    """I-23: Row and user of two moments are no verdict: both are read anew."""
    pair = log_in(rf, user)
    families = SessionFamily.objects.all()

    def change_password() -> None:
        user.set_password("another")
        user.save()
        families.update(auth_hash=password_state(user))

    with overtaken(change_password):
        answer = refresh_session(pair.refresh, client=client_at(), transport="header")

    assert answer.refresh is not None
    assert families.get().revoked_at is None


def test_password_that_is_not_the_rows_ends_the_session_at_a_second_look(rf, user):
    """I-23: Row and user, read anew as of one moment, contradict: that is a verdict."""
    pair = log_in(rf, user)
    families = SessionFamily.objects.all()

    with (
        overtaken(lambda: families.update(auth_hash="of-another")),
        pytest.raises(SessionEnded),
    ):
        refresh_session(pair.refresh, client=client_at(), transport="header")

    assert families.get().revoked_reason == RevokedReason.PASSWORD_CHANGED


def test_shorter_idle_timeout_does_not_end_the_newest_login(rf, user, settings):
    """AC-07: The limit counts by last activity, not by deadlines of older settings."""
    settings.ROTATING_SESSIONS = {"SESSION_LIMIT": 1}
    log_in(rf, user)
    settings.ROTATING_SESSIONS = {
        "SESSION_LIMIT": 1,
        "IDLE_TIMEOUT": timedelta(days=7),
    }

    log_in(rf, user)

    live = SessionFamily.objects.filter(revoked_at=None)
    assert live.get() == SessionFamily.objects.latest("created_at")


def test_confirming_the_password_keeps_the_session_that_does_it(api):
    """AC-03: A stronger hash is not stored by the way: it would be a new password."""
    tokens = api.log_in(UserFactory.create())
    hashers = [f"django.contrib.auth.hashers.{name}" for name in STRONGER_FIRST]
    body = {"password": PASSWORD, "keep_current": True}

    with override_settings(PASSWORD_HASHERS=hashers):
        done = api.send("/auth/logout-everywhere/", body, **bearer(tokens["access"]))

    assert done.status_code == 200
    refreshed = api.send("/auth/refresh/", {"refresh": tokens["refresh"]})
    assert refreshed.status_code == 200


@pytest.mark.parametrize(
    "spelling",
    [
        *("jon1 ", "JON1", "jön1", "  \uff2aon1", "jøn1", "jon\u0661", "jon\u2460"),
        # Nothing to see, and nothing to compare.
        *("jon\u200b1", "j\u00adon1", "jon\x011", "jon1\u0640", "jon1\u1cf2"),
    ],
)
def test_spellings_of_a_name_are_counted_together(api, settings, spelling):
    """TH-03: What a database may take for the same name is throttled as that name."""
    settings.ROTATING_SESSIONS = {"LOGIN_RATE": "1/min"}
    api.send("/auth/login/", {"username": "jon1", "password": "wrong"})

    response = api.send("/auth/login/", {"username": spelling, "password": "wrong"})

    assert response.status_code == 429


@pytest.mark.parametrize(
    "spellings",
    [
        # MariaDB's utf8mb4_general_ci, then Unicode's order in its versions.
        ["je\u00df1", "jes\u00df1", "\u1e9eame1"],
        ["d\u0131di", "did\u0131", "d\u0131d\u0131"],
        ["jess\u3021", "jess\u17f1", "jess\u09f4", "jess\u0f2a"],
        ["j\u0364ss1", "\u01f3j\u0364ss1", "j\U0001f174ss1", "\U0001f195man"],
        ["mich\u00e6l", "mi\u0368hael", "MICH\u00c6L", "micha\u02aal"],
    ],
)
def test_spellings_beyond_telling_are_counted_as_one(api, settings, spellings):
    """TH-03: Letters of which only a collation knows what they are buy one rate."""
    settings.ROTATING_SESSIONS = {"LOGIN_RATE": "1/min"}

    statuses = [
        api.send("/auth/login/", {"username": name, "password": "wrong"}).status_code
        for name in spellings
    ]

    assert statuses == [401] + [429] * (len(spellings) - 1)


@pytest.mark.parametrize(
    "name", ["\u0430\u043d\u043d\u0430", "\u5f20\u4f1f", "\u0142ukasz"]
)
def test_names_of_other_scripts_are_counted_by_themselves(api, settings, name):
    """TH-03: Whoever's name is not spelled like an ASCII one shares no rate."""
    settings.ROTATING_SESSIONS = {"LOGIN_RATE": "1/min"}
    for other in ("je\u00df1", "anna", "\u738b\u4f1f"):
        api.send("/auth/login/", {"username": other, "password": "wrong"})

    response = api.send("/auth/login/", {"username": name, "password": "wrong"})

    assert response.status_code == 401


@pytest.mark.parametrize("path", ["/auth/refresh/", "/auth/logout/"])
def test_tossed_cookie_does_not_make_the_browser_forget_its_own(api, path):
    """CK-08: A sibling site's form with a cookie it planted fails the CSRF check."""
    response = api.send(path, HTTP_COOKIE=TOSSED)

    assert (response.status_code, response.json()["code"]) == (403, "csrf_failed")
    assert not response.cookies


@pytest.mark.parametrize("path", ["/auth/login/", "/auth/refresh/", "/auth/logout/"])
def test_body_of_unknown_length_is_not_taken_for_none(api, path):
    """What WSGI cannot read is a malformed request, not one without a token."""
    response = api.generic("POST", path, HTTP_TRANSFER_ENCODING="chunked")

    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "lookup", ["secret__gt", "auth_hash__startswith", "refresh_tokens__digest__gt"]
)
def test_staff_cannot_guess_hidden_fields_by_filters(client, lookup):
    """AD-01: The admin refuses to filter by what it does not show."""
    client.force_login(UserFactory.create(is_staff=True, is_superuser=True))

    response = client.get("/admin/rotating_sessions/sessionfamily/", {lookup: "AA"})

    assert response.status_code == 400


def test_inactive_user_that_a_backend_lets_through_is_a_failed_login(api, settings):
    """AD-04: `user_login_failed` is sent, and the answer is a wrong password's."""
    lenient = "django.contrib.auth.backends.AllowAllUsersModelBackend"
    settings.AUTHENTICATION_BACKENDS = [lenient]
    user = UserFactory.create(is_active=False)
    failed = []

    def note(credentials, **kwargs):
        failed.append(credentials)

    user_login_failed.connect(note)
    body = {"username": user.username, "password": PASSWORD}
    response = api.send("/auth/login/", body)
    user_login_failed.disconnect(note)

    assert (response.status_code, response.json()["code"]) == (
        401,
        "invalid_credentials",
    )
    assert failed == [{"username": user.username}]


def test_nobody_to_ask_means_no(monkeypatch, capsys):
    """AD-09: Without an input to answer from, `--all` ends nobody's session."""
    family = SessionFamilyFactory.create()
    monkeypatch.setattr("sys.stdin", io.StringIO())

    with pytest.raises(CommandError, match="Nothing was revoked"):
        call_command("rotating_sessions_revoke", "--all")

    family.refresh_from_db()
    assert family.revoked_at is None


@pytest.mark.parametrize("pause", ["-1", "nan", "soon"])
def test_pause_that_is_none_is_refused_before_anything_is_deleted(pause):
    """AD-09: `--sleep` takes seconds, and a purge does not begin without them."""
    with pytest.raises(CommandError, match="--sleep"):
        call_command("rotating_sessions_purge", f"--sleep={pause}")
