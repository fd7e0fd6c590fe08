"""Problem documents (RFC 9457): every error becomes a response with one, and the OpenAPI description lists
those of each route."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from image_processor.domain.errors import (
    FIXES,
    Forbidden,
    ImageProcessorError,
    Invalid,
    Problem,
    Reason,
    Refused,
)

from .error_status import MEDIA_TYPE, RETRY_AFTER, code_of, status_of, title_of
from .request_models import EXPECTED
from .response_models import ImageModel, ProblemItemModel, ProblemModel
from .resumable_path import is_resumable
from .route_patterns import methods_at
from .webhooks import with_webhooks

_MAX_LENGTH = 100
_FIX_OF_404 = "docs/api.md lists the routes, and GET /openapi.json describes them."

TOO_MANY = (
    "Too much at a time from one client, or too many unknown tokens from one address; `Retry-After` says "
    "when to try again."
)

_DESCRIPTIONS = {
    400: "The request is invalid; `problems` names every error in it.",
    401: "The token is unknown.",
    403: "A page of another site sent the request, or a URL lacks its signature.",
    404: "It does not exist.",
    408: "The body was sent too slowly.",
    409: "Another worker is processing it; try again.",
    412: "The precondition failed.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    416: "The range is not satisfiable.",
    422: "Refused: `reason` and `fix` say why and what helps.",
    423: "Another request works on this upload; try again.",
    429: TOO_MANY,
    501: "It needs an optional package that is not installed.",
    502: "The remote source cannot be reached, takes too long, or sends no whole file.",
    503: "Not possible right now; try again.",
    507: "The disk is full or almost full; `detail` says how much is free.",
}


def problem(
    status: int,
    code: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> JSONResponse:
    """The response to a failed request; ``members`` are further fields of ProblemModel.

    It must not be cached: the next try may succeed.
    """
    model = ProblemModel(title=title_of(status), status=status, detail=detail, code=code, **members)
    return JSONResponse(
        model.model_dump(mode="json", exclude_none=True),
        status,
        {"cache-control": "no-store", **(headers or {})},
        MEDIA_TYPE,
    )


def refused_image(image: ImageModel) -> JSONResponse:
    """The response to a request for renditions of a refused original."""
    return problem(422, Refused.code, image.message or "", reason=image.reason, fix=image.fix, image=image)


def skipped(key: str, reason: str) -> JSONResponse:
    """The response to a request for renditions of a key that the recipe gives none."""
    return problem(422, "skipped", f"nothing is made of {key!r}: {reason}")


def of_error(error: ImageProcessorError, *, is_tus: bool = False) -> JSONResponse:
    """The response to an error of the core. ``is_tus``: of a request of the tus protocol."""
    status = status_of(error, is_tus=is_tus)
    if isinstance(error, Refused):
        # Here the body of the request is too large; elsewhere it is a stored original.
        status = 413 if error.reason is Reason.TOO_MANY_BYTES else status
        return problem(status, error.code, error.message, reason=error.reason, fix=FIXES[error.reason])
    if isinstance(error, Invalid):
        return problem(status, error.code, str(error), problems=[_item(item) for item in error.problems])
    if isinstance(error, Forbidden):
        return problem(status, error.code, str(error), fix=error.fix)
    headers = {"retry-after": RETRY_AFTER} if error.retryable else None
    return problem(status, error.code, str(error) or title_of(status), headers)


def of_status(status: int, detail: str = "", headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The response to an error of HTTP itself; its code is the status's name."""
    return problem(status, code_of(status), detail or title_of(status), headers)


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these error statuses."""
    return {status: {"model": ProblemModel, "description": _DESCRIPTIONS[status]} for status in statuses}


def install(app: FastAPI) -> None:
    """Make ``app`` answer every expected error with a problem document. SecurityHeadersMiddleware handles
    the unexpected ones."""

    @app.exception_handler(ImageProcessorError)
    def handle_core(request: Request, error: ImageProcessorError) -> JSONResponse:
        return of_error(error, is_tus=is_resumable(request.scope["path"]))

    @app.exception_handler(RequestValidationError)
    def handle_validation(_: Request, error: RequestValidationError) -> JSONResponse:
        return of_error(Invalid([_problem(item) for item in error.errors()]))

    @app.exception_handler(HTTPException)
    def handle_http(request: Request, error: HTTPException) -> JSONResponse:
        path = request.url.path
        if error.status_code == 405 and (methods := methods_at(app.routes, request.scope["path"])):
            # Starlette names the methods of one route, where several may have the path.
            allowed = ", ".join(methods)
            detail = f"expected {allowed} at {path}, got {request.method}"
            return of_status(405, detail, {"allow": allowed})
        detail = "" if error.detail == HTTPStatus(error.status_code).phrase else error.detail
        if error.status_code == 404 and not detail:
            return problem(404, code_of(404), f"there is nothing at {path}", error.headers, fix=_FIX_OF_404)
        return of_status(error.status_code, detail, error.headers)


def describe(app: FastAPI) -> None:
    """Correct the description of ``app``: the media type of problem documents, and no errors that it
    never returns."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = with_webhooks(
                _with_problems(
                    get_openapi(
                        title=app.title, version=app.version, description=app.description, routes=app.routes
                    )
                )
            )
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def shorten(value: Any) -> str:
    """``value`` as text of at most 100 characters that every encoding has: JSON can bring half a
    surrogate pair."""
    text = str(value).encode(errors="backslashreplace").decode()
    return text if len(text) <= _MAX_LENGTH else text[:_MAX_LENGTH] + "…"


def _problem(finding: dict[str, Any]) -> Problem:
    """One of FastAPI's validation errors as a Problem."""
    *_, name = finding["loc"]
    if finding["type"] == "json_invalid":
        return Problem("the body", "JSON", "something else")
    if finding["type"] == "string_unicode":
        return Problem("the body" if name == "body" else str(name), "Unicode text", shorten(finding["input"]))
    if name == "body":
        return Problem("the body", "a JSON object", shorten(finding["input"]))
    if finding["type"] == "extra_forbidden":
        return Problem(shorten(name), "a name that exists here", "an unknown one")
    expected = EXPECTED.get(name, finding["msg"])
    got = "nothing" if finding["type"] == "missing" else shorten(finding["input"])
    return Problem(str(name), expected, got)


def _item(item: Problem) -> ProblemItemModel:
    return ProblemItemModel(name=item.name, expected=item.expected, got=item.got)


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
