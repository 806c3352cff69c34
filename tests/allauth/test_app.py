"""The app client: what allauth logs in starts, and ends, a session of ours."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import override_settings

from rotating_sessions.models import RevokedReason, SessionFamily
from rotating_sessions.services import start_anonymous_session
from rotating_sessions.signals import refresh_token_reused
from tests.acting import W, heard
from tests.allauth.acting import APP, App, mailed_code, set_up_totp, totp
from tests.allauth.passkeys import Passkey
from tests.browsing import ACCESS, HOME, REFRESH, Api, bearer, database_down, refusal
from tests.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db(transaction=True)


def family():
    return SessionFamily.objects.get()


def test_a_mailed_code_starts_a_session(app, user, address):
    """Who types the code from the mail gets a pair of tokens, and is logged in."""
    asked = app.post("auth/code/request", {"email": address})
    pending = app.session_token
    answer = app.post("auth/code/confirm", {"code": mailed_code()})

    assert (asked.status_code, answer.status_code) == (401, 200)
    assert pending
    assert not SessionFamily.objects.exclude(user=user, transport="header").exists()
    assert answer.json()["meta"]["expires_in"] == 1800
    assert app.whoami().json()["user"] == user.get_username()


def test_a_session_starts_once_every_factor_has_passed(app, user):
    """With TOTP the password alone starts no session: the code does."""
    secret = set_up_totp(user)

    first = app.post(
        "auth/login", {"username": user.get_username(), "password": PASSWORD}
    )
    between = SessionFamily.objects.count()
    second = app.post("auth/2fa/authenticate", {"code": totp(secret)})

    assert (first.status_code, between, second.status_code) == (401, 0, 200)
    assert "access_token" not in first.json()["meta"]
    assert app.whoami().json()["user"] == user.get_username()


def test_a_login_takes_a_visitors_data_over(app, rf, user):
    """A visitor's access token beside allauth's own gets in the way of no step."""
    secret = set_up_totp(user)
    visit = start_anonymous_session(
        rf.get("/", REMOTE_ADDR=HOME), transport="header", data={"basket": ["tea"]}
    )
    app.access = visit.access

    app.post("auth/login", {"username": user.get_username(), "password": PASSWORD})
    between = app.session_token, SessionFamily.objects.count()
    second = app.post("auth/2fa/authenticate", {"code": totp(secret)})

    assert (bool(between[0]), between[1], second.status_code) == (True, 1, 200)
    assert app.whoami().json()["user"] == user.get_username()
    assert SessionFamily.objects.get(user=user).data == {"basket": ["tea"]}
    assert SessionFamily.objects.get(user=None).revoked_reason == "logged_in"


def test_a_visitor_is_logged_in_nowhere(app, rf):
    """To allauth an anonymous session is nobody's; its logout ends that one."""
    app.access = start_anonymous_session(
        rf.get("/", REMOTE_ADDR=HOME), transport="header"
    ).access

    answer = app.call("GET", "auth/session")
    ended = app.call("DELETE", "auth/session")

    assert (answer.status_code, ended.status_code) == (401, 401)
    assert not answer.json()["meta"]["is_authenticated"]
    assert family().revoked_reason == RevokedReason.LOGOUT
    assert not Session.objects.exists()


def test_a_provider_starts_a_session(app):
    """A token of a social provider signs a new user up, and logs them in."""
    token = json.dumps({"id": 7, "email": "ada@example.org", "username": "ada"})

    answer = app.post(
        "auth/provider/token",
        {
            "provider": "dummy",
            "process": "login",
            "token": {"id_token": token, "client_id": "dummy"},
        },
    )

    assert answer.status_code == 200, answer.content
    assert app.whoami().json()["user"] == "ada"
    assert family().user.get_username() == "ada"


def test_a_provider_login_asks_for_the_second_factor(app):
    """A social login of a user with TOTP waits for the code as well."""
    token = json.dumps({"id": 7, "email": "ada@example.org", "username": "ada"})
    body = {
        "provider": "dummy",
        "process": "login",
        "token": {"id_token": token, "client_id": "dummy"},
    }
    app.post("auth/provider/token", body)
    secret = set_up_totp(family().user)

    second = App(Api())
    first = second.post("auth/provider/token", body)
    between = SessionFamily.objects.count()
    second.post("auth/2fa/authenticate", {"code": totp(secret)})

    assert (first.status_code, between) == (401, 1)
    assert second.whoami().json()["user"] == "ada"


def test_a_passkey_starts_a_session(logged_in, user):
    """A passkey that was registered by one session logs in, and starts another."""
    key = Passkey()
    logged_in.post("auth/reauthenticate", {"password": PASSWORD})
    path = "account/authenticators/webauthn"
    options = logged_in.call("GET", path + "?passwordless").json()["data"]
    credential = key.register(options["creation_options"])
    added = logged_in.post(path, {"name": "phone", "credential": credential})
    app = App(Api())

    asked = app.call("GET", "auth/webauthn/login").json()["data"]["request_options"]
    answer = app.post("auth/webauthn/login", {"credential": key.sign(asked)})

    assert (added.status_code, answer.status_code) == (200, 200), answer.content
    assert app.whoami().json()["user"] == user.get_username()
    assert SessionFamily.objects.count() == 2


