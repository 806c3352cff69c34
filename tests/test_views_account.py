"""The page of sessions: what it shows, to whom, and at what cost."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client as DjangoClient
from django.utils import timezone, translation

from rotating_sessions.models import RevokedReason, SessionFamily
from tests.factories import SessionFamilyFactory, UserFactory

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/account/sessions/"
DISMISS = "/account/sessions/dismiss/"


@pytest.fixture
def browser(api, user):
    """Return a browser that is logged in, and warm."""
    api.log_in(user, "cookie")
    api.get("/plain/")
    return api


@pytest.fixture
def theft(user):
    """Return a session of the user that ended in a theft."""
    return SessionFamilyFactory.create(
        user=user,
        device="Safari on iOS",
        revoked_at=timezone.now() - timedelta(hours=5),
        revoked_reason=RevokedReason.REUSED,
    )


def text_of(response):
    """Return what the page says, without its tags."""
    page = re.sub("<[^>]*>", " ", response.content.decode())
    return " ".join(page.split())


def test_page_takes_two_queries(browser, user, theft, django_assert_num_queries):
    """One query reads the user, and one all the rest: sessions and thefts."""
    SessionFamilyFactory.create_batch(9, user=user)

    with django_assert_num_queries(2):
        response = browser.get(URL)

    assert response.status_code == 200
    assert len(response.context["sessions"]) == 10
    assert len(response.context["thefts"]) == 1


def test_page_shows_where_the_user_is_logged_in(browser, user):
    """Each session has its device and address, and this one is marked, and first."""
    SessionFamilyFactory.create(user=user, device="Chrome on Android", ip_address=None)

    response = browser.get(URL)

    said = text_of(response)
    assert said.index("Firefox on Linux This device") < said.index("Chrome on Android")
    assert said.count("This device") == 1
    assert "Address 203.0.113.5" in said
    assert "Address Unknown" in said
    assert said.count("End session : Chrome on Android") == 1
    assert "login token" not in said


def test_times_are_in_the_zone_of_the_reader(browser, user):
    """A site that activates its user's time zone has all times in it, and says so."""
    SessionFamilyFactory.create(
        user=user,
        created_at=datetime(2035, 5, 6, 22, 8, 9, tzinfo=UTC),
        rotated_at=datetime(2035, 5, 6, 23, 59, 58, tzinfo=UTC),
    )

    with timezone.override("Asia/Kolkata"), translation.override("de"):
        page = browser.get(URL).content.decode()

    assert '<time datetime="2035-05-06T22:08:09+00:00">7. Mai 2035 03:38<' in page
    assert '<time datetime="2035-05-06T23:00:00+00:00">7. Mai 2035 04:30<' in page
    assert "Asia/Kolkata" in page


def test_texts_of_clients_are_escaped(browser, user):
    """AD-08: A device that calls itself a script is only a name."""
    SessionFamilyFactory.create(user=user, device="<script>alert(1)</script>")

    page = browser.get(URL).content.decode()

    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_pages_follow_each_other(browser, user):
    """Beyond fifty sessions a link leads to older ones, and another one back."""
    SessionFamilyFactory.create_batch(60, user=user)
    first = browser.get(URL)
    link = re.search(r'href="([^"]+)" rel="next"', first.content.decode())

    second = browser.get(URL + link[1].removeprefix(URL))

    assert len(first.context["sessions"]) == 50
    assert len(second.context["sessions"]) == 11
    assert "Older sessions" in text_of(second)
    assert 'rel="next"' not in second.content.decode()
    assert f'<a href="{URL}">Newest sessions</a>' in second.content.decode()


@pytest.mark.parametrize(
    "after",
    ["", "abc", "1", "1-1", f"-1-{'0' * 32}", f"{'9' * 18}-{'0' * 32}", "\u0661-" * 9],
)
def test_page_that_is_none_is_the_first(browser, after):
    """A place in the list that somebody made up leads to its beginning."""
    response = browser.get(URL, {"after": after})

    assert (response.status_code, response["Location"]) == (302, URL)


@pytest.mark.parametrize("place", [f"0-{'0' * 32}", f"{'9' * 17}-{'f' * 32}"])
def test_place_beyond_every_session_is_no_error(browser, place):
    """The first and the last moment that can be named are places as any."""
    response = browser.get(URL, {"after": place})

    assert response.status_code == 200


def test_visitor_is_sent_to_the_sign_in_page_and_back(api, settings):
    """Whoever is not logged in goes to LOGIN_URL, and comes back to the list."""
    settings.LOGIN_URL = "/in/"

    response = api.get(URL)

    assert (response.status_code, response["Location"]) == (302, f"/in/?next={URL}")
    assert response["Cache-Control"] == "no-store"


