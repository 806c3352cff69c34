"""Each how-to of docs/integrations.md works when it is pasted into a new project."""

from __future__ import annotations

import pytest

from tests.pasting import Site, blocks

PAGE = "docs/integrations.md"

COMMON = """
import json
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.test import Client
from django.test.utils import setup_test_environment
from rotating_sessions.models import SessionFamily
setup_test_environment()
OLD, NEW = "lovelace lovelace", "a longer horse battery"
ada = get_user_model().objects.create_user("ada", "ada@example.org", OLD)


def post(path, body, access=None):
    extra = {"HTTP_AUTHORIZATION": "Bearer " + access} if access else {}
    text = json.dumps(body)
    return Client().post(path, text, content_type="application/json", **extra)


def listed(access):
    return Client().get("/auth/sessions/", HTTP_AUTHORIZATION="Bearer " + access)


def ended():
    ends = SessionFamily.objects.order_by("created_at")
    return list(ends.values_list("revoked_reason", flat=True))
"""

DJANGO = """
from django.contrib.auth.tokens import default_token_generator
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode


def log_in():
    browser = Client()
    form = {"username": "ada", "password": OLD}
    answer = browser.post("/log-in/?next=/somewhere/", form, secure=True)
    assert answer["Location"] == "/somewhere/", answer
    assert "sessionid" not in answer.cookies
    return browser


first, second, third = log_in(), log_in(), log_in()
ada.refresh_from_db()
assert ada.last_login is not None
answer = first.post("/log-out/", secure=True)
assert answer.cookies["__Host-rs_access"]["max-age"] == 0
assert ended() == ["logout", "", ""], ended()
form = {"old_password": OLD, "new_password1": NEW, "new_password2": NEW}
assert second.post("/password/", form, secure=True).status_code == 302
assert ended() == ["logout", "", "password_changed"], ended()
assert second.get("/auth/sessions/", secure=True).status_code == 200
assert third.get("/auth/sessions/", secure=True).status_code == 401
ada.refresh_from_db()
uid = urlsafe_base64_encode(force_bytes(ada.pk))
stranger = Client()
link = f"/reset/{uid}/{default_token_generator.make_token(ada)}/"
there = stranger.get(link)["Location"]
form = {"new_password1": OLD, "new_password2": OLD}
assert stranger.post(there, form).status_code == 302
assert ended() == ["logout", "password_changed", "password_changed"], ended()
print("done")
"""

REST = """
login = {"username": "ada", "password": OLD}
first = post("/rest/login/", login).json()
second = post("/rest/login/", login).json()
third = post("/rest/login/", login).json()
assert not any(post("/rest/login/", login).cookies.values())
ada.refresh_from_db()
assert ada.last_login is not None
refreshed = post("/auth/refresh/", {"refresh": first["refresh"]})
assert refreshed.status_code == 200
assert post("/rest/logout/", {}, first["access"]).status_code == 200
assert listed(first["access"]).status_code == 401
body = {"old_password": OLD, "new_password1": NEW, "new_password2": NEW}
changed = post("/rest/password/change/", body, second["access"])
assert changed.status_code == 200, changed.content
assert listed(second["access"]).status_code == 200
assert listed(third["access"]).status_code == 401
assert ended() == ["logout", "", "password_changed", "password_changed"], ended()
print("done")
"""

DJOSER = """
login = {"username": "ada", "password": OLD}
first = post("/djoser/token/login/", login).json()
second = post("/djoser/token/login/", login).json()
third = post("/djoser/token/login/", login).json()
ada.refresh_from_db()
assert ada.last_login is not None
assert post("/djoser/token/logout/", {}, first["access"]).status_code == 204
assert listed(first["access"]).status_code == 401
body = {"current_password": OLD, "new_password": NEW}
changed = post("/djoser/users/set_password/", body, second["access"])
assert changed.status_code == 204, changed.content
assert listed(second["access"]).status_code == 200
assert listed(third["access"]).status_code == 401
assert ended() == ["logout", "", "password_changed"], ended()
print("done")
"""


@pytest.mark.parametrize(
    ("heading", "story"),
    [
        ("Views of django.contrib.auth", DJANGO),
        ("dj-rest-auth", REST),
        ("djoser", DJOSER),
    ],
)
def test_a_how_to_works_when_pasted(tmp_path, heading, story):
    """Login, logout and a new password start, end and keep the right sessions."""
    site = Site(tmp_path)
    site.paste(*blocks(PAGE, heading))

    output = site.shell(COMMON + story)

    assert output == "done\n"
