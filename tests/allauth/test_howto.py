"""docs/allauth.md works when it is pasted."""

from __future__ import annotations

import pytest

from tests.pasting import Site, blocks

LOG_IN = """
import json, re
from django.contrib.auth import get_user_model
from django.core import mail
from django.test import Client
from django.test.utils import setup_test_environment
setup_test_environment()
get_user_model().objects.create_user("ada", "ada@example.org", "lovelace")


def post(client, path, body, **extra):
    return client.post(
        path, json.dumps(body), content_type="application/json", **extra
    ).json()


for kind in ("app", "browser"):
    client = Client()
    base = f"/_allauth/{kind}/v1/"
    asked = post(client, base + "auth/code/request", {"email": "ada@example.org"})
    code = re.search(r"^([A-Z0-9-]{6,})$", mail.outbox[-1].body, re.MULTILINE)[1]
    token = asked.get("meta", {}).get("session_token", "")
    answer = post(
        client, base + "auth/code/confirm", {"code": code}, HTTP_X_SESSION_TOKEN=token
    )
    assert answer["status"] == 200, answer
    if kind == "app":
        refresh = {"refresh_token": answer["meta"]["refresh_token"]}
        answer = post(client, base + "tokens/refresh", refresh)
        assert answer["status"] == 200, answer
        bearer = "Bearer " + answer["data"]["access_token"]
        listed = client.get("/auth/sessions/", HTTP_AUTHORIZATION=bearer)
    else:
        listed = client.get("/auth/sessions/", secure=True)
    print(kind, len(listed.json()["results"]))
"""


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_the_how_to_is_short():
    """What a site has to paste is fifteen lines."""
    lines = [
        line
        for _name, text in blocks("docs/allauth.md")
        for line in text.splitlines()
        if line.strip()
    ]

    assert 0 < len(lines) <= 15


def test_the_how_to_works_when_pasted(site):
    """A new project logs in by a mailed code, in both clients, and refreshes."""
    site.paste(*blocks("docs/allauth.md"))

    checked = site.run("manage.py", "check")
    output = site.shell(LOG_IN)

    assert "rotating_sessions_allauth" not in checked
    assert output.split() == ["app", "1", "browser", "2"]
