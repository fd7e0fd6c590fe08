"""HTTP edge: a body that says it is something else than JSON is not read as JSON."""

from __future__ import annotations

from fastapi import Depends, Request
from starlette.exceptions import HTTPException


async def _json_only(request: Request) -> None:
    given = request.headers.get("content-type", "")
    if given.partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, f"expected application/json for Content-Type, got {given or 'nothing'}")


json_only = Depends(_json_only)
"""For the `dependencies` of a route. A page of another site can send a form without asking the
browser's permission, but not JSON."""
