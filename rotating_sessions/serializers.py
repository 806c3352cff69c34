"""The shapes of requests and answers."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.utils.translation import gettext as _
from rest_framework import serializers

from rotating_sessions.clients import describe_network
from rotating_sessions.conf import get_conf
from rotating_sessions.models import SessionFamily

__all__ = [
    "LoginSerializer",
    "LogoutEverywhereSerializer",
    "ReauthenticateSerializer",
    "RefreshSerializer",
    "SessionSerializer",
]


class TextField(serializers.CharField):
    """Text as it was sent: a number is no text, and nothing is trimmed."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        """Return the text; fail on any other JSON type."""
        if not isinstance(data, str):
            self.fail("invalid")
        return data


class TokenField(TextField):
    """A token: whatever is in it, the codec refuses what is malformed."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_blank=True, **kwargs)
        self.validators = []


class LoginSerializer(serializers.Serializer[dict[str, Any]]):
    """The username field, `password`, and perhaps a transport and how long for."""

    password = TextField(max_length=4096)
    transport = TextField(required=False)
    remember = serializers.BooleanField(default=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields[get_user_model().USERNAME_FIELD] = TextField(max_length=254)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Fill in the site's transport, and refuse one that it does not allow."""
        conf = get_conf()
        transport = attrs.setdefault("transport", conf.default_transport)
        if transport not in conf.transports:
            raise serializers.ValidationError({"transport": _("Not allowed here.")})
        return attrs


class RefreshSerializer(serializers.Serializer[dict[str, str]]):
    """The refresh token, in header transport."""

    refresh = TokenField(required=False)


class ReauthenticateSerializer(serializers.Serializer[dict[str, str]]):
    """The password of the session's user."""

    password = TextField(max_length=4096)


class LogoutEverywhereSerializer(serializers.Serializer[dict[str, Any]]):
    """The password, which must be right where it is given, and what to keep."""

    password = TextField(required=False, max_length=4096)
    keep_current = serializers.BooleanField(default=False)


class SessionSerializer(serializers.ModelSerializer[SessionFamily]):
    """
    A session as its user may see it.

    `last_active` is cut to the hour and the generation is left out: neither tells the
    holder of a stolen token when its victim refreshes.
    """

    network = serializers.SerializerMethodField()
    last_active = serializers.SerializerMethodField()
    current = serializers.SerializerMethodField()

    class Meta:
        model = SessionFamily
        fields = (
            "id",
            "device",
            "network",
            "created_at",
            "last_active",
            "current",
        )
        read_only_fields = fields

    def get_network(self, family: SessionFamily) -> str | None:
        """Return the network that the session was last seen in."""
        return describe_network(family.ip_address)

    def get_last_active(self, family: SessionFamily) -> str:
        """Return the last refresh, or the login, cut to the hour."""
        field = serializers.DateTimeField()
        return str(field.to_representation(family.last_active))

    def get_current(self, family: SessionFamily) -> bool:
        """Tell whether this is the session that asks."""
        return bool(family.pk == self.context["current"])