def test_a_passkey_of_another_device_starts_no_session(logged_in):
    """Who signs by another key than the registered one is refused."""
    key, other = Passkey(), Passkey()
    logged_in.post("auth/reauthenticate", {"password": PASSWORD})
    path = "account/authenticators/webauthn"
    options = logged_in.call("GET", path + "?passwordless").json()["data"]
    credential = key.register(options["creation_options"])
    logged_in.post(path, {"name": "phone", "credential": credential})
    other.register(options["creation_options"])
    app = App(Api())

    asked = app.call("GET", "auth/webauthn/login").json()["data"]["request_options"]
    answer = app.post("auth/webauthn/login", {"credential": other.sign(asked)})

    assert answer.status_code == 400
    assert SessionFamily.objects.count() == 1


def test_the_session_token_is_of_no_use_once_the_login_is_complete(app, address):
    """What carried the login from step to step logs nobody in afterwards."""
    app.post("auth/code/request", {"email": address})
    pending = app.session_token
    answer = app.post("auth/code/confirm", {"code": mailed_code()})

    later = app.http.get(APP + "auth/session", HTTP_X_SESSION_TOKEN=pending)

    assert "session_token" not in answer.json()["meta"]
    assert later.status_code == 410


def test_a_session_token_of_djangos_own_login_is_refused(app, user):
    """Django's session key, of the admin say, does not get past ours as a token."""
    app.http.force_login(user)
    key = app.http.session.session_key
    stranger = Api()

    answer = stranger.get(APP + "auth/session", HTTP_X_SESSION_TOKEN=key)

    assert answer.status_code == 410


def test_no_session_of_djangos_logs_in_after_a_login(logged_in):
    """No row of Django's sessions names the user: the family is the only way in."""
    assert all(
        "_auth_user_id" not in row.get_decoded() for row in Session.objects.all()
    )


def test_allauth_knows_the_user_by_the_access_token(logged_in, user):
    """Allauth's own endpoints take the access token, and nothing else."""
    answer = logged_in.call("GET", "auth/session")
    without = Api().get(APP + "auth/session")

    assert answer.status_code == 200
    assert answer.json()["data"]["user"]["username"] == user.get_username()
    assert "access_token" not in answer.json()["meta"]
    assert without.status_code == 401


def test_allauth_keeps_its_state_beside_the_session(logged_in, user):
    """TOTP is set up over three requests, with the access token alone."""
    logged_in.post("auth/reauthenticate", {"password": PASSWORD})
    shown = logged_in.call("GET", "account/authenticators/totp")
    secret = shown.json()["meta"]["secret"]

    answer = logged_in.post("account/authenticators/totp", {"code": totp(secret)})

    assert shown.status_code == 404
    assert answer.status_code == 200, answer.content
    assert "meta" not in answer.json()
    assert user.authenticator_set.filter(type="totp").exists()


def test_methods_of_the_login_are_remembered(logged_in):
    """Allauth tells how somebody logged in, from the state that came along."""
    answer = logged_in.call("GET", "auth/session")

    assert [method["method"] for method in answer.json()["data"]["methods"]] == [
        "password"
    ]


def test_methods_of_the_login_survive_a_new_secret_key(logged_in, settings):
    """Where SECRET_KEY was replaced, and is a fallback, tokens and state go on."""
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = f"{settings.SECRET_KEY} and another"

    answer = logged_in.call("GET", "auth/session")

    methods = answer.json()["data"]["methods"]
    assert [method["method"] for method in methods] == ["password"]


def test_allauths_endpoint_rotates(logged_in):
    """A refresh by allauth's endpoint gives a new pair, as ours does."""
    first = logged_in.refresh

    answer = logged_in.renew()

    assert answer.status_code == 200
    assert set(answer.json()["data"]) == {"access_token", "refresh_token"}
    assert logged_in.refresh != first
    assert family().generation == 1
    assert logged_in.whoami().status_code == 200


def test_the_other_tab_keeps_its_token(logged_in):
    """Inside the grace period the predecessor is answered access only."""
    first = logged_in.refresh
    logged_in.renew()

    answer = logged_in.renew(first)

    assert set(answer.json()["data"]) == {"access_token"}


def test_reuse_is_theft(logged_in, clock):
    """A superseded token at allauth's endpoint ends the session, for both of them."""
    clock.now = family().created_at
    stolen = logged_in.refresh
    logged_in.renew()
    clock.forward(W)
    logged_in.renew()
    clock.forward(W)

    with heard(refresh_token_reused) as thefts:
        answer = logged_in.renew(stolen)

    assert answer.status_code == 400
    assert [theft["generation"] for theft in thefts] == [0]
    assert family().revoked_reason == RevokedReason.REUSED
    assert refusal(logged_in.whoami()) == (401, "session_ended")
    assert logged_in.renew().status_code == 400


