"""A proxy of the user model, as sites have them."""

from __future__ import annotations

from django.contrib.auth.models import User


class Colleague(User):
    """A user under another name, in the same table."""

    class Meta:
        proxy = True
