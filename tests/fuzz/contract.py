"""The OpenAPI document of the example project, and what it lets an endpoint answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.http import HttpResponseBase

__all__ = ["DOCUMENT", "SITE", "check_answer", "failures", "operations"]

SITE = Path(__file__).parent.parent.parent / "example_project"
DOCUMENT = SITE / "static" / "example_project" / "openapi.json"

_document: dict[str, Any] = json.loads(DOCUMENT.read_text(encoding="utf-8"))


def operations() -> list[tuple[str, str]]:
    """Return every path and method that is documented."""
    paths = _document["paths"]
    return [(path, method.upper()) for path in paths for method in paths[path]]


def failures() -> set[tuple[int, str]]:
    """Return each status and code that an endpoint documents, and that of no method."""
    answers = [_answers(path, method) for path, method in operations()]
    answers.append({405: _follow({"$ref": "#/components/responses/MethodNotAllowed"})})
    return {
        (status, code)
        for each in answers
        for status, response in each.items()
        for code in _codes(response)
    }


def check_answer(path: str, method: str, response: HttpResponseBase) -> None:
    """Raise unless this method of this path documents the status and the code."""
    method = "GET" if method == "HEAD" else method
    status, asked = response.status_code, f"{method} {path}"
    if (path, method) not in operations():
        # DRF answers OPTIONS. Any other method there is none of; but an endpoint may
        # refuse a request for its token or its body before it looks at the method.
        allowed = {400, 401, 403, 405, 413, 415, 425}
        allowed |= {200} if method == "OPTIONS" else set()
        assert status in allowed, f"{status} to {asked}, which is not documented"
        assert status != 405 or _cannot_be_cached(response), f"{asked} can be cached"
        return
    answers = _answers(path, method)
    assert status in answers, f"{asked}: {status} is not documented"
    codes = set(_codes(answers[status]))
    if codes and response.headers.get("Content-Type") == "application/json":
        body = json.loads(response.content)  # type: ignore[attr-defined]
        assert body.keys() == {"detail", "code"}, f"{asked}: {body}"
        assert body["code"] in codes, f"{asked}: {status} {body['code']}"
    if "Cache-Control" in answers[status].get("headers", {}):
        assert _cannot_be_cached(response), f"{asked} can be cached"


def _cannot_be_cached(response: HttpResponseBase) -> bool:
    return response.headers.get("Cache-Control") == "no-store"


def _answers(path: str, method: str) -> dict[int, Any]:
    responses = _document["paths"][path][method.lower()]["responses"]
    return {int(status): _follow(each) for status, each in responses.items()}


def _codes(response: Any) -> Iterator[str]:
    """Yield the codes that a failure may have; of a success there are none."""
    for content in response.get("content", {}).values():
        for part in content["schema"].get("allOf", ()):
            yield from part.get("properties", {}).get("code", {}).get("enum", ())


def _follow(node: Any) -> Any:
    """Return what a reference stands for."""
    if "$ref" not in node:
        return node
    found = _document
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found
