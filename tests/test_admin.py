"""Staff see sessions, end them under a permission of its own, and edit nothing."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format

from rotating_sessions.models import RefreshToken, RevokedReason, SessionFamily
from tests.browsing import Api, bearer, refusal
from tests.factories import SessionFamilyFactory, UserFactory
from tests.staffing import LIST, REVOKE, VIEW, act, detail, shown, staff

pytestmark = pytest.mark.django_db(transaction=True)


def test_list_shows_sessions(user):
    """The list tells each session from others, and how it stands, with the reason."""
    family = SessionFamilyFactory.create(user=user)
    SessionFamilyFactory.create(
        revoked_at=timezone.now(), revoked_reason=RevokedReason.REUSED
    )

    response = staff(VIEW).get(LIST)

    html = response.content.decode()
    assert response.status_code == 200
    for text in (user.username, family.device, family.ip_address, family.generation):
        assert f">{text}<" in html
    for text in (">A superseded token was used again: theft<", "Live<", "Revoked<"):
        assert text in html
    last_refresh = date_format(timezone.localtime(family.rotated_at), "DATETIME_FORMAT")
    assert f">{last_refresh}<" in html


@pytest.mark.parametrize(
    "page",
    ["", "?q=user", "?state=live", *("{}/change/", "{}/revoke/", "{}/timeline.csv")],
)
def test_staff_see_what_was_written(settings, page):
    """DB-03: No page about sessions reads them from a replica, which may be behind."""
    family = SessionFamilyFactory.create()
    browser = staff(VIEW, REVOKE)
    settings.DATABASE_ROUTERS = ["tests.routers.ReplicaOfSessions"]

    response = browser.get(f"{LIST}{page.format(family.pk)}")

    assert response.status_code == 200
    assert response.getvalue()


@pytest.mark.parametrize("action", ["revoke_selected", "revoke_users_of_selected"])
def test_staff_end_what_was_written(settings, action):
    """DB-03: An action selects sessions where they are written, in no replica."""
    family = SessionFamilyFactory.create()
    browser = staff(VIEW, REVOKE)
    settings.DATABASE_ROUTERS = ["tests.routers.ReplicaOfSessions"]
    form = {"action": action, "_selected_action": [str(family.pk)], "post": "yes"}

    response = browser.post(LIST, form)

    assert response.status_code == 302
    assert SessionFamily.objects.using("default").get().revoked_reason == "staff"


def spellings(secret: bytes) -> set[str]:
    """Return the ways in which bytes are written out."""
    texts = {secret.hex(), secret.hex().upper(), repr(secret)[2:-1], str(list(secret))}
    texts |= {b64encode(secret).decode(), urlsafe_b64encode(secret).decode()}
    return texts | {text.rstrip("=") for text in texts}


@pytest.mark.parametrize("where", ["list", "detail", "user", "history"])
def test_no_page_shows_a_secret(api, user, where):
    """No admin page holds a token, a digest, a key or a hash, I-21 (AD-01)."""
    tokens = api.log_in(user)
    tokens |= api.send("/auth/refresh/", {"refresh": tokens["refresh"]}).json()
    family = SessionFamily.objects.get()
    browser = staff(is_superuser=True)
    act(browser, SessionFamilyFactory.create())
    secrets = {tokens["access"], tokens["refresh"], family.auth_hash, family.networks}
    digests = RefreshToken.objects.values_list("digest", flat=True)
    for value in (family.secret, family.current_digest, *digests):
        secrets |= spellings(bytes(value))
    path = {
        "list": LIST,
        "detail": detail(family),
        "user": reverse("admin:auth_user_change", args=[user.pk]),
        "history": f"{LIST}{family.pk}/history/",
    }[where]

    response = browser.get(path)

    html = response.content.decode()
    assert response.status_code == 200
    assert not [secret for secret in secrets if secret in html]


@pytest.mark.parametrize("path", [f"{LIST}add/", "{detail}", "{delete}"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_nobody_edits(path, method):
    """Not even a superuser adds, changes or deletes a session (AD-01)."""
    family = SessionFamilyFactory.create()
    before = SessionFamily.objects.values().get()
    path = path.format(detail=detail(family), delete=f"{LIST}{family.pk}/delete/")
    forbidden = method == "post" or not path.endswith("change/")

    response = getattr(staff(is_superuser=True), method)(path, {"device": "x"})

    assert response.status_code == (403 if forbidden else 200)
    assert SessionFamily.objects.values().get() == before


@pytest.mark.parametrize(
    ("permissions", "status", "offered", "revoked"),
    [
        ([], 403, False, False),
        ([VIEW], 200, False, False),
        ([REVOKE], 403, False, False),
        ([VIEW, REVOKE], 200, True, True),
        (["change_user", "view_user"], 403, False, False),
    ],
)
def test_each_permission_allows_this_and_no_more(permissions, status, offered, revoked):
    """To see sessions and to end them are two permissions (AD-02)."""
    family = SessionFamilyFactory.create()
    browser = staff(*permissions)
    page = browser.get(LIST)

    act(browser, family)

    family.refresh_from_db()
    assert page.status_code == status
    assert ("revoke_selected" in page.content.decode()) is offered
    assert (family.revoked_at is not None) is revoked


PAGES = [
    *("list", "session", "its history", "its timeline", "the question"),
    *("add", "edit", "delete", "user", "revoke", "revoke one"),
]


@pytest.mark.parametrize(
    ("permissions", "statuses"),
    [
        # What each page answers, in the order of PAGES; a redirect is an action done.
        ([], [403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403]),
        ([VIEW], [200, 200, 200, 200, 403, 403, 403, 403, 403, 200, 403]),
        ([REVOKE], [403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403]),
        ([VIEW, REVOKE], [200, 200, 200, 200, 200, 403, 403, 403, 403, 302, 302]),
        (["view_user"], [403, 403, 403, 403, 403, 403, 403, 403, 200, 403, 403]),
        (
            ["change_user", REVOKE],
            [403, 403, 403, 403, 403, 403, 403, 403, 200, 403, 403],
        ),
        (["*"], [200, 200, 200, 200, 200, 403, 403, 403, 200, 302, 302]),
        (["nobody"], [302, 302, 302, 302, 302, 302, 302, 302, 302, 302, 302]),
    ],
    ids=lambda value: " ".join(map(str, value)),
)
def test_each_page_asks_for_its_permission(user, permissions, statuses):
    """AD-02: Row by row, staff see and do what their permissions name, and no more."""
    family, other = SessionFamilyFactory.create_batch(2, user=user)
    browser = Client() if permissions == ["nobody"] else staff(*permissions)
    if permissions == ["*"]:
        browser = staff(is_superuser=True)
    form = {"action": "revoke_selected", "_selected_action": [str(family.pk)]}

    answers = [
        browser.get(LIST),
        browser.get(detail(family)),
        browser.get(f"{LIST}{family.pk}/history/"),
        browser.get(f"{LIST}{family.pk}/timeline.csv"),
        browser.get(f"{LIST}{family.pk}/revoke/"),
        browser.post(f"{LIST}add/", {"device": "x"}),
        browser.post(detail(family), {"device": "x"}),
        browser.post(f"{LIST}{family.pk}/delete/", {"post": "yes"}),
        browser.get(reverse("admin:auth_user_change", args=[user.pk])),
        browser.post(LIST, form),
        browser.post(f"{LIST}{other.pk}/revoke/"),
    ]

    answered = dict(zip(PAGES, (each.status_code for each in answers), strict=True))
    family.refresh_from_db()
    other.refresh_from_db()
    assert answered == dict(zip(PAGES, statuses, strict=True))
    for each in (family, other):
        assert (each.revoked_at is not None) is (statuses[-1] == 302 != statuses[0])
    assert family.device != "x"


@pytest.mark.parametrize("method", ["get", "post"])
def test_action_is_posted_with_a_csrf_token(method):
    """AD-03: By GET, or without a CSRF token, no session is ended."""
    family = SessionFamilyFactory.create()
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(UserFactory.create(is_staff=True, is_superuser=True))
    form = {"action": "revoke_selected", "_selected_action": [str(family.pk)]}

    response = getattr(browser, method)(LIST, form)

    family.refresh_from_db()
    assert response.status_code == {"get": 302, "post": 403}[method]
    assert family.revoked_at is None


def test_password_changed_in_the_admin_ends_the_session(user):
    """Staff who set another password end the user's sessions by it (AC-03)."""
    api = Api()
    body = api.log_in(user)
    form = {"password1": "f0rest-lantern", "password2": "f0rest-lantern"}

    response = staff(is_superuser=True).post(
        reverse("admin:auth_user_password_change", args=[user.pk]),
        {**form, "usable_password": "true"},
    )

    assert response.status_code == 302
    assert api.get("/whoami/", **bearer(body["access"])).json()["user"] == ""
    refused = api.send("/auth/refresh/", {"refresh": body["refresh"]})
    assert refusal(refused) == (401, "session_ended")


