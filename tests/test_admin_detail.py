"""A session's page tells what happened to it, and a file takes that along."""

from __future__ import annotations

import csv
import io
from datetime import UTC, timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import UserAdmin
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import include, path
from django.utils import timezone

from rotating_sessions.admin import SessionFamilyAdmin
from rotating_sessions.exceptions import RefreshTokenReused
from rotating_sessions.models import RefreshToken, RevokedReason, SessionFamily
from tests.acting import client_at, log_in, present
from tests.browsing import TRAIN
from tests.factories import RefreshTokenFactory, SessionFamilyFactory
from tests.staffing import LIST, REVOKE, VIEW, detail, staff

pytestmark = pytest.mark.django_db(transaction=True)

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


class SecondSite(admin.AdminSite):
    """An admin site beside Django's own."""


second_site = SecondSite(name="second")
second_site.register(SessionFamily, SessionFamilyAdmin)


class OwnSessionsAdmin(SessionFamilyAdmin):
    """An admin that shows staff their own sessions only."""

    def has_view_permission(self, request: Any, obj: Any = None) -> bool:
        allowed = super().has_view_permission(request, obj)
        return allowed and (obj is None or obj.user_id == request.user.pk)


third_site = admin.AdminSite(name="third")
third_site.register(SessionFamily, OwnSessionsAdmin)

site_of_users = SecondSite(name="users")
site_of_users.register(get_user_model(), UserAdmin)
urlpatterns = [
    path("third/", third_site.urls),
    path("second/", second_site.urls),
    path("users/", site_of_users.urls),
    path("", include("tests.urls")),
]


def stolen(rf: Any, user: Any, clock: Any) -> SessionFamily:
    """Let a thief copy a session's first token, and come back with it from a train."""
    first = second = log_in(rf, user)
    for _ in range(2):
        clock.forward(HOUR)
        second = present(second)
    clock.forward(HOUR)
    with pytest.raises(RefreshTokenReused):
        present(first, client_at(TRAIN))
    return SessionFamily.objects.get()


def lines(response: Any) -> list[dict[str, str]]:
    """Return the rows of a file."""
    text = b"".join(response.streaming_content).decode()
    return list(csv.DictReader(io.StringIO(text)))


def test_page_explains_a_theft(rf, user, clock):
    """A stolen session's page says who had the token, and who came back with it."""
    family = stolen(rf, user, clock)

    response = staff(VIEW).get(detail(family))

    html = response.content.decode()
    sentence = response.context["explanation"]
    assert f"<p>{sentence}</p>" in html
    for part in (
        "Firefox on Linux at 203.0.113.5",
        f"from Firefox on Linux at {TRAIN}",
    ):
        assert part in sentence
    alarms = ["Theft: token 0 came back", "Token 0 issued: replaced since, and used"]
    places = [html.index(f"<strong>{text}") for text in alarms]
    assert places == sorted(places)


def test_page_for_staff_who_may_only_look(user):
    """Who may see sessions sees the timeline, and has no button but the export."""
    family = SessionFamilyFactory.create(user=user)
    first = RefreshTokenFactory.create(family=family, ip_address="192.0.2.41")
    second = RefreshTokenFactory.create(family=family, ip_address="192.0.2.42")

    html = staff(VIEW).get(detail(family)).content.decode()

    assert first.generation < second.generation
    assert 0 < html.index("192.0.2.42") < html.index("192.0.2.41")
    assert f'href="{LIST}{family.pk}/timeline.csv"' in html
    assert f"{LIST}{family.pk}/revoke/" not in html
    for absent in ("<textarea", 'name="_save"', 'class="deletelink"'):
        assert absent not in html


@pytest.mark.parametrize(
    ("fields", "offered"),
    [
        ({}, True),
        ({"idle_at": timezone.now() - HOUR}, False),
        ({"revoked_at": timezone.now() - HOUR}, False),
    ],
)
def test_only_a_live_session_can_be_ended(fields, offered):
    """The button is there as long as there is something to end."""
    family = SessionFamilyFactory.create(**fields)

    html = staff(VIEW, REVOKE).get(detail(family)).content.decode()

    assert (f"{LIST}{family.pk}/revoke/" in html) is offered


def test_page_shows_the_newest_tokens_and_the_one_that_came_back():
    """However many tokens there are, the page reads a hundred, and the reused one."""
    now = timezone.now()
    family = SessionFamilyFactory.create(
        generation=1499, revoked_at=now, revoked_reason=RevokedReason.REUSED
    )
    RefreshToken.objects.bulk_create(
        RefreshToken(
            family=family,
            generation=n,
            digest=b"d" * 32,
            issued_at=now - (1500 - n) * MINUTE,
            reused_at=now if n == 7 else None,
        )
        for n in range(1500)
    )
    browser = staff(VIEW)

    with CaptureQueriesContext(connection) as queries:
        html = browser.get(detail(family)).content.decode()

    assert html.count(" issued:") == 101
    assert "Token 7 issued: replaced since, and used again after that" in html
    assert "Tokens 8 to 1399: not shown here, see the export" in html
    assert "Tokens 0 to 6: not shown here, see the export" in html
    reading = [q["sql"] for q in queries if "rotating_sessions_refresh" in q["sql"]]
    assert len(reading) == 3
    assert all("LIMIT" in sql and "digest" not in sql for sql in reading)


