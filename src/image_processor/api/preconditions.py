"""HTTP edge: an upload's conditions, which keep one client from overwriting what another has put there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, Header
from msgspec import Struct
from starlette.exceptions import HTTPException

from image_processor.delivery.http.conditions import may_write
from image_processor.domain.ports import ABSENT, Absent, Entry


class Preconditions(Struct, frozen=True):
    """The conditional headers of a request, by lower-case names."""

    headers: Mapping[str, str]

    def on(self, key: str, current: Entry | None) -> str | Absent | None:
        """The store's condition by which what holds for ``current`` still holds at the write; None
        if none was named. HTTPException(412) where they do not even hold now."""
        if not self.headers:
            return None
        version = current.version if current else None
        if not may_write(self.headers, version):
            wanted = ", ".join(f"{name.title()}: {value}" for name, value in self.headers.items())
            got = f'version "{version}"' if version else "no object"
            raise HTTPException(412, f"expected {wanted} for {key!r}, got {got}")
        return ABSENT if version is None else version


async def _preconditions(
    if_match: Annotated[
        str | None, Header(description='`"VERSION"` replaces this version only; `*` any, and creates none.')
    ] = None,
    if_none_match: Annotated[str | None, Header(description="`*` creates, and never replaces.")] = None,
) -> Preconditions:
    given = {"if-match": if_match, "if-none-match": if_none_match}
    return Preconditions({name: value for name, value in given.items() if value is not None})


PreconditionsOf = Annotated[Preconditions, Depends(_preconditions)]
