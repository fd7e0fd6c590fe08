"""ASGI middleware around the routes: a path with a line feed at its end is not the path without it.

The patterns of Starlette (1.0) end in `$`, which also matches before a line feed. `GET /events%0A` would be
answered by the route of `/events`, and by none of the rules for that path.
"""

from __future__ import annotations

from fastapi.routing import iter_route_contexts
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from image_processor.domain.redaction import printable

from .problems import of_status


class ExactPathMiddleware:
    """Answers 404 where a route matches only without the line feed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].endswith("\n") or _is_exact(scope):
            await self._app(scope, receive, send)
            return
        await of_status(404, f"there is nothing at {printable(scope['path'])}")(scope, receive, send)


def _is_exact(scope: Scope) -> bool:
    """Whether the route that would answer matches the whole path, as that of a key does; also without any."""
    for route in iter_route_contexts(scope["app"].routes):
        path = route.path or ""
        pattern = compile_path(path if route.methods is not None else f"{path}/{{path:path}}")[0]
        if pattern.match(scope["path"]) and scope["method"] in (route.methods or {scope["method"]}):
            return pattern.fullmatch(scope["path"]) is not None
    return True