def test_file_has_the_whole_timeline(rf, user, clock):
    """The file has each event, with the moment in UTC, whence and by what."""
    family = stolen(rf, user, clock)

    response = staff(VIEW).get(f"{LIST}{family.pk}/timeline.csv")

    found = lines(response)
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    name = f'attachment; filename="session-{family.pk}.csv"'
    assert response["Content-Disposition"] == name
    assert [row["event"] for row in found] == [
        *("revoked", "reused", "issued", "issued", "issued", "login"),
    ]
    assert [row["generation"] for row in found] == ["", "0", "2", "1", "0", ""]
    assert found[1]["time"] == clock.now.astimezone(UTC).isoformat()
    assert found[1]["address"] == TRAIN
    assert found[1]["device"] == "Firefox on Linux"
    assert [row["state"] for row in found if row["state"]] == [
        *("unconfirmed", "superseded", "reused"),
    ]


def test_file_has_tokens_beyond_the_page():
    """The file leaves out no token that is on record, and says which ones are not."""
    family = SessionFamilyFactory.create(generation=219)
    RefreshToken.objects.bulk_create(
        RefreshToken(
            family=family,
            generation=n,
            digest=b"d" * 32,
            issued_at=family.created_at + n * MINUTE,
        )
        for n in range(5, 220)
    )

    found = lines(staff(VIEW).get(f"{LIST}{family.pk}/timeline.csv"))

    issued = [int(row["generation"]) for row in found if row["event"] == "issued"]
    assert issued == list(range(219, 4, -1))
    missing = [row["description"] for row in found if row["event"] == "missing"]
    assert missing == ["Tokens 0 to 4: no record is left"]


@pytest.mark.parametrize("first", "=+-@\t\r")
def test_cell_of_the_file_is_no_formula(first):
    """AD-08: What a client calls itself is text in a spreadsheet, too."""
    family = SessionFamilyFactory.create(generation=0)
    evil = f'{first}HYPERLINK("https://evil.example","x")'
    RefreshTokenFactory.create(family=family, generation=0, user_agent=evil)

    row, *_ = [
        row
        for row in lines(staff(VIEW).get(f"{LIST}{family.pk}/timeline.csv"))
        if row["event"] == "issued"
    ]

    assert row["user_agent"] == f"'{evil}"
    assert row["device"].startswith("'") is (first not in "\t\r")


@pytest.mark.parametrize("separator", [";", "; ", "\t", ';"', '; ""'])
def test_cell_within_a_cell_is_no_formula(separator):
    """AD-08: Nor is it one for a spreadsheet that separates cells by something else."""
    family = SessionFamilyFactory.create(generation=0)
    evil = f"Mozilla/5.0{separator}=1+1"
    RefreshTokenFactory.create(family=family, generation=0, user_agent=evil)

    rows = lines(staff(VIEW).get(f"{LIST}{family.pk}/timeline.csv"))

    (told,) = [row["user_agent"] for row in rows if row["event"] == "issued"]
    assert told == f"Mozilla/5.0{separator[0]}'{separator[1:]}=1+1"


def test_file_holds_no_secret(rf, user, clock):
    """AD-01: Neither a token nor a digest or a hash is in the file."""
    family = stolen(rf, user, clock)

    response = staff(VIEW).get(f"{LIST}{family.pk}/timeline.csv")

    text = b"".join(response.streaming_content).decode()
    tokens = RefreshToken.objects.values_list("digest", flat=True)
    values = (family.secret, family.current_digest, *tokens)
    assert not any(bytes(value).hex() in text for value in values)
    assert family.auth_hash not in text
    assert not any(network in text for network in family.networks.split())


@override_settings(ROOT_URLCONF="tests.test_admin_detail")
def test_second_admin_site_has_pages_of_its_own(user):
    """On another admin site, links and questions lead to pages of that site."""
    family = SessionFamilyFactory.create(user=user)
    browser = staff(VIEW, REVOKE)
    root = f"/second/rotating_sessions/sessionfamily/{family.pk}/"

    page = browser.get(f"{root}change/").content.decode()
    done = browser.post(f"{root}revoke/")

    assert f'href="{root}revoke/"' in page
    assert f'href="{root}timeline.csv"' in page
    assert done["Location"] == f"{root}change/"


@override_settings(ROOT_URLCONF="tests.test_admin_detail")
@pytest.mark.parametrize(("is_own", "status"), [(False, 403), (True, 200)])
@pytest.mark.parametrize("page", ["change/", "revoke/", "timeline.csv"])
def test_permission_is_asked_for_the_one_session(page, is_own, status):
    """AD-02: Whoever may see some sessions only neither exports nor ends others."""
    browser = staff(VIEW, REVOKE)
    owner = {"user_id": browser.session["_auth_user_id"]} if is_own else {}
    family = SessionFamilyFactory.create(**owner)

    response = browser.get(f"/third/rotating_sessions/sessionfamily/{family.pk}/{page}")

    assert response.status_code == status


@override_settings(ROOT_URLCONF="tests.test_admin_detail")
def test_page_of_a_user_needs_no_list_of_sessions(user):
    """On an admin site without sessions the user's page has no link, and no fault."""
    browser = staff(VIEW, "view_user")

    response = browser.get(f"/users/auth/user/{user.pk}/change/")

    assert response.status_code == 200
    assert "?user__exact=" not in response.content.decode()
