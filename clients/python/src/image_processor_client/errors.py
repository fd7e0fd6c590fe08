"""What can go wrong between a program and the server, as one tree of exceptions.

An error response is a problem document (RFC 9457). Its `code` chooses the class; a code that this version
does not know gets the class of its status, so that a newer server breaks nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import msgspec

from .models import Image, Problem, ProblemItem

_MAX_DETAIL = 300


class ImageProcessorError(Exception):
    """The root of the tree. ``retryable``: the same call may succeed later. The client has retried then."""

    retryable: bool = False


class ConnectionFailed(ImageProcessorError):
    """No response came: the server cannot be reached, or the connection broke. The cause is httpx's error."""

    retryable = True


class WaitTimeout(ImageProcessorError, TimeoutError):
    """An image was not processed in time. ``image`` is its last known state, None if there was none yet."""

    def __init__(self, id_: str, seconds: float, image: Image | None) -> None:
        self.image = image
        status = image.status if image else "not found yet"
        super().__init__(f"expected image {id_} to be processed within {seconds:g} s, got {status}")


class ApiError(ImageProcessorError):
    """An error response.

    ``status``: of HTTP. ``code``: stable, for programs. ``detail``: what was expected and what came.
    ``fix``: how to solve it, if the server knows. ``problems``: every invalid value of the request.
    ``retry_after``: seconds that the server asks to wait, None if it does not.
    """

    codes: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, problem: Problem, retry_after: float | None = None) -> None:
        self.status = problem.status
        self.code = problem.code
        self.detail = problem.detail
        self.fix = problem.fix
        self.problems: tuple[ProblemItem, ...] = problem.problems
        self.retry_after = retry_after
        self.problem = problem
        super().__init__(f"{problem.status} {problem.code}: {problem.detail}")

    def __reduce__(self) -> tuple[type[ApiError], tuple[Problem, float | None]]:
        return (type(self), (self.problem, self.retry_after))


class InvalidRequest(ApiError):
    """The request is invalid (400); ``problems`` has every invalid value."""

    codes = frozenset(
        {
            "bad-request",
            "checksum-mismatch",
            "idempotency-key-reused",
            "invalid",
            "invalid-key",
            "invalid-recipe",
            "invalid-request",
            "invalid-settings",
            "invalid-transformation",
        }
    )


class Unauthorized(ApiError):
    """The token is missing or unknown (401)."""

    codes = frozenset({"unauthorized"})


class Forbidden(ApiError):
    """The token's scope is too small, or a URL is not allowed or not signed correctly (403)."""

    codes = frozenset(
        {
            "address-not-allowed",
            "bucket-not-allowed",
            "cross-site",
            "forbidden",
            "insufficient-scope",
            "not-writable",
            "signature-expired",
            "signature-key-unknown",
            "signature-mismatch",
            "signature-missing",
            "size-not-allowed",
            "source-not-allowed",
        }
    )


class NotFound(ApiError):
    """There is no such image (404)."""

    codes = frozenset({"not-found"})


class PreconditionFailed(ApiError):
    """The key holds another file than the upload expected (412): with `overwrite=False`, any file."""

    codes = frozenset({"precondition-failed"})


class Busy(ApiError):
    """Another worker is processing the image, or an earlier attempt of the same call is (409)."""

    codes = frozenset({"claim-busy", "claim-lost", "idempotency-key-in-use"})
    retryable = True


class Refused(ApiError):
    """The file will never become renditions (413, 415, 422). ``reason`` says why, such as `not-an-image`;
    ``image`` is its record, if there is one."""

    codes = frozenset({"refused", "unreadable"})

    @property
    def reason(self) -> str | None:
        return self.problem.reason

    @property
    def image(self) -> Image | None:
        return self.problem.image

    @classmethod
    def of(cls, image: Image) -> Refused:
        """The error for an image that the server has refused."""
        return cls(
            Problem(
                title="Unprocessable Content",
                status=422,
                detail=image.message or f"{image.original!r} was refused",
                code="refused",
                reason=image.reason,
                fix=image.fix,
                image=image,
            )
        )


class Skipped(ApiError):
    """No rule of the server's recipe matches the key (422), so nothing is made of it."""

    codes = frozenset({"skipped"})


class TooManyRequests(ApiError):
    """Too much at a time from one client (429; 503 for a part of a large file), or too many unknown tokens
    from one address (429). ``retry_after`` says when to try again."""

    codes = frozenset({"share-exceeded", "too-many-requests"})
    retryable = True


class Unavailable(ApiError):
    """Temporary (502, 503, 504): the server is overloaded, or what it needs does not answer."""

    codes = frozenset({"access-denied", "catalog-damaged", "overloaded", "source-failed", "unavailable"})
    retryable = True


class InsufficientStorage(ApiError):
    """The server's disk is full or read-only, or a quota is reached (507)."""

    codes = frozenset({"insufficient-storage"})


class MissingExtra(ApiError):
    """The server lacks an optional package (501)."""

    codes = frozenset({"missing-extra"})


class ServerError(ApiError):
    """The server failed (500)."""

    codes = frozenset({"error", "internal-server-error", "unsafe-runtime"})


_CLASSES = (
    *(InvalidRequest, Unauthorized, Forbidden, NotFound, PreconditionFailed, Busy, Refused, Skipped),
    *(TooManyRequests, Unavailable, InsufficientStorage, MissingExtra, ServerError),
)
BY_CODE: Mapping[str, type[ApiError]] = MappingProxyType(
    {code: class_ for class_ in _CLASSES for code in class_.codes}
)
"""The class of each code that a server of this version sends."""

_BY_STATUS: Mapping[int, type[ApiError]] = MappingProxyType(
    {
        400: InvalidRequest,
        401: Unauthorized,
        403: Forbidden,
        404: NotFound,
        412: PreconditionFailed,
        429: TooManyRequests,
        501: MissingExtra,
        502: Unavailable,
        503: Unavailable,
        504: Unavailable,
        507: InsufficientStorage,
    }
)


def error_from(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """The error of a response, also of proxies, API Gateway and S3, which send no problem documents."""
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except msgspec.DecodeError:  # also ValidationError
        problem = _foreign_problem(status, body)
    by_status = _BY_STATUS.get(status, ServerError if status >= 500 else ApiError)
    # 409 and 412 share a code: both mean that the key holds something else.
    return BY_CODE.get(problem.code, by_status)(problem, _retry_after(headers))


def _foreign_problem(status: int, body: bytes) -> Problem:
    text = body.decode(errors="replace").strip()
    code = re.search(r"<Code>([^<]{1,100})</Code>", text)  # S3's
    message = re.search(r'<Message>([^<]*)</Message>|"message" *: *"([^"]*)"', text)
    detail = next(filter(None, message.groups()), "") if message else text[:_MAX_DETAIL]
    return Problem(
        title=f"HTTP {status}",
        status=status,
        detail=detail or "a response without a body",
        code=code[1] if code else f"http-{status}",
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds of a Retry-After header; None for a date, which no server of ours sends."""
    value = headers.get("retry-after", "")
    return float(value) if re.fullmatch(r"[0-9]{1,6}", value) else None