def test_user_of_djangos_sessions_sees_the_list(user):
    """Whom only Django's session knows sees all sessions, and none as this one."""
    client = DjangoClient()
    client.force_login(user)
    SessionFamilyFactory.create(user=user)

    response = client.get(URL)

    said = text_of(response)
    assert response.status_code == 200
    assert "End session : Firefox on Linux" in said
    assert "This device" not in said
    assert "End all other sessions" not in said
    assert "Log out everywhere" in said


def test_list_may_be_empty(user):
    """A user without a session of ours is told so."""
    client = DjangoClient()
    client.force_login(user)

    response = client.get(URL)

    assert "There is no session here." in text_of(response)


def test_theft_is_told_with_what_to_do(browser, theft):
    """A theft is told with device and date, its reason, and three things to do."""
    with timezone.override("UTC"):
        response = browser.get(URL)

    said = text_of(response)
    day = f"{theft.revoked_at:%Y}"
    assert "We ended a session on Safari on iOS on" in said
    assert day in said
    assert "because a login token of it was used twice" in said
    assert "Change your password." in said
    assert "Tell the support" in said


def test_site_with_a_password_page_links_to_it(browser, theft, settings):
    """Where the site has Django's page to change the password, the notice links it."""
    settings.ROOT_URLCONF = "tests.urls_of_accounts"

    page = browser.get(URL).content.decode()

    assert '<a href="/accounts/password_change/">Change your password.</a>' in page


def test_notice_is_closed_in_this_browser_only(browser, user, theft):
    """A thief who closes the notice hides it from nobody else."""
    elsewhere = DjangoClient()
    elsewhere.force_login(user)
    browser.get(URL)

    response = browser.submit(DISMISS, {"theft": str(theft.pk)})

    cookie = response.cookies["rotating_sessions_dismissed"]
    assert (response.status_code, response["Location"]) == (302, URL)
    assert cookie["path"] == URL
    assert cookie["samesite"] == "Lax"
    assert cookie["httponly"]
    assert cookie["secure"]
    assert "login token" not in text_of(browser.get(URL))
    assert "login token" in text_of(elsewhere.get(URL))


def test_next_theft_is_told_again(browser, user, theft):
    """A closed notice covers the thefts it told of, and none that came after."""
    browser.get(URL)
    browser.submit(DISMISS, {"theft": str(theft.pk)})
    later = SessionFamilyFactory.create(
        user=user,
        revoked_at=timezone.now(),
        revoked_reason=RevokedReason.REUSED,
    )

    response = browser.get(URL)

    assert [told.id for told in response.context["thefts"]] == [later.pk]


@pytest.mark.parametrize("sent", [{}, {"theft": "abc"}, {"theft": "\r\nX: y"}])
def test_notice_that_is_none_is_not_closed(browser, theft, sent):
    """A form that names no theft closes no notice."""
    browser.get(URL)

    response = browser.submit(DISMISS, sent)

    assert (response.status_code, response["Location"]) == (302, URL)
    assert not response.cookies


def test_result_is_told_once_and_focused(browser, user):
    """What was done is said in the title and at the top, on the next page alone."""
    other = SessionFamilyFactory.create(user=user)
    browser.get(URL)
    browser.submit(f"{URL}{other.pk}/end/")

    told, again = browser.get(URL), browser.get(URL)

    page = told.content.decode()
    assert "<title>The session has been ended. Your sessions</title>" in page
    assert '<p class="rs-notice" role="status" tabindex="-1" autofocus>' in page
    assert 'role="status"' not in again.content.decode()


def test_notice_is_a_name_and_no_text(browser):
    """Nobody makes the page say what they like, by a cookie either."""
    browser.cookies["rotating_sessions_notice"] = "Call 555-0100 at once"

    response = browser.get(URL)

    assert response.context["notice"] is None
    assert "555-0100" not in response.content.decode()


def test_user_who_was_deactivated_is_logged_out(browser, user):
    """The list of a user who is deactivated is not shown, and the cookies go."""
    type(user).objects.update(is_active=False)

    response = browser.get(URL)

    assert response.status_code == 302
    assert response.cookies["__Host-rs_access"].value == ""
    assert SessionFamily.objects.get().revoked_at is None


def test_list_is_for_header_transport_too(api, user):
    """An app that shows the page in a window of its own sends a bearer token."""
    access = api.log_in(user)["access"]

    response = api.get(URL, HTTP_AUTHORIZATION=f"Bearer {access}")

    assert "This device" in text_of(response)


def test_unknown_session_of_another_user_is_not_shown(browser):
    """RV-03: The list holds nobody else's sessions."""
    other = SessionFamilyFactory.create(user=UserFactory.create(), device="Foreign")

    page = browser.get(URL).content.decode()

    assert str(other.pk) not in page
    assert "Foreign" not in page
