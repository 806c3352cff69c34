"""Staff end sessions: those selected, all of a user's, or one, and it is logged."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from rotating_sessions.admin import offer_revocation, revoke_users_sessions
from rotating_sessions.models import RevokedReason, SessionFamily
from tests.browsing import bearer, count, database_down, refusal
from tests.factories import SessionFamilyFactory, UserFactory
from tests.staffing import LIST, REVOKE, VIEW, act, detail, staff, told

pytestmark = pytest.mark.django_db(transaction=True)

USERS = "/admin/auth/user/"


def reasons() -> dict[Any, str]:
    """Return why each session was revoked: nothing where it was not."""
    return dict(SessionFamily.objects.values_list("pk", "revoked_reason"))


def logged() -> list[tuple[str, str]]:
    """Return what was logged, and of which row."""
    entries = LogEntry.objects.filter(action_flag=CHANGE).order_by("pk")
    return [(str(each.object_id), each.get_change_message()) for each in entries]


def test_ten_thousand_sessions_are_ended_at_once(user):
    """AD-03: All sessions found are ended by one form, beyond the limit of a batch."""
    template = SessionFamilyFactory.build(user=user, user_pk=str(user.pk))
    values = {
        field.attname: getattr(template, field.attname)
        for field in SessionFamily._meta.concrete_fields
        if field.name != "id"
    }
    SessionFamily.objects.bulk_create(SessionFamily(**values) for _ in range(10_001))
    browser = staff(VIEW, REVOKE)
    shown_first = SessionFamily.objects.first()
    form = {
        "action": "revoke_selected",
        "select_across": "1",
        "post": "yes",
        "_selected_action": [str(shown_first.pk)],
    }

    response = browser.post(LIST, form, follow=True)

    assert told(response) == ["10001 sessions were revoked."]
    assert not SessionFamily.objects.filter(revoked_at=None).exists()
    assert LogEntry.objects.filter(action_flag=CHANGE).count() == 10_001


def test_action_ends_sessions(api, user):
    """The action revokes by one UPDATE, logged for each session (AD-02)."""
    access = api.log_in(user)["access"]
    api.get("/plain/", **bearer(access))
    families = [SessionFamily.objects.get(), SessionFamilyFactory.create()]
    ended = SessionFamilyFactory.create(
        revoked_at=timezone.now(), revoked_reason=RevokedReason.LOGOUT
    )
    kept = SessionFamilyFactory.create()
    browser = staff(VIEW, REVOKE)

    with CaptureQueriesContext(connection) as queries:
        response = act(browser, *families, ended)

    updates = [
        query["sql"]
        for query in queries.captured_queries
        if query["sql"].startswith("UPDATE") and "sessionfamily" in query["sql"]
    ]
    assert len(updates) == 1
    assert count(queries)[1] <= 6
    assert told(response) == ["2 sessions were revoked."]
    reasons = dict(SessionFamily.objects.values_list("pk", "revoked_reason"))
    assert reasons == {
        **dict.fromkeys([family.pk for family in families], "staff"),
        ended.pk: "logout",
        kept.pk: "",
    }
    entries = LogEntry.objects.filter(action_flag=CHANGE)
    assert {entry.object_id for entry in entries} == {str(f.pk) for f in families}
    assert {entry.user for entry in entries} == {response.context["user"]}
    assert {entry.get_change_message() for entry in entries} == {"Revoked the session."}
    assert refusal(api.get("/plain/", **bearer(access))) == (401, "session_ended")


def test_action_counts_one_session_as_one():
    """The message is in the singular where it is about one session."""
    response = act(staff(VIEW, REVOKE), SessionFamilyFactory.create())

    assert told(response) == ["1 session was revoked."]


def test_nothing_is_ended_before_all_that_was_found_is_confirmed():
    """Who selects more than the page shows is asked first, and told how many."""
    SessionFamilyFactory.create_batch(3, device="Lynx")
    other = SessionFamilyFactory.create()
    ended = SessionFamilyFactory.create(device="Lynx", revoked_at=timezone.now())
    browser = staff(VIEW, REVOKE)
    chosen = {"select_across": "1", "_selected_action": [str(ended.pk)]}
    form = {"action": "revoke_selected", **chosen}
    path = f"{LIST}?device=Lynx"

    asked = browser.post(path, form)
    before = reasons()
    done = browser.post(path, dict(asked.context["hidden_fields"]), follow=True)

    assert "This ends all sessions found: 3." in asked.content.decode()
    assert set(before.values()) == {""}
    assert told(done) == ["3 sessions were revoked."]
    assert reasons()[other.pk] == ""


def test_many_are_counted_up_to_a_limit(monkeypatch):
    """The question says "more than" where a count would take too long."""
    monkeypatch.setattr("rotating_sessions.admin.listing.MAX_COUNT", 2)
    family = SessionFamilyFactory.create_batch(3)[0]
    form = {"action": "revoke_selected", "_selected_action": [str(family.pk)]}

    asked = staff(VIEW, REVOKE).post(LIST, {**form, "select_across": "1"})

    assert "This ends all sessions found: more than 2." in asked.content.decode()


@pytest.mark.parametrize("where", ["users", "sessions"])
def test_all_sessions_of_users_are_ended(where):
    """
    The action on users, or on some of their sessions, ends every session of theirs.

    One entry is logged for each user who had a session left to end.
    """
    morgaine, elaine, idler = UserFactory.create_batch(3)
    mine = SessionFamilyFactory.create_batch(2, user=morgaine)
    hers = SessionFamilyFactory.create(user=elaine)
    old = SessionFamilyFactory.create(user=idler, revoked_at=timezone.now())
    kept = SessionFamilyFactory.create()
    browser = staff(VIEW, REVOKE, "view_user")
    path, name, rows = {
        "users": (USERS, "revoke_users_sessions", [morgaine, elaine, idler]),
        "sessions": (LIST, "revoke_users_of_selected", [mine[0], hers, old]),
    }[where]
    form = {"action": name, "_selected_action": [str(row.pk) for row in rows]}

    asked = browser.post(path, form)
    before = reasons()
    done = browser.post(path, {**form, "post": "yes"}, follow=True)

    page = asked.content.decode()
    assert "This ends all live sessions of these users: 3." in page
    assert all(f"<li>{user}</li>" in page for user in (morgaine, elaine, idler))
    assert set(before.values()) == {""}
    assert told(done) == ["3 sessions were revoked."]
    after = reasons()
    assert [after[family.pk] for family in (*mine, hers)] == ["staff"] * 3
    assert [after[family.pk] for family in (old, kept)] == [""] * 2
    note = "Revoked all sessions of the user."
    assert sorted(logged()) == sorted(
        (str(user.pk), note) for user in (morgaine, elaine)
    )


def test_question_names_some_of_many_users():
    """Of many users the question names twenty, and says that there are more."""
    users = UserFactory.create_batch(21)
    form = {"action": "revoke_users_sessions"}
    chosen = [str(user.pk) for user in users]

    asked = staff(VIEW, REVOKE, "view_user").post(
        USERS, {**form, "_selected_action": chosen}
    )

    assert len(asked.context["names"]) == 21
    assert asked.context["names"][-1] == "…"


@pytest.mark.parametrize(
    ("permissions", "offered"),
    [
        (["view_user"], False),
        (["view_user", VIEW], False),
        (["view_user", REVOKE], False),
        (["view_user", VIEW, REVOKE], True),
    ],
)
def test_action_on_users_takes_both_permissions(user, permissions, offered):
    """On users' list, too, who may see and end sessions does, and nobody else."""
    family = SessionFamilyFactory.create(user=user)
    browser = staff(*permissions)
    chosen = {"_selected_action": [str(user.pk)], "post": "yes"}

    page = browser.get(USERS).content.decode()
    browser.post(USERS, {"action": "revoke_users_sessions", **chosen})

    assert ("revoke_users_sessions" in page) is offered
    assert (reasons()[family.pk] == "staff") is offered


