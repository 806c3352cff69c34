"""Rows for tests. No two moments of a row coincide, and no two ids are equal."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256

import factory
from django.contrib.auth import get_user_model
from django.utils import timezone

from rotating_sessions.models import RefreshToken, SessionFamily, day_of
from rotating_sessions.services.reading import password_state

__all__ = ["RefreshTokenFactory", "SessionFamilyFactory", "UserFactory"]

PASSWORD = "correct horse battery staple"


class UserFactory(factory.django.DjangoModelFactory):
    """A user who can log in with PASSWORD."""

    class Meta:
        model = get_user_model()
        skip_postgeneration_save = True

    username = factory.Sequence(lambda n: f"user{n + 11}")
    password = factory.django.Password(PASSWORD)


class SessionFamilyFactory(factory.django.DjangoModelFactory):
    """
    A live session that has been refreshed twice, an hour ago for the last time.

    Its tokens exist as digests only: a test that has to present one logs in.
    """

    class Meta:
        model = SessionFamily

    class Params:
        now = factory.LazyFunction(lambda: timezone.now())  # noqa: PLW0108 - patched

    user = factory.SubFactory(UserFactory)
    user_pk = factory.LazyAttribute(lambda family: str(family.user.pk))
    transport = "header"
    device = "Firefox on Linux"
    generation = 2
    previous = 1
    current_digest = factory.Sequence(lambda n: sha256(f"current{n}".encode()).digest())
    previous_digest = factory.Sequence(
        lambda n: sha256(f"previous{n}".encode()).digest()
    )
    auth_hash = factory.LazyAttribute(lambda family: password_state(family.user))
    auth_time = factory.LazyAttribute(lambda family: family.now - timedelta(days=2))
    created_at = factory.LazyAttribute(
        lambda family: family.now - timedelta(days=2, seconds=-1)
    )
    rotated_at = factory.LazyAttribute(lambda family: family.now - timedelta(hours=1))
    confirmed_at = factory.LazyAttribute(
        lambda family: family.now - timedelta(minutes=59)
    )
    idle_at = factory.LazyAttribute(lambda family: family.now + timedelta(days=13))
    expires_at = factory.LazyAttribute(lambda family: family.now + timedelta(days=28))
    ends_on = factory.LazyAttribute(
        lambda family: day_of(min(family.expires_at, family.idle_at))
    )
    ip_address = "203.0.113.5"


class RefreshTokenFactory(factory.django.DjangoModelFactory):
    """The ledger row of a token of a family."""

    class Meta:
        model = RefreshToken

    family = factory.SubFactory(SessionFamilyFactory)
    generation = factory.Sequence(lambda n: n)
    digest = factory.Sequence(lambda n: sha256(f"token{n}".encode()).digest())
    issued_at = factory.Sequence(
        lambda n: timezone.now() - timedelta(days=3) + timedelta(minutes=n)
    )
    ip_address = "203.0.113.6"
