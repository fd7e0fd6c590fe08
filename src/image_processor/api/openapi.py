"""The parts of the OpenAPI description that FastAPI cannot derive from the routes."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from .error_status import MEDIA_TYPE
from .schemas import ProblemModel

ANY_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The file's bytes.",
        "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}

_DESCRIPTIONS = {
    400: "The request is invalid; `problems` names every error in it.",
    403: "A page of another site sent the request, or a URL lacks its signature.",
    404: "It does not exist.",
    408: "The body was sent too slowly.",
    409: "Another worker is processing it; try again.",
    412: "The precondition failed.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    416: "The range is not satisfiable.",
    422: "Refused: `reason` and `fix` say why and what helps.",
    501: "It needs an optional package that is not installed.",
    503: "Not possible right now; try again.",
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these error statuses."""
    return {status: {"model": ProblemModel, "description": _DESCRIPTIONS[status]} for status in statuses}


def describe(app: FastAPI) -> None:
    """Correct the description of ``app``: the media type of problem documents, and no errors that it
    never returns."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _with_problems(
                get_openapi(
                    title=app.title, version=app.version, description=app.description, routes=app.routes
                )
            )
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _with_problems(schema: dict[str, Any]) -> dict[str, Any]:
    for path in schema["paths"].values():
        for operation in path.values():
            responses = operation["responses"]
            # FastAPI adds its own 422 for invalid parameters; ours is a 400 problem document.
            if responses.get("422", {}).get("description") == "Validation Error":
                del responses["422"]
            for status, response in responses.items():
                if int(status) >= 400 and _is_problem(response):
                    response["content"] = {MEDIA_TYPE: response["content"]["application/json"]}
    for name in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(name, None)
    return schema


def _is_problem(response: dict[str, Any]) -> bool:
    schema: dict[str, str] = response["content"]["application/json"]["schema"]
    return schema["$ref"].endswith(f"/{ProblemModel.__name__}")
