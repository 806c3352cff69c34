"""Views that take a claim: who passes, and what everybody else is told."""

from __future__ import annotations

import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group

from rotating_sessions.exceptions import InvalidClaim
from rotating_sessions.models import SessionFamily
from rotating_sessions.permissions import check_claim, claim_required
from rotating_sessions.tokens.claims import MAX_SITE_CLAIMS, RESERVED_CLAIMS
from tests import claiming
from tests.acting import SKEW, TICK, counted
from tests.browsing import Api, bearer, refusal, rows, touches_cookies
from tests.test_permissions import PAGE
from tests.test_services_claims import promote

pytestmark = pytest.mark.django_db(transaction=True)

DOCS = Path(__file__).parent.parent / "docs" / "claims.md"
FRESH = timedelta(minutes=5)
EDIT = ["/edit/", "/edit/async/", "/edit/class/", "/api/edit/"]
VERIFIED = ["/verified/", "/api/verified/"]
DJANGO = [path for path in EDIT + VERIFIED if not path.startswith("/api/")]


@pytest.fixture(autouse=True)
def asked(settings: Any) -> None:
    settings.ROTATING_SESSIONS = {"CLAIMS": claiming.SETTING}


@pytest.fixture
def enter(user: Any, clock: Any) -> Any:
    """Return a browser with a session of an editor, or of whoever is asked for."""

    def log_in(roles: str = "editor author", email: str = "ada@example.org") -> Api:
        promote(user, roles)
        type(user).objects.update(email=email)
        api = Api()
        api.log_in(user, "cookie")
        api.get("/plain/")
        return api

    return log_in


@pytest.mark.parametrize("path", EDIT + VERIFIED)
def test_who_has_the_claim_passes(enter, path):
    """A claim that is true, or includes what is asked for, opens the view."""
    assert enter().get(path).status_code == 200


@pytest.mark.parametrize(
    ("path", "roles", "email"),
    [
        *((path, "author", "") for path in EDIT),
        *((path, "", "") for path in EDIT),
        *((path, "editors", "") for path in EDIT),
        *((path, "editor", "") for path in VERIFIED),
    ],
)
def test_who_has_not_is_told_which(enter, path, roles, email):
    """The refusal is a 403 with a code, and the name of the claim."""
    api = enter(roles, email)
    before = rows()

    response = api.get(path)

    assert response.status_code == 403
    assert response.json() == {
        "detail": "Your session does not allow this.",
        "code": "invalid_claim",
        "claim": "email_verified" if path in VERIFIED else "roles",
    }
    assert not touches_cookies(response)
    assert rows() == before


@pytest.mark.parametrize("path", DJANGO)
def test_refusal_is_in_no_cache(enter, path):
    """What one session may not do is kept for no other."""
    assert enter("", "").get(path)["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", EDIT + VERIFIED)
def test_a_site_that_says_nothing_opens_nothing(enter, settings, path):
    """Without CLAIMS, or from before it was set, no session has a claim."""
    settings.ROTATING_SESSIONS = {}

    assert refusal(enter().get(path)) == (403, "invalid_claim")


@pytest.mark.parametrize("path", EDIT)
@pytest.mark.parametrize(
    ("age", "passes"),
    [(FRESH, True), (FRESH + SKEW, True), (FRESH + SKEW + TICK, False)],
)
def test_a_claim_has_an_age(enter, clock, path, age, passes):
    """An older token is to be refreshed, whatever it says, and the skew is allowed."""
    clock.now = clock.now.replace(microsecond=0)
    api = enter()
    clock.forward(age)

    response = api.get(path)

    assert passes or refusal(response) == (401, "refresh_required")
    assert response.status_code == (200 if passes else 401)
    assert not touches_cookies(response)


@pytest.mark.parametrize("path", EDIT)
@pytest.mark.parametrize("roles", ["", "editor"])
def test_a_refresh_makes_a_claim_young(enter, user, clock, path, roles):
    """After the refresh that the answer asks for, the claim is that of now."""
    api = enter("editor" if not roles else "")
    clock.forward(FRESH + SKEW + TICK * 10**6)
    promote(user, roles)
    before = api.get(path)

    api.send("/auth/refresh/")

    after = api.get(path)
    assert refusal(before) == (401, "refresh_required")
    assert after.status_code == (200 if roles else 403)


