"""How often is too often, and what being told so does not cost."""

from __future__ import annotations

import logging
import re
import time
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.cache.backends.locmem import LocMemCache
from rest_framework.throttling import SimpleRateThrottle

from rotating_sessions.models import SessionFamily
from rotating_sessions.throttles import throttled_login, throttled_user
from tests.browsing import (
    HOME,
    REFRESH,
    TRAIN,
    Api,
    bearer,
    refusal,
    rows,
    touches_cookies,
)
from tests.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db(transaction=True)

LOGIN = "/auth/login/"
REFRESH_URL = "/auth/refresh/"
PAGE_URL = "/auth/refresh-page/"
EVERYWHERE = "/auth/logout-everywhere/"
CONFIRM = "/auth/reauthenticate/"


class BrokenCache(LocMemCache):
    """A cache whose server is gone, with an error of its own making."""

    def get(self, *args: Any, **kwargs: Any) -> Any:
        """Fail."""
        raise ConnectionError("no cache today")


class NotedCache(LocMemCache):
    """A cache that notes the keys it is asked for."""

    keys: set[str] = set()

    def get(self, key: str, *args: Any, **kwargs: Any) -> Any:
        """Note the key."""
        self.keys.add(key)
        return super().get(key, *args, **kwargs)


def wrong(user: Any) -> dict[str, str]:
    return {"username": user.get_username(), "password": "wrong"}


def right(user: Any) -> dict[str, str]:
    return {"username": user.get_username(), "password": PASSWORD}


def test_login_rate_by_default(api, user):
    """Twenty logins a minute are tried for one network and name (TH-02)."""
    statuses = [api.send(LOGIN, wrong(user)).status_code for _ in range(21)]

    assert statuses == [401] * 20 + [429]


def test_refresh_rate_by_default(api, user):
    """Sixty refreshes a minute are answered for one session, and no more (TH-02)."""
    body = {"refresh": api.log_in(user)["refresh"]}

    statuses = [api.send(REFRESH_URL, body).status_code for _ in range(61)]

    assert statuses == [200] * 60 + [429]


def test_throttled_login_says_when_to_come_back(api, user, settings):
    """A throttled login is 429 with Retry-After, the password right or not (TH-02)."""
    settings.ROTATING_SESSIONS = {"LOGIN_RATE": "1/min"}
    api.send(LOGIN, wrong(user))

    response = api.send(LOGIN, right(user))

    assert refusal(response) == (429, "throttled")
    assert 1 <= int(response["Retry-After"]) <= 60
    assert response["Cache-Control"] == "no-store"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert not SessionFamily.objects.exists()


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        pytest.param(str, {}, id="again"),
        pytest.param(str.upper, {}, id="in capitals"),
        pytest.param(str, {"HTTP_X_FORWARDED_FOR": TRAIN}, id="with another address"),
        pytest.param(str, {"HTTP_FORWARDED": f"for={TRAIN}"}, id="by Forwarded"),
        pytest.param(str, {"HTTP_X_REAL_IP": TRAIN}, id="by X-Real-IP"),
    ],
)
def test_guesses_are_counted_however_they_are_dressed(api, user, settings, name, extra):
    """Neither another spelling nor forged headers buy more guesses (TH-03)."""
    settings.ROTATING_SESSIONS = {"LOGIN_RATE": "1/min"}
    api.send(LOGIN, wrong(user))
    body = wrong(user) | {"username": name(user.username)}

    response = api.send(LOGIN, body, **extra)

    assert response.status_code == 429


def test_addresses_of_one_network_count_together(api, user, settings):
    """Whoever has a /64 to pick addresses from counts as one (TH-03)."""
    settings.ROTATING_SESSIONS = {"LOGIN_RATE": "1/min"}
    api.send(LOGIN, wrong(user), REMOTE_ADDR="2001:db8::1")

    response = api.send(LOGIN, wrong(user), REMOTE_ADDR="2001:db8::ffff:2")

    assert response.status_code == 429


