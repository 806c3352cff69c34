"""Mail users about a login on a new device, and about a theft."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.mail import send_mail
from django.dispatch import receiver
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from rotating_sessions.clients import describe_network, translate_device
from rotating_sessions.models import SessionFamily
from rotating_sessions.services import write_database
from rotating_sessions.signals import refresh_token_reused, session_started

try:
    from django.tasks import task
except ImportError:  # Django 5.2

    def task(function: Callable[..., None]) -> Callable[..., None]:
        """Let the function be called where later Django puts it into a queue."""
        function.enqueue = function
        return function


__all__ = ["on_new_device", "on_theft", "send_new_device", "send_theft"]


# Both signals are sent after the commit, so that no mail tells of what was undone.
@receiver(session_started)
def on_new_device(
    *, family_id: UUID, user_pk: str, new_device: bool, **kwargs: Any
) -> None:
    """Queue a mail about a login on a device that the user did not have."""
    if new_device:
        send_new_device.enqueue(str(family_id), user_pk)


@receiver(refresh_token_reused)
def on_theft(*, family_id: UUID, **kwargs: Any) -> None:
    """Queue a mail about a session that ended in a theft."""
    send_theft.enqueue(str(family_id))


@task
def send_new_device(family_id: str, user_pk: str) -> None:
    """Send the mail, unless it is the first session that the user ever had."""
    families = SessionFamily.objects.using(write_database())
    others = families.filter(user_pk=user_pk).exclude(pk=family_id)
    if others.exists():
        _send(family_id, "new_device", "created_at")


@task
def send_theft(family_id: str) -> None:
    """Send the mail."""
    _send(family_id, "theft", "revoked_at")


def _send(family_id: str, kind: str, moment: str) -> None:
    # A replica may not know yet what has just been committed.
    families = SessionFamily.objects.using(write_database())
    family = families.select_related("user").filter(pk=family_id).first()
    if family is None or family.user is None or not family.user.email:
        return
    with translation.override(_language_of(family.user)):
        context = {
            "user": family.user,
            "device": translate_device(family.device),
            "network": describe_network(family.ip_address),
            "moment": getattr(family, moment),
            # From the settings: the Host header may be the thief's.
            "link": settings.SITE_URL + reverse("rotating_sessions_pages:sessions"),
        }
        subjects = {
            "new_device": _("New login to your account"),
            "theft": _("We ended a session to protect your account"),
        }
        text = render_to_string(f"example_project/mails/{kind}.txt", context)
        send_mail(subjects[kind], text, None, [family.user.email])


def _language_of(user: Any) -> str:
    """Return the user's language: never that of the request, which may be a thief's."""
    return getattr(user, "language", "") or settings.LANGUAGE_CODE