def test_a_claim_without_an_age_is_as_good_as_its_token(enter, clock):
    """Where no age is asked for, a claim serves as long as its token."""
    api = enter()
    clock.forward(timedelta(minutes=29))

    assert [api.get(path).status_code for path in VERIFIED] == [200, 200]


@pytest.mark.parametrize("path", ["/edit/", "/edit/class/", "/verified/"])
def test_a_claim_is_asked_for_without_a_query(enter, path):
    """I-19: A warm request that is let pass, or refused, asks no database."""
    for api in (enter(), enter("", "")):
        with counted() as verbs:
            api.get(path)

        assert not verbs


@pytest.mark.parametrize("path", EDIT + VERIFIED)
def test_nobody_is_told_to_log_in(path):
    """Without a token there is no claim: 401, with a challenge."""
    response = Api().get(path)

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"


def test_exempt_view_answers_what_the_token_is_worth():
    """Where the middleware lets a bad token pass, the decorator tells of it."""
    response = Api().get("/edit/exempt/", **bearer("abc"))

    assert refusal(response) == (401, "invalid_token")


def test_a_page_is_refused_by_the_sites_own_page(enter):
    """A browser that asks for a page gets Django's 403, which the site can shape."""
    response = enter("", "").get("/verified/", **PAGE)

    assert response.status_code == 403
    assert response["Content-Type"].startswith("text/html")


def test_a_page_refreshes_by_itself(enter, clock):
    """A browser with a token that is too old passes through the refresh page."""
    api = enter()
    clock.forward(2 * FRESH)

    response = api.get("/edit/", **PAGE)

    assert response.status_code == 302
    assert response["Location"] == "/auth/refresh-page/?next=%2Fedit%2F"


def test_a_page_sends_nobody_to_log_in():
    """A browser without a session is sent to the sign-in page."""
    response = Api().get("/edit/", **PAGE)

    assert response["Location"] == "/sign-in/?next=/edit/"


def test_check_can_be_made_inside_a_view(enter):
    """A view that takes a claim for some input only asks when it sees that input."""
    request = enter().get("/plain/").wsgi_request

    check_claim(request, "roles", includes="author")

    with pytest.raises(InvalidClaim) as refused:
        check_claim(request, "roles", includes="owner")
    assert refused.value.facts == {"claim": "roles"}
    assert str(refused.value) == "Your session does not allow this."


@pytest.mark.parametrize(
    ("claim", "includes"),
    [("email_verified", "e"), ("email_verified", True), ("missing", "editor")],
)
def test_only_a_list_includes(enter, claim, includes):
    """What is no list includes nothing: a text's letters as little as a number."""
    request = enter().get("/plain/").wsgi_request

    with pytest.raises(InvalidClaim):
        check_claim(request, claim, includes=includes)


def test_what_is_asked_of_a_claim_is_named():
    """A second text by position would read as a second claim, and is an error."""
    with pytest.raises(TypeError):
        claim_required("roles", "editor")


# The page.


def test_the_function_of_the_page_works(tmp_path, settings, monkeypatch, user):
    """docs/claims.md: Its function and its setting, pasted, put roles into a token."""
    text = DOCS.read_text()
    [function] = re.findall(r"```python\n# shop/claims\.py\n(.*?)```", text, re.DOTALL)
    [path] = re.findall(r'"CLAIMS": "shop\.claims\.(\w+)"', text)
    (tmp_path / "pasted_claims.py").write_text(function)
    monkeypatch.syspath_prepend(tmp_path)
    settings.ROTATING_SESSIONS = {"CLAIMS": f"pasted_claims.{path}"}
    user.groups.add(Group.objects.create(name="editor"))

    api = Api()
    access = api.log_in(user)["access"]

    assert "pasted_claims" in sys.modules
    assert api.get("/edit/", **bearer(access)).status_code == 200
    assert SessionFamily.objects.count() == 1


def test_the_page_states_the_limits():
    """docs/claims.md: The size and the reserved names are those of the code."""
    text = DOCS.read_text()
    listed = text.split("claims (")[1].split(")")[0]

    assert f"{MAX_SITE_CLAIMS:,} bytes" in text
    assert set(re.findall(r"`(\w+)`", listed)) == RESERVED_CLAIMS
