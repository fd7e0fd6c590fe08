"""HTTP edge: every error becomes one RFC 9457 problem document, its status from `statuses`."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
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

from .error_status import RETRY_SECONDS, row_of
from .problem_details import MEDIA_TYPE, code_of, title_of
from .request_models import EXPECTED
from .schemas import ImageView, ProblemItem, ProblemView

_REFUSED_STATUSES = {Reason.TOO_MANY_BYTES: 413}
_SHOWN_LENGTH = 100


def problem(
    status: int,
    code: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> JSONResponse:
    """The answer to a request that failed; ``members`` are further ones of ProblemView.

    It is never to be stored: the next try may succeed.
    """
    view = ProblemView(title=title_of(status), status=status, detail=detail, code=code, **members)
    return JSONResponse(
        view.model_dump(mode="json", exclude_none=True),
        status,
        {"cache-control": "no-store", **(headers or {})},
        MEDIA_TYPE,
    )


def refused_image(image: ImageView) -> JSONResponse:
    """The answer to one who asked for renditions of an original that is on record as refused."""
    return problem(422, Refused.code, image.message or "", reason=image.reason, fix=image.fix, image=image)


def skipped(key: str, why: str) -> JSONResponse:
    """The answer to one who asked for renditions of a key of which nothing is ever made."""
    return problem(422, "skipped", f"nothing is made of {key!r}: {why}")


def of_error(error: ImageProcessorError) -> JSONResponse:
    """The answer for an error of the core."""
    status = row_of(error)
    if isinstance(error, Refused):
        reason = error.reason
        status = _REFUSED_STATUSES.get(reason, status)
        return problem(status, error.code, error.message, reason=reason, fix=FIXES[reason])
    if isinstance(error, Invalid):
        return problem(status, error.code, str(error), problems=[_item(each) for each in error.problems])
    if isinstance(error, Forbidden):
        return problem(status, error.code, str(error), fix=error.fix)
    headers = {"retry-after": RETRY_SECONDS} if error.retryable else None
    return problem(status, error.code, str(error) or title_of(status), headers)


def of_status(status: int, detail: str = "", headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer for an error of HTTP itself; its code is the status in words."""
    return problem(status, code_of(status), detail or title_of(status), headers)


def install(app: FastAPI) -> None:
    """Make ``app`` answer every error by a problem document. (The guard catches the unexpected.)"""

    @app.exception_handler(ImageProcessorError)
    def core(_: Request, error: ImageProcessorError) -> JSONResponse:
        return of_error(error)

    @app.exception_handler(RequestValidationError)
    def validation(_: Request, error: RequestValidationError) -> JSONResponse:
        return of_error(Invalid([_problem(each) for each in error.errors()]))

    @app.exception_handler(HTTPException)
    def http(request: Request, error: HTTPException) -> JSONResponse:
        detail = "" if error.detail == HTTPStatus(error.status_code).phrase else error.detail
        told = {
            404: f"there is nothing at {request.url.path}",
            405: f"{request.method} is not possible at {request.url.path}",
        }
        return of_status(error.status_code, detail or told.get(error.status_code, ""), error.headers)


def _problem(found: dict[str, Any]) -> Problem:
    """One of FastAPI's findings in our words."""
    *_, name = found["loc"]
    if found["type"] == "json_invalid":
        return Problem("the body", "JSON", "something else")
    if found["type"] == "string_unicode":
        return Problem("the body" if name == "body" else str(name), "Unicode text", shown(found["input"]))
    if name == "body":
        return Problem("the body", "a JSON object", shown(found["input"]))
    if found["type"] == "extra_forbidden":
        return Problem(shown(name), "a name that exists here", "an unknown one")
    expected = EXPECTED.get(name, found["msg"])
    return Problem(str(name), expected, "nothing" if found["type"] == "missing" else shown(found["input"]))


def _item(each: Problem) -> ProblemItem:
    return ProblemItem(name=each.name, expected=each.expected, got=each.got)


def shown(given: Any) -> str:
    """What came, short and as text that every encoding has: JSON can bring half a surrogate pair."""
    text = str(given).encode(errors="backslashreplace").decode()
    return text if len(text) <= _SHOWN_LENGTH else text[:_SHOWN_LENGTH] + "…"
