"""Routers of a site that has replicas, which nobody may ask for a session."""

from __future__ import annotations

from typing import Any

REPLICA = "replica-that-nobody-may-ask"


class EveryReplica:
    """All reads go to a replica that is not there, unless they say where to."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return REPLICA

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "default"


class ReplicaOfSessions(EveryReplica):
    """Reads of sessions and their tokens do; what is Django's own is left to Django."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        ours = model._meta.app_label == "rotating_sessions"
        return REPLICA if ours else None


class NoRelation:
    """Sessions and users have an alias each, of the same database: none may refer."""

    # Nobody asks, which is what a test with it is about.
    def allow_relation(  # pragma: no cover
        self, _one: Any, _other: Any, **_hints: Any
    ) -> bool:
        return False