@pytest.mark.parametrize(
    "chain",
    [
        HOME,
        f"{TRAIN}, {HOME}",
        f"198.51.100.8, 198.51.100.9,{HOME}",
        f"garbage, {HOME}:4711",
        f"{TRAIN}, ::ffff:{HOME}",
        f"{TRAIN}, ::FFFF:CB00:7105",
    ],
)
def test_guesses_count_by_the_address_that_the_proxy_saw(api, user, settings, chain):
    """What a client writes before its proxy's word buys it no guess (TH-03)."""
    settings.ROTATING_SESSIONS = {"LOGIN_RATE": "1/min", "TRUSTED_PROXY_COUNT": 1}
    api.send(LOGIN, wrong(user), HTTP_X_FORWARDED_FOR=HOME)

    response = api.send(LOGIN, wrong(user), HTTP_X_FORWARDED_FOR=chain)

    assert response.status_code == 429


@pytest.mark.parametrize("other", ["name", "address"])
def test_others_are_not_locked_out(api, user, settings, other):
    """Another name, or the same from another network, is counted by itself."""
    settings.ROTATING_SESSIONS = {"LOGIN_RATE": "1/min"}
    api.send(LOGIN, wrong(user))
    who = UserFactory.create() if other == "name" else user
    address = TRAIN if other == "address" else HOME

    response = api.send(LOGIN, right(who), REMOTE_ADDR=address)

    assert response.status_code == 200


def test_asking_for_the_csrf_cookie_is_free(api, settings):
    """`GET login/` is not counted."""
    settings.ROTATING_SESSIONS = {"LOGIN_RATE": "1/min"}

    statuses = [api.get(LOGIN).status_code for _ in range(3)]

    assert statuses == [204] * 3


@pytest.mark.parametrize("url", [REFRESH_URL, PAGE_URL])
def test_throttled_refresh_changes_nothing(api, user, settings, url):
    """A throttled refresh is 429, keeps the cookies and changes no row (TH-02)."""
    settings.ROTATING_SESSIONS = {"REFRESH_RATE": "1/min"}
    api.log_in(user, "cookie")
    api.send(REFRESH_URL)
    api.get("/plain/")
    form = {"csrfmiddlewaretoken": api.cookies["csrftoken"].value}
    before = rows()

    response = api.send(url) if url == REFRESH_URL else api.post(url, form)

    assert response.status_code == 429
    assert 1 <= int(response["Retry-After"]) <= 60
    assert response["Cache-Control"] == "no-store"
    assert not touches_cookies(response)
    assert rows() == before


def test_throttled_refresh_of_an_ended_session_clears_nothing(api, user, settings):
    """A 429 answer never touches a cookie, whatever the access token is worth."""
    settings.ROTATING_SESSIONS = {"REFRESH_RATE": "1/min"}
    api.log_in(user, "cookie")
    refresh = api.cookies[REFRESH].value
    api.send(REFRESH_URL)
    user.delete()
    api.cookies[REFRESH] = refresh

    response = api.send(REFRESH_URL)

    assert refusal(response) == (429, "throttled")
    assert not touches_cookies(response)


def test_sessions_are_refreshed_independently(api, user, settings):
    """One session's refreshes are not counted against another of the same address."""
    settings.ROTATING_SESSIONS = {"REFRESH_RATE": "1/min"}
    first, second = (Api().log_in(user)["refresh"] for _ in range(2))
    api.send(REFRESH_URL, {"refresh": first})

    response = api.send(REFRESH_URL, {"refresh": second})

    assert response.status_code == 200


def test_garbage_is_refused_uncounted(api, settings):
    """What is no token of ours counts for no session, and is refused all the same."""
    settings.ROTATING_SESSIONS = {"REFRESH_RATE": "1/min"}

    answers = {refusal(api.send(REFRESH_URL, {"refresh": "abc"})) for _ in range(3)}

    assert answers == {(401, "invalid_token")}