@pytest.mark.parametrize("actions", [None, (), [revoke_users_sessions]])
def test_admin_of_users_of_a_site_gets_the_action(actions):
    """A site's own admin of users has the action once, after one line."""

    @offer_revocation
    class SiteUserAdmin(admin.ModelAdmin):
        pass

    SiteUserAdmin.actions = actions
    offer_revocation(SiteUserAdmin)

    own = SiteUserAdmin(User, admin.AdminSite())
    assert SiteUserAdmin.actions == [revoke_users_sessions]
    assert own.check() == []


@pytest.mark.parametrize("many", [False, True])
def test_database_that_fails_is_told(user, many):
    """Staff are told that the database failed, and may run the action again."""
    family = SessionFamilyFactory.create(user=user)
    browser = staff(VIEW, REVOKE)
    name = "revoke_users_of_selected" if many else "revoke_selected"
    form = {"action": name, "_selected_action": [str(family.pk)], "post": "yes"}

    with database_down(only="UPDATE"):
        browser.post(LIST, form)
    response = browser.get(LIST)

    assert told(response) == [
        "The database failed. Run the action again.",
        "0 sessions were revoked.",
    ]
    assert reasons() == {family.pk: ""}


@pytest.mark.parametrize("where", ["list", "page"])
def test_revocation_outlives_a_log_that_fails(monkeypatch, where):
    """Under ATOMIC_REQUESTS, too, what was revoked stays so when the log fails."""
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", 1)
    family = SessionFamilyFactory.create()
    browser = staff(VIEW, REVOKE)
    browser.raise_request_exception = False
    chosen = {"action": "revoke_selected", "_selected_action": [str(family.pk)]}
    path = {"list": LIST, "page": f"{LIST}{family.pk}/revoke/"}[where]

    with database_down(only="django_admin_log"):
        response = browser.post(path, chosen)

    assert response.status_code == 500
    assert reasons() == {family.pk: "staff"}


