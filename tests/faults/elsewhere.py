"""Where the database is: for this process, for a moment, and for a process of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from django.db import connection, connections

_SCHEMES = {"postgresql": "postgres", "mysql": "mysql"}


@contextmanager
def elsewhere(**changes: Any) -> Iterator[None]:
    """Connect to another place, such as HOST, PORT or NAME, while the context lasts."""
    settings = connection.settings_dict
    saved = {name: settings[name] for name in changes}
    connections.close_all()
    settings.update(changes)
    try:
        yield
    finally:
        connections.close_all()
        settings.update(saved)


def database_url() -> str:
    """Return the DATABASE_URL by which another process reaches this database."""
    place = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{place['NAME']}"
    login = quote(place["USER"], safe="")
    if place["PASSWORD"]:
        login += ":" + quote(place["PASSWORD"], safe="")
    host = f"{place['HOST'] or '127.0.0.1'}:{place['PORT']}".rstrip(":")
    return f"{_SCHEMES[connection.vendor]}://{login}@{host}/{place['NAME']}"
