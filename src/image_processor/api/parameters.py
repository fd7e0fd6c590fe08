"""Request parameters and checks that several routes share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Header, Path, Request
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException

from image_processor.domain.errors import Invalid, InvalidKey
from image_processor.domain.keys import check_key, percent_decode
from image_processor.ingest import plan

from .dependencies import MAX_WAIT_SECONDS, AppContext

_SECONDS = re.compile(r"[0-9]{1,9}")

ImageId = Annotated[str, Path(description="The id of an original.", examples=["k3vq2m5xw7n4c6a2yzt5b3d7he"])]


class _KeyConvertor(Convertor[str]):
    """Matches the rest of the path. Starlette's own `path` stops at a line feed, which is legal in a key."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("key", _KeyConvertor())
ANY_PATH = "{key:key}"
"""The route parameter that matches the rest of the path."""


async def _requested_key(
    request: Request,
    key: Annotated[str, Path(description="A key, percent-encoded UTF-8.", examples=["photos/cat.jpg"])],
) -> str:
    """Starlette decodes ``key`` and replaces invalid UTF-8, which would make it another key: reject it."""
    try:
        percent_decode(request.scope["raw_path"].decode())
    except UnicodeDecodeError:
        raise InvalidKey.one("key", "percent-encoded UTF-8", key) from None
    return check_key(key)


RequestedKey = Annotated[str, Depends(_requested_key)]


async def _require_json(request: Request) -> None:
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != "application/json":
        got = content_type or "nothing"
        raise HTTPException(415, f"expected application/json for Content-Type, got {got}")


require_json = Depends(_require_json)
"""For the `dependencies` of a route. A page of another site can send a form without a CORS preflight,
but not JSON."""


def preferred_wait(prefer: str) -> float | None:
    """The seconds that a Prefer header (RFC 7240) lets the server wait, at most MAX_WAIT_SECONDS; None
    if it does not say. `respond-async` means 0 seconds unless `wait` is given too."""
    preferences: dict[str, str] = {}
    for preference in prefer.lower().split(","):
        # Parameters follow a semicolon; these two preferences have none.
        name, _, value = preference.partition(";")[0].partition("=")
        preferences.setdefault(name.strip(), value.strip().strip('"'))
    wait = preferences.get("wait", "")
    if _SECONDS.fullmatch(wait):
        return min(float(wait), MAX_WAIT_SECONDS)
    return 0.0 if "respond-async" in preferences else None


async def _prefer(
    prefer: Annotated[
        str,
        Header(description="`wait=10`: answer after at most 10 seconds; `respond-async`: answer at once."),
    ] = "",
) -> float | None:
    return preferred_wait(prefer)


PreferredWait = Annotated[float | None, Depends(_prefer)]


def check_all(*checks: Callable[[], object]) -> None:
    """Run every check. Raises the error of the only one that failed, or Invalid with the problems of all."""
    errors: list[Invalid] = []
    for check in checks:
        try:
            check()
        except Invalid as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise Invalid([problem for error in errors for problem in error.problems])


def skip_reason(key: str, context: AppContext) -> str | None:
    """Why an upload under ``key`` gets no renditions; None if it gets some."""
    return plan.skip_reason(key, context.recipe)


def upload_skip_reason(key: str, context: AppContext) -> str | None:
    """As `skip_reason`, but the images for overlays are accepted without renditions of their own."""
    prefix = context.settings.overlays
    return None if prefix and key.startswith(prefix) else skip_reason(key, context)
