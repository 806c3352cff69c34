"""
The tables: session families, which hold the authority, and the tokens issued.

Only `services` writes here. Authority never needs a `RefreshToken` row: a token of any
generation proves itself by its MAC, so that history can be trimmed.
"""

from __future__ import annotations

import os
import uuid
from datetime import UTC, date, datetime

from django.conf import settings
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.lookups import Exact, IsNull
from django.utils.translation import gettext_lazy as _

from rotating_sessions.reasons import RevokedReason

__all__ = [
    "RefreshToken",
    "RevokedReason",
    "SessionFamily",
    "SessionFamilyQuerySet",
    "day_of",
]


class SessionFamilyQuerySet(models.QuerySet["SessionFamily"]):
    """Families by their state at a moment."""

    def not_revoked(self) -> SessionFamilyQuerySet:
        """
        Return those that are not revoked, to be written to.

        As an expression, and not `revoked_at=None`: for that MariaDB may lock the index
        before the row, and two writes that come from either side deadlock.
        """
        is_null = IsNull(F("revoked_at"), True)  # noqa: FBT003 - a lookup's arguments
        return self.filter(Exact(is_null, Value(True)))  # noqa: FBT003

    def live(self, now: datetime) -> SessionFamilyQuerySet:
        """Return those that are neither revoked nor expired nor idle too long."""
        return self.filter(revoked_at=None, expires_at__gt=now, idle_at__gt=now)

    def idle(self, now: datetime) -> SessionFamilyQuerySet:
        """Return those that nobody revoked, and that ended because they sat idle."""
        ended = self.filter(revoked_at=None, ends_on__lte=day_of(now))
        return ended.filter(idle_at__lte=now, idle_at__lt=F("expires_at"))

    def expired(self, now: datetime) -> SessionFamilyQuerySet:
        """Return those that nobody revoked, and that ended because of their age."""
        ended = self.filter(revoked_at=None, ends_on__lte=day_of(now))
        return ended.filter(expires_at__lte=now).filter(expires_at__lte=F("idle_at"))

    def anonymous(self) -> SessionFamilyQuerySet:
        """Return those that began without a login."""
        return self.filter(user=None, user_pk="")

    def ended_before(self, moment: datetime) -> SessionFamilyQuerySet:
        """Return those that had ended, in whichever way, before the moment."""
        return self.filter(
            Q(revoked_at__lt=moment) | Q(expires_at__lt=moment) | Q(idle_at__lt=moment)
        )


def day_of(moment: datetime) -> date:
    """Return the day that it is in UTC at a moment."""
    return moment.astimezone(UTC).date()


def new_secret() -> bytes:
    """Return a family's secret, without which nobody can mint its tokens."""
    return os.urandom(32)


class SessionFamily(models.Model):
    """
    One login on one device, or one visitor who has not logged in.

    `user_pk` outlives the user, so that what was issued to a deleted user stays known,
    and a user who is given the same primary key later inherits nothing. An anonymous
    session has an empty one.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        null=True,
        on_delete=models.SET_NULL,
        related_name="session_families",
        # The index below leads with the user.
        db_index=False,
    )
    user_pk = models.CharField(_("user id"), max_length=255)
    # Not serialized: a fixture ends the sessions in it, and carries nobody's secret.
    secret = models.BinaryField(default=new_secret, editable=False, serialize=False)
    transport = models.CharField(_("transport"), max_length=6)
    device = models.CharField(_("device"), max_length=100)

    generation = models.BigIntegerField(_("generation"), default=0)
    previous = models.BigIntegerField(_("previous generation"), null=True)
    current_digest = models.BinaryField(max_length=32, editable=False)
    previous_digest = models.BinaryField(max_length=32, null=True, editable=False)
    confirmed_at = models.DateTimeField(_("confirmed at"), null=True)
    displaced = models.PositiveSmallIntegerField(_("displaced"), default=0)
    auth_hash = models.CharField(max_length=24, editable=False)
    # Keyed hashes of at most four networks, the most recently used last.
    networks = models.CharField(max_length=80, blank=True, editable=False)

    auth_time = models.DateTimeField(_("logged in at"))
    created_at = models.DateTimeField(_("created at"), db_index=True)
    rotated_at = models.DateTimeField(_("last refresh"), null=True)
    expires_at = models.DateTimeField(_("expires at"))
    idle_at = models.DateTimeField(_("idle deadline"))
    # The day, in UTC, of whichever of the two comes first. It has the index that they
    # have not: a refresh that moves no indexed column leaves all indexes alone.
    ends_on = models.DateField(editable=False)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, db_index=True)
    revoked_reason = models.CharField(
        _("reason"), max_length=20, choices=RevokedReason, blank=True
    )

    ip_address = models.GenericIPAddressField(_("address"), null=True)
    user_agent = models.CharField(_("user agent"), max_length=256, blank=True)
    # The site's own, a JSON object. NULL where there is none: most have none.
    data = models.JSONField(null=True, editable=False)

    objects = SessionFamilyQuerySet.as_manager()

    class Meta:
        verbose_name = _("session")
        verbose_name_plural = _("sessions")
        default_permissions = ("view",)
        permissions = [("revoke_sessionfamily", _("Can revoke sessions"))]
        indexes = [
            # A user's live sessions, and those that were revoked since, without a look
            # at the ones that ended before. No column of it changes at a refresh.
            models.Index(
                fields=["user", "revoked_at", "expires_at"],
                name="rotating_sessions_by_user",
            ),
            # What ended, day by day, and within a day in an order to go on from.
            models.Index(fields=["ends_on", "id"], name="rotating_sessions_by_end"),
        ]

    def __str__(self) -> str:
        return f"{self.device} ({self.id})"

    @property
    def is_anonymous(self) -> bool:
        """Tell whether it began without a login: nobody's, and never anybody's."""
        return self.user_id is None and not self.user_pk

    @property
    def last_active(self) -> datetime:
        """Return the last refresh, or the login, cut to the hour."""
        moment = self.rotated_at or self.created_at
        return moment.replace(minute=0, second=0, microsecond=0)


class RefreshToken(models.Model):
    """One refresh token that was issued: the record that staff read."""

    pk = models.CompositePrimaryKey("family_id", "generation")
    family = models.ForeignKey(
        SessionFamily,
        verbose_name=_("session"),
        on_delete=models.CASCADE,
        related_name="refresh_tokens",
        # The primary key leads with the family, and is the only index.
        db_index=False,
        # Every write holds the lock of its family's row, so that none can be orphaned.
        db_constraint=False,
    )
    generation = models.BigIntegerField(_("generation"))
    issued_at = models.DateTimeField(_("issued at"))
    digest = models.BinaryField(max_length=32, editable=False)
    ip_address = models.GenericIPAddressField(_("address"), null=True)
    user_agent = models.CharField(_("user agent"), max_length=256, blank=True)
    reused_at = models.DateTimeField(_("reused at"), null=True)
    reused_ip_address = models.GenericIPAddressField(_("reused from"), null=True)
    reused_user_agent = models.CharField(_("reused by"), max_length=256, blank=True)

    class Meta:
        verbose_name = _("refresh token")
        verbose_name_plural = _("refresh tokens")
        # Shown on the page of its session, to whoever may see that.
        default_permissions = ()

    def __str__(self) -> str:
        return f"generation {self.generation} of {self.family_id}"
