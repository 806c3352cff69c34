"""The OpenAPI document, the routes and README say the same."""

from __future__ import annotations

import json
import re
from typing import Any

from django.contrib.staticfiles import finders

from rotating_sessions.tokens.refresh import REFRESH_TOKEN_LENGTH
from rotating_sessions.transports.names import cookie_names
from rotating_sessions.urls import urlpatterns
from tests.fuzz.contract import DOCUMENT, failures, operations
from tests.test_readme import table

MOUNT = "/auth/"
METHODS = ["get", "post", "put", "patch", "delete"]
# What no endpoint answers, but a view of the site's that asks for a claim.
ELSEWHERE = {(403, "invalid_claim")}


def components(kind: str) -> Any:
    """Return the parts of one kind that the document's endpoints share."""
    return json.loads(DOCUMENT.read_text(encoding="utf-8"))["components"][kind]


def test_every_route_is_documented_and_nothing_else():
    """The document has the paths and methods of `rotating_sessions.urls`, all."""
    routed = {
        (MOUNT + str(route.pattern).replace("<str:family_id>", "{id}"), name.upper())
        for route in urlpatterns
        for name in METHODS
        if hasattr(route.callback.view_class, name)
    }

    documented = {each for each in operations() if each[0].startswith(MOUNT)}

    assert documented == routed


def test_the_documented_failures_are_those_of_readme():
    """README's table of errors has each status and code of the document."""
    stated = {
        (int(status), row[1].strip("`"))
        for row in table("### Errors")
        for status in row[0].split(", ")
    }

    assert failures() | ELSEWHERE == stated


def test_the_documented_cookies_are_those_that_are_set():
    """Whoever generates a client from the document gets the names of the cookies."""
    schemes = components("securitySchemes").values()
    names = {scheme["name"] for scheme in schemes if "name" in scheme}

    assert names == set(cookie_names())


def test_the_documented_refresh_token_is_as_long_as_one():
    """The document's pattern of a refresh token has its length."""
    pattern = components("schemas")["Tokens"]["properties"]["refresh"]["pattern"]

    assert re.search(pattern, "rsrt_".ljust(REFRESH_TOKEN_LENGTH, "A"))


def test_the_example_project_serves_the_document(settings):
    """The document is a static file of the example, beside its scripts."""
    settings.STATICFILES_DIRS = [DOCUMENT.parent.parent]

    assert finders.find("example_project/openapi.json") == str(DOCUMENT)
