"""HTTP edge: the key in a URL's path, exactly as the client meant it."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import unquote_to_bytes

from fastapi import Depends, Path, Request
from starlette.convertors import Convertor, register_url_convertor

from image_processor.domain.errors import InvalidKey
from image_processor.domain.keys import check_key


class _KeyConvertor(Convertor[str]):
    """Everything to the end of the path. Starlette's own `path` stops at a line feed, which is
    legal in a key."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("key", _KeyConvertor())
ANY_PATH = "{key:key}"
"""What takes the rest of a route's path."""


async def _requested_key(
    request: Request,
    key: Annotated[str, Path(description="A key, percent-encoded UTF-8.", examples=["photos/cat.jpg"])],
) -> str:
    """``key`` is decoded already, but leniently: what is no UTF-8 must not become another key."""
    try:
        unquote_to_bytes(request.scope["raw_path"]).decode()
    except UnicodeDecodeError:
        raise InvalidKey.one("key", "percent-encoded UTF-8", key) from None
    return check_key(key)


RequestedKey = Annotated[str, Depends(_requested_key)]