def test_user_deactivated_in_the_admin_is_out(user):
    """Staff who take the "active" from a user end the user's sessions by it (AC-02)."""
    api = Api()
    body = api.log_in(user)
    joined = timezone.localtime(user.date_joined)
    form = {
        "username": user.username,
        "date_joined_0": joined.date().isoformat(),
        "date_joined_1": joined.time().isoformat(),
    }

    response = staff(is_superuser=True).post(
        reverse("admin:auth_user_change", args=[user.pk]), form
    )

    assert response.status_code == 302
    assert api.get("/whoami/", **bearer(body["access"])).json()["user"] == ""
    refused = api.send("/auth/refresh/", {"refresh": body["refresh"]})
    assert refusal(refused) == (401, "session_ended")


def test_user_deleted_in_the_admin_leaves_what_revocation_needs(user):
    """A user's sessions outlive the user, revoked and with the id (RV-06)."""
    api = Api()
    access = api.log_in(user)["access"]
    api.get("/plain/", **bearer(access))
    key = str(user.pk)
    browser = staff(is_superuser=True)
    path = reverse("admin:auth_user_delete", args=[user.pk])
    confirmation = browser.get(path)

    response = browser.post(path, {"post": "yes"})

    family = SessionFamily.objects.get()
    assert confirmation.status_code == 200
    assert response.status_code == 302
    assert (family.user, family.user_pk) == (None, key)
    assert family.revoked_reason == RevokedReason.USER_DELETED
    assert refusal(api.get("/plain/", **bearer(access))) == (401, "session_ended")


