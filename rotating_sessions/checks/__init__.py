"""System checks: settings that cannot be right, or are unsafe where they are used."""

from __future__ import annotations

from django.core.checks import Tags, register

from rotating_sessions.checks.claims import check_claims
from rotating_sessions.checks.database import check_database
from rotating_sessions.checks.keys import check_access_keys
from rotating_sessions.checks.pages import check_pages
from rotating_sessions.checks.surroundings import (
    check_deployment,
    check_surroundings,
)
from rotating_sessions.checks.values import check_values

__all__ = ["register_checks"]


def register_checks() -> None:
    """
    Register all checks.

    Those of deployment run with `check --deploy` only, and the one that asks the
    database before `migrate` and with `check --database`.
    """
    register(check_values, Tags.security)
    register(check_access_keys, Tags.security)
    register(check_claims, Tags.security)
    register(check_surroundings, Tags.security)
    register(check_pages, Tags.security)
    register(check_deployment, Tags.security, deploy=True)
    register(check_database, Tags.database)
