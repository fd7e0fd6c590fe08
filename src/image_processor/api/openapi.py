"""HTTP edge: the pieces of the OpenAPI description that FastAPI cannot derive."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from .problem_details import MEDIA_TYPE
from .schemas import ProblemView

ANY_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The file's bytes.",
        "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}

_MEANINGS = {
    400: "Something in the request is wrong; `problems` names every mistake.",
    403: "Another site's page asked a browser to do this, or a URL lacks its signature.",
    404: "There is no such thing.",
    408: "The body came too slowly.",
    409: "Somebody else works on it right now; try again.",
    412: "The precondition does not hold.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    416: "The range lies outside.",
    422: "Refused: `reason` and `fix` say why and what helps.",
    501: "It needs an optional package that is not installed here.",
    503: "Not possible right now; try again.",
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these errors."""
    return {status: {"model": ProblemView, "description": _MEANINGS[status]} for status in statuses}


def describe(app: FastAPI) -> None:
    """Let ``app`` tell the media type of problems, and not tell of errors that it never gives."""

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
            answers = operation["responses"]
            # FastAPI adds its own 422 for wrong parameters; ours is a 400 of the common form.
            if answers.get("422", {}).get("description") == "Validation Error":
                del answers["422"]
            for status, answer in answers.items():
                if int(status) >= 400 and _is_problem(answer):
                    answer["content"] = {MEDIA_TYPE: answer["content"]["application/json"]}
    for name in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(name, None)
    return schema


def _is_problem(answer: dict[str, Any]) -> bool:
    schema: dict[str, str] = answer["content"]["application/json"]["schema"]
    return schema["$ref"].endswith(f"/{ProblemView.__name__}")
