"""Describe one method of an endpoint, as drf-spectacular takes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from rotating_sessions.contrib.spectacular.failures import UNAVAILABLE, Failure

__all__ = ["Description", "describe", "done"]

Description = Callable[..., Any]

_RETRY_AFTER = OpenApiParameter(
    "Retry-After",
    int,
    OpenApiParameter.HEADER,
    response=[429, 503],
    required=True,
    description="In seconds.",
)


def done(description: str, body: Any = None) -> OpenApiResponse:
    """Return the answer to a request that does what it is for."""
    return OpenApiResponse(response=body, description=description)


def describe(
    name: str,
    summary: str,
    success: OpenApiResponse,
    failures: tuple[Failure, ...],
    *,
    parameters: tuple[OpenApiParameter, ...] = (),
    request: Any = None,
    auth: list[dict[str, list[Any]]] | None = None,
) -> Description:
    """
    Return a decorator that documents a method of a view.

    Args:
        name: What generated clients call the operation.
        summary: One line for people.
        success: 200 where it has a body, else 204.
        failures: All that it may be refused with.
        parameters: Of path and query.
        request: A serializer, or a schema of JSON.
        auth: Security requirements; those of the authentication class if not given.
    """
    statuses = {each.status: each.response() for each in failures}
    waits = UNAVAILABLE.status in statuses
    return extend_schema(
        operation_id=name,
        summary=summary,
        description=summary,
        tags=["sessions"],
        parameters=[*parameters, *([_RETRY_AFTER] if waits else [])],
        request={"application/json": request} if isinstance(request, dict) else request,
        responses={200 if success.response else 204: success, **statuses},
        auth=auth,  # type: ignore[arg-type]
    )
