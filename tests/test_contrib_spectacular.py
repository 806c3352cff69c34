"""The schema that drf-spectacular makes of the endpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import modify_settings
from drf_spectacular.openapi import AutoSchema
from rest_framework.views import APIView

from rotating_sessions.serializers import SessionSerializer
from tests.pasting import ROOT, Site, blocks

STATIC = ROOT / "example_project" / "static" / "example_project"
DOCUMENT = json.loads((STATIC / "openapi.json").read_text(encoding="utf-8"))
SCHEMES = {
    "rotatingSessionBearer": "bearer",
    "rotatingSessionAccessCookie": "accessCookie",
    "rotatingSessionRefreshCookie": "refreshCookie",
}
APPS = ["drf_spectacular", "rotating_sessions.contrib.spectacular"]


@pytest.fixture
def make(settings, monkeypatch, tmp_path):
    """Return how to make the schema: validated, and with no warning."""
    settings.REST_FRAMEWORK = {
        "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"
    }
    # DRF's views read that setting once, which was before it was set.
    monkeypatch.setattr(APIView, "schema", AutoSchema())

    def run() -> dict[str, Any]:
        call_command(
            "spectacular",
            "--validate",
            "--fail-on-warn",
            "--format=openapi-json",
            "--urlconf=tests.urls_of_auth",
            f"--file={tmp_path / 'schema.json'}",
        )
        return json.loads((tmp_path / "schema.json").read_text())

    with modify_settings(INSTALLED_APPS={"append": APPS}):
        yield run


def follow(document: dict[str, Any], node: Any) -> Any:
    """Return what a reference stands for, and what it refers to in turn."""
    if isinstance(node, list):
        return [follow(document, each) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        found = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return follow(document, found)
    return {name: follow(document, each) for name, each in node.items()}


def flat(kinds: str | list[str]) -> list[str]:
    """Return the types of a schema, of which OpenAPI 3.1 may name several."""
    return [kinds] if isinstance(kinds, str) else kinds


def shape(schema: Any) -> Any:
    """Return names, types and formats of a body, however it is written down."""
    if not schema:
        return None
    parts = schema.get("allOf", [schema])
    properties = {}
    for part in parts:
        for name, each in part.get("properties", {}).items():
            properties[name] = {**properties.get(name, {}), **each}
    kinds = [kind for part in parts for kind in flat(part.get("type", []))]
    nullable = schema.get("nullable", "null" in kinds)
    found = {
        "required": sorted(
            {name for part in parts for name in part.get("required", ())}
        ),
        "properties": {name: shape(each) for name, each in properties.items()},
        # An enumeration of texts says what it is of.
        "type": [kind for kind in kinds if kind != "null" and "enum" not in schema],
        "nullable": nullable,
        "items": shape(schema.get("items")),
        "format": schema.get("format"),
        "enum": schema.get("enum"),
        "maxLength": schema.get("maxLength"),
        "minimum": schema.get("minimum"),
        "default": schema.get("default"),
    }
    return {name: each for name, each in found.items() if each}


def body_of(part: dict[str, Any]) -> Any:
    """Return the shape of the JSON of a request or an answer."""
    return shape(part.get("content", {}).get("application/json", {}).get("schema"))


def facts(document: dict[str, Any]) -> dict[tuple[str, str], Any]:
    """Return all that a client learns of each operation below /auth/."""
    found = {}
    for path, methods in follow(document, document["paths"]).items():
        if not path.startswith("/auth/") or "refresh-page" in path:
            continue
        for method, operation in methods.items():
            found[path.replace("{family_id}", "{id}"), method] = {
                "id": operation["operationId"],
                "summary": operation["summary"],
                "security": [
                    [SCHEMES.get(name, name) for name in way]
                    for way in operation.get("security", [{}])
                ],
                "parameters": [
                    (each["in"], each.get("required", False), each["description"])
                    for each in operation.get("parameters", ())
                ],
                "request": body_of(operation.get("requestBody", {})),
                "responses": {
                    status: (
                        body_of(answer),
                        "Retry-After" in answer.get("headers", {}),
                    )
                    for status, answer in operation["responses"].items()
                },
            }
    return found


def test_the_schema_is_the_document(make):
    """Each operation, parameter, body, status and code is that of the document."""
    made, written = facts(make()), facts(DOCUMENT)

    assert made.keys() == written.keys()
    for operation, fact in written.items():
        assert made[operation] == fact, operation


def test_the_security_schemes_are_those_of_the_document(make):
    """The schemes are the same, under names that are ours alone."""
    made = make()["components"]["securitySchemes"]

    assert {SCHEMES[name]: each for name, each in made.items()} == DOCUMENT[
        "components"
    ]["securitySchemes"]


@pytest.mark.parametrize(
    ("transport", "scheme"),
    [
        ("header", "rotatingSessionBearer"),
        ("cookie", "rotatingSessionAccessCookie"),
    ],
)
def test_a_transport_that_is_not_allowed_is_not_documented(
    make, settings, transport, scheme
):
    """TRANSPORTS decides about schemes, and about what a login may choose."""
    settings.ROTATING_SESSIONS = {
        "TRANSPORTS": (transport,),
        "DEFAULT_TRANSPORT": transport,
    }

    schema = make()

    login = facts(schema)["/auth/login/", "post"]["request"]["properties"]
    assert login["transport"] == {"enum": [transport], "default": transport}
    assert schema["paths"]["/auth/sessions/"]["get"]["security"] == [{scheme: []}]
    schemes = set(schema["components"]["securitySchemes"])
    cookie = {"rotatingSessionRefreshCookie"} if transport == "cookie" else set()
    assert schemes == {scheme} | cookie


def test_a_listed_session_has_the_fields_of_its_serializer(make):
    """What is documented of a session is what the endpoint makes of one."""
    documented = make()["components"]["schemas"]["RotatingSession"]["properties"]

    assert tuple(documented) == SessionSerializer.Meta.fields


def test_the_how_to_works_when_pasted(tmp_path: Path):
    """A new project with the lines of docs/openapi.md validates, without a warning."""
    site = Site(tmp_path)
    site.paste(*blocks("docs/openapi.md", "Set it up"))

    site.run("manage.py", "spectacular", "--validate", "--fail-on-warn")
    output = site.shell(
        "from drf_spectacular.generators import SchemaGenerator\n"
        "print(*SchemaGenerator().get_schema(public=True)['paths'])"
    )

    assert "/auth/refresh/" in output.split()
