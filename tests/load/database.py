"""The database of a run: made for it, looked through after it, and dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.db import connection
from django.db.models import Count, F, Sum, Window
from django.db.models.functions import Lag

from rotating_sessions.models import RefreshToken, SessionFamily
from tests.load.scenery import GRACE_PERIOD, PASSWORD

__all__ = ["Audit", "audit", "create_users", "own_database"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What the rows say when it is over."""

    families: int
    revoked: Counter[str]
    rotations: int
    """The sum of all families' generations: the successors that were issued."""
    tokens: int
    digests: int
    gaps: int
    """Families whose tokens on record are not exactly generations 0 to the newest."""
    hasty: int
    """Successors that came within the grace period of the one before."""


@contextmanager
def own_database() -> Iterator[None]:
    """Create the database that settings name, and drop it in the end."""
    name = connection.settings_dict["NAME"]
    # One of this name is what a run that was killed has left behind.
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        call_command("check", fail_level="WARNING")
        yield
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


def create_users(names: set[str]) -> None:
    """Create users who can log in with PASSWORD."""
    users = get_user_model()
    password = make_password(PASSWORD)
    users.objects.bulk_create(users(username=name, password=password) for name in names)


def audit() -> Audit:
    """Count what is in the tables."""
    families = SessionFamily.objects.all()
    tokens = RefreshToken.objects.all()
    reasons = families.exclude(revoked_at=None).values_list("revoked_reason", flat=True)
    order = {"partition_by": "family", "order_by": "generation"}
    spaced = tokens.annotate(
        before=Window(Lag("issued_at"), **order),
        predecessor=Window(Lag("generation"), **order),
    )
    # The first refresh after a login may come at once.
    hasty = spaced.filter(
        predecessor__gte=1,
        issued_at__lt=F("before") + timedelta(seconds=GRACE_PERIOD),
    )
    recorded = families.annotate(recorded=Count("refresh_tokens__generation"))
    return Audit(
        families=families.count(),
        revoked=Counter(reasons),
        rotations=families.aggregate(total=Sum("generation"))["total"] or 0,
        tokens=tokens.count(),
        digests=tokens.values("digest").distinct().count(),
        # Generations are unique in a family, so as many as there can be are all.
        gaps=recorded.exclude(recorded=F("generation") + 1).count(),
        hasty=hasty.count(),
    )