def test_what_is_no_token_is_refused(app):
    """Anything else than a token of ours is allauth's 400."""
    assert app.renew("nonsense").status_code == 400
    assert app.post("tokens/refresh", {}).status_code == 400


def test_an_old_access_token_does_not_stop_a_refresh(logged_in, clock):
    """The refresh is answered whatever access token the app still sends along."""
    clock.now = family().created_at + timedelta(minutes=31)

    answer = logged_in.renew()

    assert answer.status_code == 200


def test_a_database_that_is_down_costs_no_token(logged_in):
    """A refresh that the database fails is a 503, and the token still serves."""
    with database_down():
        answer = logged_in.renew()

    assert refusal(answer) == (503, "unavailable")
    assert logged_in.renew().status_code == 200


def test_refreshes_are_throttled(logged_in, settings):
    """REFRESH_RATE counts at allauth's endpoint, too."""
    settings.ROTATING_SESSIONS = {"REFRESH_RATE": "1/min"}
    logged_in.renew()

    answer = logged_in.renew()

    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= 60


def test_early_data_is_refused(logged_in):
    """A refresh that an attacker could send again is not taken."""
    answer = logged_in.renew(HTTP_EARLY_DATA="1")

    assert refusal(answer) == (425, "too_early")


def test_a_refresh_is_durable_under_atomic_requests(logged_in, monkeypatch):
    """The endpoint is no part of a request's transaction."""
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", 1)

    answer = logged_in.renew()

    assert answer.status_code == 200


def test_allauths_logout_ends_the_session(logged_in):
    """`DELETE auth/session` revokes: neither token serves afterwards."""
    answer = logged_in.call("DELETE", "auth/session")

    assert answer.status_code == 401
    assert family().revoked_reason == RevokedReason.LOGOUT
    assert refusal(logged_in.whoami()) == (401, "session_ended")
    assert logged_in.renew().status_code == 400
    assert not Session.objects.exists()


def test_a_deactivated_user_is_out(logged_in, user):
    """Whoever is deactivated is anonymous to allauth at once, and cannot refresh."""
    user.is_active = False
    user.save()

    shown = logged_in.call("GET", "auth/session")
    refreshed = logged_in.renew()

    assert (shown.status_code, refreshed.status_code) == (401, 400)
    assert family().revoked_reason == RevokedReason.USER_INACTIVE


def test_a_new_password_keeps_the_session_that_sets_it(logged_in, user):
    """The password is changed by one session, and ends the others."""
    other = App(Api())
    other.post("auth/login", {"username": user.get_username(), "password": PASSWORD})
    new = "a longer horse battery staple"

    answer = logged_in.post(
        "account/password/change", {"current_password": PASSWORD, "new_password": new}
    )

    assert answer.status_code == 200, answer.content
    assert logged_in.whoami().json()["user"] == user.get_username()
    assert logged_in.renew().status_code == 200
    assert refusal(other.whoami()) == (401, "session_ended")


@override_settings(ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE=True)
def test_a_site_may_end_all_sessions_at_a_new_password(logged_in):
    """With LOGOUT_ON_PASSWORD_CHANGE the session that changes it ends as well."""
    new = "a longer horse battery staple"

    answer = logged_in.post(
        "account/password/change", {"current_password": PASSWORD, "new_password": new}
    )

    assert answer.status_code == 401
    assert refusal(logged_in.whoami()) == (401, "session_ended")


def test_a_factor_asked_for_again_counts_as_a_login(logged_in, clock):
    """Allauth's reauthentication is what `RecentLogin` asks for."""
    clock.now = family().created_at + timedelta(minutes=16)
    before = logged_in.http.get("/codes/", **bearer(logged_in.access))

    answer = logged_in.post("auth/reauthenticate", {"password": PASSWORD})

    after = logged_in.http.get("/codes/", **bearer(logged_in.access))
    assert refusal(before) == (403, "reauthentication_required")
    assert answer.status_code == 200
    assert after.status_code == 200


def test_a_database_that_is_down_is_no_reauthentication(logged_in):
    """Where the row cannot be stamped the answer is 503, not a success."""
    with database_down(only='UPDATE "rotating_sessions_sessionfamily"'):
        answer = logged_in.post("auth/reauthenticate", {"password": PASSWORD})

    assert refusal(answer) == (503, "unavailable")


def test_the_app_client_never_acts_by_a_cookie(api, user):
    """Its views check for no CSRF token, so that session cookies mean nothing there."""
    api.log_in(user, transport="cookie")
    assert {ACCESS, REFRESH} <= set(api.cookies)

    shown = api.get(APP + "auth/session")
    answer = api.delete(APP + "auth/session", HTTP_SEC_FETCH_SITE="cross-site")

    assert (shown.status_code, answer.status_code) == (401, 401)
    assert family().revoked_at is None


def test_who_is_logged_in_is_told_so(logged_in):
    """A second login with a good access token is allauth's 409: there is one."""
    other = UserFactory.create()

    answer = logged_in.post(
        "auth/login", {"username": other.get_username(), "password": PASSWORD}
    )

    assert answer.status_code == 409
    assert SessionFamily.objects.count() == 1
