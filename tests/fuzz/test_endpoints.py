"""
Schemathesis sends what the OpenAPI document allows, and what it does not.

To the WSGI application of the example project, as each kind of visitor: every answer is
one that the document names, in every detail, and none is a 5xx.
"""

from __future__ import annotations

from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Any

import pytest
import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from rest_framework.settings import api_settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import ignored_auth

import example_project.settings as example
from example_project.views import WhoAmI
from tests import figures
from tests.factories import PASSWORD
from tests.fuzz.contract import DOCUMENT, operations
from tests.fuzz.visitor import MODES, UNTHROTTLED, Visitor, arrive

pytestmark = pytest.mark.django_db
EXAMPLES = {False: 6, True: 100}
OF_THE_SITE = ["INSTALLED_APPS", "MIDDLEWARE", "ROOT_URLCONF", "TEMPLATES"]
OF_THE_SITE += ["REST_FRAMEWORK", "LOGIN_URL", "STATIC_URL"]
# The credentials are a visitor's. That a session ends by a logout is no fault.
CONFIG = {
    "generation": {"with-security-parameters": False},
    "checks": {
        "negative_data_rejection": {
            "expected-statuses": [400, 401, 403, 404, 413, 415]
        },
        "positive_data_acceptance": {
            "expected-statuses": ["2xx", 302, 401, 403, 404, 413],
        },
    },
}
BODIES = {
    "/auth/login/": {"username": "", "password": ""},
    "/auth/refresh/": {"refresh": ""},
    "/auth/refresh-page/": {"next": "/account/"},
    "/auth/logout/": {"refresh": ""},
    "/auth/reauthenticate/": {"password": ""},
    "/auth/logout-everywhere/": {"password": "", "keep_current": True},
}
# The refresh page is for browsers only.
GOOD = [
    (path, method, mode)
    for path, method in operations()
    for mode in ("header", "cookie")
    if (path, method, mode) != ("/auth/refresh-page/", "POST", "header")
]


@pytest.fixture
def site(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return the example project's document, over its application."""
    for name in OF_THE_SITE:
        setattr(settings, name, getattr(example, name))
    settings.ROTATING_SESSIONS = UNTHROTTLED
    settings.ALLOWED_HOSTS = ["localhost"]
    # DRF's views read their settings once, which was before these were set.
    for name in ("AUTHENTICATION_CLASSES", "PERMISSION_CLASSES"):
        value = getattr(api_settings, f"DEFAULT_{name}")
        monkeypatch.setattr(WhoAmI, name.lower(), value)
    config = schemathesis.Config.from_dict(CONFIG)
    document = schemathesis.openapi.from_path(DOCUMENT, config=config)
    document.app = WSGIHandler()
    # As Django's test client: a request must not close the test's own transaction.
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield document
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.parametrize(("path", "method"), operations())
def test_whatever_is_sent_is_answered_as_documented(site, deep, path, method):
    """Each request, good or bad and from whomever, has an answer the document names."""
    operation = site[path][method]
    cases = st.one_of(
        operation.as_strategy(generation_mode=mode) for mode in GenerationMode
    )

    @settings(
        max_examples=EXAMPLES[deep],
        derandomize=not deep,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, genuine=st.booleans())
    def promise(case: Case, genuine: bool) -> None:  # noqa: FBT001
        for mode in MODES:
            visitor = arrive()
            if genuine and case.meta.generation.mode.is_positive:
                fill(case, visitor)
            send(case, visitor, mode)

    promise()


@pytest.mark.parametrize(("path", "method", "mode"), GOOD)
def test_each_endpoint_does_what_it_is_for(site, path, method, mode):
    """A good request succeeds in either transport, as the document describes it."""
    body = BODIES.get(path, {}) if method == "POST" else {}
    if mode == "cookie":
        body = {name: body[name] for name in body if name != "refresh"}
    operation, visitor = site[path][method], arrive()
    case = operation.Case(body=dict(body)) if body else operation.Case()
    case.path_parameters = {"id": ""} if "{id}" in path else {}
    fill(case, visitor)

    status = send(case, visitor, mode)

    assert 200 <= status < 400


def fill(case: Case, visitor: Visitor) -> None:
    """Put what the server knows into the places that the case has for it."""
    known = {
        "username": visitor.user.get_username(),
        "password": PASSWORD,
        "refresh": visitor.header.refresh,
    }
    if isinstance(case.body, dict):
        case.body |= {name: known[name] for name in known if name in case.body}
    if case.path_parameters:
        case.path_parameters = {"id": str(visitor.session_id)}


def send(case: Case, visitor: Visitor, mode: str) -> int:
    """Send the case as this visitor, check all of the answer, and return its status."""
    headers = visitor.credentials(mode)
    jar = SimpleCookie(headers.pop("Cookie", ""))
    cookies = {name: morsel.value for name, morsel in jar.items()}
    response = case.call(headers=headers, cookies=cookies)
    figures.count("requests by schemathesis")
    figures.count(f"requests by schemathesis, {mode}")
    # What a bearer token opens is tried again without one; cookies it cannot drop.
    excluded = [ignored_auth] if cookies else []
    case.validate_response(response, headers=headers, excluded_checks=excluded)
    return response.status_code
