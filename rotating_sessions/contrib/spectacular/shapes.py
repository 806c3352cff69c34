"""The bodies of requests and answers, by names that no serializer of a site has."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from rest_framework import serializers

from rotating_sessions.conf import get_conf
from rotating_sessions.serializers import (
    LogoutEverywhereSerializer,
    ReauthenticateSerializer,
    RefreshSerializer,
)

__all__ = [
    "RotatingSession",
    "RotatingSessionAccess",
    "RotatingSessionLogoutEverywhere",
    "RotatingSessionPage",
    "RotatingSessionReauthenticate",
    "RotatingSessionRefresh",
    "RotatingSessionTokens",
    "RotatingSessionsRevoked",
    "describe_login",
]

_Shape = serializers.Serializer[dict[str, Any]]


class RotatingSessionRefresh(RefreshSerializer):
    """The refresh token, in header transport; in cookie transport nothing."""


class RotatingSessionReauthenticate(ReauthenticateSerializer):
    """The password of the session's user."""


class RotatingSessionLogoutEverywhere(LogoutEverywhereSerializer):
    """The password, checked where it is given, and whether to keep this session."""


class RotatingSessionAccess(_Shape):
    """An access token; in cookie transport it is a cookie."""

    access = serializers.CharField(required=False)
    expires_in = serializers.IntegerField(
        min_value=1, help_text="Seconds that the access token serves."
    )


class RotatingSessionTokens(RotatingSessionAccess):
    """The tokens; in cookie transport they are cookies. No `refresh`: keep yours."""

    refresh = serializers.CharField(required=False)


class RotatingSessionsRevoked(_Shape):
    """How many sessions were ended."""

    revoked = serializers.IntegerField(min_value=0)


class RotatingSession(_Shape):
    """A session as its user sees it."""

    id = serializers.UUIDField()
    device = serializers.CharField()
    network = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    last_active = serializers.DateTimeField(help_text="To the hour.")
    current = serializers.BooleanField()


class RotatingSessionPage(_Shape):
    """A page of sessions, the newest first."""

    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = RotatingSession(many=True)


def describe_login() -> dict[str, object]:
    """Return the body of a login: its fields depend on user model and settings."""
    name, conf = get_user_model().USERNAME_FIELD, get_conf()
    # Not a field with choices: drf-spectacular would name an enum after it, which may
    # be the name of one of the site's.
    transport = {
        "type": "string",
        "enum": list(conf.transports),
        "default": conf.default_transport,
    }
    return {
        "type": "object",
        "required": [name, "password"],
        "properties": {
            name: {"type": "string", "minLength": 1, "maxLength": 254},
            "password": {"type": "string", "minLength": 1, "maxLength": 4096},
            "transport": transport,
            "remember": {"type": "boolean", "default": True},
        },
    }