def test_session_is_ended_from_its_page(user):
    """The page of a live session leads to a question, whose form ends it."""
    family = SessionFamilyFactory.create(user=user)
    browser = staff(VIEW, REVOKE)
    link = f"{LIST}{family.pk}/revoke/"

    page = browser.get(detail(family))
    asked = browser.get(link)
    before = reasons()
    done = browser.post(link, follow=True)

    assert f'<a href="{link}">Revoke</a>' in page.content.decode()
    text = f"This ends the session of {user} on Firefox on Linux."
    assert text in asked.content.decode()
    assert f'href="{detail(family)}"' in asked.content.decode()
    assert before == {family.pk: ""}
    assert done.redirect_chain == [(detail(family), 302)]
    assert told(done) == ["The session was revoked."]
    assert reasons() == {family.pk: "staff"}
    assert logged() == [(str(family.pk), "Revoked the session.")]
    assert link not in done.content.decode()


@pytest.mark.parametrize("method", ["get", "post"])
def test_session_that_ended_is_not_ended_again(method):
    """Of a session that has ended, staff are told so, and nothing is logged."""
    family = SessionFamilyFactory.create(idle_at=timezone.now())
    browser = staff(VIEW, REVOKE)

    response = getattr(browser, method)(f"{LIST}{family.pk}/revoke/", follow=True)

    assert told(response) == ["The session had ended before."]
    assert reasons() == {family.pk: ""}
    assert logged() == []


@pytest.mark.parametrize("page", ["revoke/", "timeline.csv"])
@pytest.mark.parametrize("key", ["nonsense", "a3a7bd9e-2a38-4ab8-9a6f-1c5c5a0f4a11"])
def test_session_that_is_not_there_is_not_found(page, key):
    """An id of no session leads to 404."""
    response = staff(VIEW, REVOKE).get(f"{LIST}{key}/{page}")

    assert response.status_code == 404


def test_question_is_posted_with_a_csrf_token():
    """AD-03: Without a CSRF token, the page's own form ends nothing either."""
    family = SessionFamilyFactory.create()
    browser = staff(VIEW, REVOKE)
    browser.handler.enforce_csrf_checks = True

    response = browser.post(f"{LIST}{family.pk}/revoke/")

    assert response.status_code == 403
    assert reasons() == {family.pk: ""}


def test_own_session_is_no_exception(user):
    """Staff who end the sessions of a user may be that user."""
    user.is_superuser = user.is_staff = True
    user.save()
    family = SessionFamilyFactory.create(user=user)
    browser = staff()
    browser.force_login(user)

    act(browser, family)

    assert reasons() == {family.pk: "staff"}
    assert browser.get(reverse("admin:index")).status_code == 200


def test_confirmation_is_of_the_menu_whose_button_was_pressed(user):
    """Where the menu above the list says something else, that is not done (AD-02)."""
    family = SessionFamilyFactory.create(user=user)
    browser = staff(VIEW, REVOKE, "view_user", "delete_user")
    chosen = {
        "action": ["delete_selected", "revoke_users_sessions"],
        "index": "1",
        "_selected_action": [str(user.pk)],
    }
    form: dict[str, list[str]] = {}
    for name, text in browser.post(USERS, chosen).context["hidden_fields"]:
        form.setdefault(name, []).append(text)

    browser.post(USERS, form)

    assert User.objects.filter(pk=user.pk).exists()
    assert reasons() == {family.pk: RevokedReason.STAFF}
