"""The action on the list of users, for whichever admin a site has for them."""

from __future__ import annotations

from typing import Any, TypeVar

from django.contrib.admin import ModelAdmin
from django.contrib.auth.admin import UserAdmin
from django.http import HttpRequest

from rotating_sessions.admin.revoking import may_revoke, revoke_users_sessions

__all__ = ["offer_revocation"]

_Admin = TypeVar("_Admin", bound=ModelAdmin)  # type: ignore[type-arg]


def offer_revocation(user_admin: type[_Admin]) -> type[_Admin]:
    """
    Add the action that ends all sessions of the selected users; decorates an admin.

    Django's own `UserAdmin` has it, and whatever inherits `actions` from that. Use it
    for an admin of users with a list of actions, or a base class, of its own.
    """
    actions = list(user_admin.actions or ())
    if revoke_users_sessions not in actions:
        user_admin.actions = [*actions, revoke_users_sessions]
    # Django asks the admin that an action is run in whether it is permitted.
    user_admin.has_revoke_sessions_permission = _has_permission  # type: ignore[attr-defined]
    return user_admin


def _has_permission(_user_admin: ModelAdmin[Any], request: HttpRequest) -> bool:
    return may_revoke(request.user)


# The class rather than what is registered: in whichever order apps are loaded, and on
# whichever admin site, a site's own subclass inherits it.
offer_revocation(UserAdmin)
