"""A member of staff at work: a browser in the admin, and what it shows."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Permission
from django.test import Client

from rotating_sessions.models import SessionFamily
from tests.factories import UserFactory

LIST = "/admin/rotating_sessions/sessionfamily/"
VIEW, REVOKE = "view_sessionfamily", "revoke_sessionfamily"


def detail(family: SessionFamily) -> str:
    return f"{LIST}{family.pk}/change/"


def staff(*permissions: str, **fields: Any) -> Client:
    """Return the browser of a member of staff who has these permissions."""
    member = UserFactory.create(is_staff=True, **fields)
    member.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    browser = Client()
    browser.force_login(member)
    return browser


def shown(response: Any) -> set[Any]:
    """Return the ids of the sessions on a page of the list."""
    return {family.pk for family in response.context["cl"].result_list}


def act(browser: Client, *families: SessionFamily) -> Any:
    """Choose the action for these sessions and press its button."""
    chosen = [str(family.pk) for family in families]
    data = {"action": "revoke_selected", "_selected_action": chosen}
    return browser.post(LIST, data, follow=True)


def told(response: Any) -> list[str]:
    """Return the messages on a page."""
    return [str(text) for text in response.context["messages"]]