@pytest.mark.parametrize(
    "paths",
    [[EVERYWHERE] * 3, [CONFIRM] * 3, [CONFIRM, EVERYWHERE, CONFIRM]],
    ids=["logout everywhere", "reauthenticate", "both"],
)
def test_guesses_of_the_password_are_counted_at_every_endpoint(
    api, user, settings, paths
):
    """A stolen access token is no way to try passwords faster than by login."""
    access = api.log_in(user)["access"]
    # The login itself is one of them.
    settings.ROTATING_SESSIONS = {"LOGIN_RATE": "3/min"}
    guess = {"password": "wrong"}

    statuses = [api.send(path, guess, **bearer(access)).status_code for path in paths]

    assert statuses == [403, 403, 429]
    answer = api.send(EVERYWHERE, **bearer(access))
    assert answer.json() == {"revoked": 1}


def test_name_that_is_no_text_is_counted_as_it_is_typed(rf):
    """A user model may name its users by numbers: they count as at the login."""
    request = rf.get("/", REMOTE_ADDR=HOME)
    user = get_user_model()(username=4915112345678)

    assert throttled_user(request, user) == throttled_login(
        HOME + "/32", "4915112345678"
    )


@pytest.mark.parametrize("rate", ["LOGIN_RATE", "REFRESH_RATE"])
def test_rate_of_none_throttles_nothing(api, user, settings, rate):
    """A rate of None leaves the throttling to what stands in front of Django."""
    settings.ROTATING_SESSIONS = {rate: None}
    refresh = {"refresh": api.log_in(user)["refresh"]}
    url, body, count = {
        "LOGIN_RATE": (LOGIN, wrong(user), 21),
        "REFRESH_RATE": (REFRESH_URL, refresh, 61),
    }[rate]

    statuses = {api.send(url, body).status_code for _ in range(count)}

    assert 429 not in statuses


def test_lowered_rate_still_says_when_to_come_back(api, user, settings):
    """Every 429 has a Retry-After, also where the rate was lowered."""
    settings.ROTATING_SESSIONS = {"LOGIN_RATE": "3/min"}
    for _ in range(3):
        api.send(LOGIN, wrong(user))
    settings.ROTATING_SESSIONS = {"LOGIN_RATE": "1/min"}

    response = api.send(LOGIN, wrong(user))

    assert refusal(response) == (429, "throttled")
    assert int(response.get("Retry-After", 0)) >= 1


@pytest.mark.parametrize("name", ["ada", "a key\r\nflush_all", "\u200b", "a" * 254])
def test_key_in_the_cache_is_nothing_that_a_client_wrote(api, user, settings, name):
    """Keys have our prefix and a hash, whatever name comes with a login (DB-09)."""
    refresh = api.log_in(user)["refresh"]
    settings.CACHES = {"default": {"BACKEND": "tests.test_throttles.NotedCache"}}
    NotedCache.keys.clear()

    api.send(LOGIN, {"username": name, "password": "wrong"})
    api.send(REFRESH_URL, {"refresh": refresh})

    assert len(NotedCache.keys) == 2
    for key in NotedCache.keys:
        assert re.fullmatch("rotating_sessions_(login|refresh):[0-9a-f]{64}", key)


@pytest.mark.parametrize("url", [LOGIN, REFRESH_URL])
def test_cache_that_is_down_locks_nobody_out(api, user, settings, caplog, url):
    """Where the cache fails a request passes uncounted, and is logged (DB-09)."""
    refresh = {"refresh": api.log_in(user)["refresh"]}
    settings.ROTATING_SESSIONS = {"LOGIN_RATE": "1/min", "REFRESH_RATE": "1/min"}
    settings.CACHES = {"default": {"BACKEND": "tests.test_throttles.BrokenCache"}}
    body = right(user) if url == LOGIN else refresh

    with caplog.at_level(logging.WARNING, "rotating_sessions.security"):
        statuses = [api.send(url, body).status_code for _ in range(2)]

    assert statuses == [200, 200]
    events = {record.getMessage() for record in caplog.records}
    assert events == {"throttle_unavailable"}


def test_count_starts_over_with_the_minute(api, user, settings, monkeypatch):
    """Once its minute is over a try counts no longer."""
    settings.ROTATING_SESSIONS = {"LOGIN_RATE": "1/min"}
    api.send(LOGIN, wrong(user))
    monkeypatch.setattr(SimpleRateThrottle, "timer", lambda _self: time.time() + 60)

    response = api.send(LOGIN, right(user))

    assert response.status_code == 200
