"""Caches: the one that counts attempts is down, broken or of another mind."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache

from tests.acting import rows_of
from tests.browsing import Api
from tests.factories import PASSWORD
from tests.faults.aftermath import (
    Request,
    carries_on,
    newcomer,
    passing,
    theft_is_caught,
)
from tests.figures import count

_BACKENDS = "django.core.cache.backends."


def _refused() -> str:
    """Return the address of a server that is not there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture(params=["no server", "no folder", "no table"])
def broken_cache(request: Any, settings: Any, tmp_path: Path) -> str:
    """Use a cache that fails, as real ones do."""
    (tmp_path / "file").touch()
    settings.CACHES = {
        "default": {
            "no server": {
                "BACKEND": f"{_BACKENDS}redis.RedisCache",
                "LOCATION": f"redis://{_refused()}",
            },
            "no folder": {
                "BACKEND": f"{_BACKENDS}filebased.FileBasedCache",
                "LOCATION": str(tmp_path / "file" / "folder"),
            },
            "no table": {
                "BACKEND": f"{_BACKENDS}db.DatabaseCache",
                "LOCATION": "no_such_table",
            },
        }[request.param]
    }
    with pytest.raises(Exception):  # noqa: B017, PT011 - each has errors of its own
        cache.set("is it", "broken")
    count("caches broken")
    return str(request.param)


@pytest.fixture(autouse=True)
def _cache_is_left_alone(settings: Any) -> Any:
    """Put the working cache back before the suite's own fixtures clear it."""
    working = settings.CACHES
    yield
    settings.CACHES = working


def test_endpoints_answer_without_a_cache(rf, clock, broken_cache):
    """DB-09: A cache that fails throttles nobody, and locks nobody out."""
    client = newcomer(rf)
    name = rows_of(client).get().user.get_username()
    login = Request(path="/auth/login/", body={"username": name, "password": PASSWORD})
    wrong = Request(path="/auth/login/", body={"username": name, "password": "guess"})

    assert login.send(Api()).status == 200
    assert wrong.send(Api()).code == (401, "invalid_credentials")
    carries_on(client, passing(clock))
    listed = Request(path="/auth/sessions/", access=client.access).send(Api())
    assert len(listed.body["results"]) == 2
    theft_is_caught(client, passing(clock))


def test_wrong_token_is_still_refused_without_a_cache(broken_cache):
    """DB-09: A refresh is guarded by its token, whether or not it is counted."""
    request = Request(path="/auth/refresh/", body={"refresh": "rsrt_made_up"})

    answer = request.send(Api())

    assert answer.code == (401, "invalid_token")
