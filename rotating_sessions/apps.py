"""Wiring: what has to be connected when Django starts."""

from __future__ import annotations

from django.apps import AppConfig, apps
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_out
from django.db.models.signals import pre_delete
from django.utils.translation import gettext_lazy as _


class RotatingSessionsConfig(AppConfig):
    """The app, as INSTALLED_APPS finds it."""

    name = "rotating_sessions"
    verbose_name = _("Sessions")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks; end sessions at a logout, and with their user."""
        # Not at the top: models, and all that imports them, load after this module.
        from rotating_sessions import checks, logouts, services  # noqa: PLC0415

        checks.register_checks()
        user_logged_out.connect(logouts.end_session_of_request)
        # Each by name: a receiver for every model would slow down every deletion.
        for model in apps.get_models():
            if model._meta.concrete_model is get_user_model():  # noqa: SLF001 - Django's
                pre_delete.connect(
                    services.revoke_sessions_of_deleted_user, sender=model
                )