def test_staff_may_delete_a_user_without_permissions_on_sessions(user):
    """Whoever may delete users need not be allowed anything about sessions."""
    SessionFamilyFactory.create(user=user)
    browser = staff("delete_user", "view_user")
    path = reverse("admin:auth_user_delete", args=[user.pk])

    response = browser.post(path, {"post": "yes"})

    assert response.status_code == 302
    assert SessionFamily.objects.get().user is None


def test_session_of_a_deleted_user_is_shown():
    """Of a deleted user the id is left, in the list and on the session's page."""
    family = SessionFamilyFactory.create()
    key = family.user_pk
    family.user.delete()
    browser = staff(VIEW)

    pages = [browser.get(path).content.decode() for path in (LIST, detail(family))]

    assert all(f"deleted user {key}" in html for html in pages)


def test_page_of_a_user_links_to_their_sessions(user):
    """The user's page has a link that leads to the sessions of that user only."""
    family = SessionFamilyFactory.create(user=user)
    SessionFamilyFactory.create()
    browser = staff(VIEW, "view_user")
    link = f"{LIST}?user__exact={user.pk}"
    html = browser.get(reverse("admin:auth_user_change", args=[user.pk]))

    response = browser.get(link)

    assert f'<a href="{link}">Sessions</a>' in html.content.decode()
    assert shown(response) == {family.pk}


def test_page_of_a_user_has_no_link_for_who_may_not_see_sessions(user):
    """Staff without the permission to see sessions are not led to them."""
    path = reverse("admin:auth_user_change", args=[user.pk])

    response = staff("view_user").get(path)

    assert response.status_code == 200
    assert LIST not in response.content.decode()


def test_device_and_user_agent_are_escaped():
    """What a client calls itself is text in the admin, and no markup (AD-08)."""
    evil = "<script>alert(1)</script>"
    family = SessionFamilyFactory.create(device=evil, user_agent=evil)
    browser = staff(VIEW)

    pages = [browser.get(path).content.decode() for path in (LIST, detail(family))]

    assert not any(evil in html for html in pages)
