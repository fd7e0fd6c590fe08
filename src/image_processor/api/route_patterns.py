"""The routes of an application, flattened: the pattern of each one's paths, and its methods."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from re import Pattern

from fastapi.routing import iter_route_contexts
from msgspec import Struct
from starlette.routing import BaseRoute, compile_path


class RoutePattern(Struct, frozen=True):
    """One route. ``path`` has the names of its parameters in braces, without their types."""

    path: str
    pattern: Pattern[str]
    methods: Collection[str]


def route_patterns(routes: Sequence[BaseRoute]) -> Iterator[RoutePattern]:
    """All ``routes``, in the order in which they are tried."""
    for route in iter_route_contexts(routes):
        assert route.path is not None
        if route.methods is None:  # a mount, which has all paths below its own and reads files only
            pattern, _, _ = compile_path(f"{route.path}/{{path:path}}")
            yield RoutePattern(route.path, pattern, {"GET", "HEAD"})
        else:
            pattern, path, _ = compile_path(route.path)
            yield RoutePattern(path, pattern, route.methods)


def methods_at(routes: Sequence[BaseRoute], path: str) -> list[str]:
    """The methods that some route has for ``path``."""
    found = (route.methods for route in route_patterns(routes) if route.pattern.match(path))
    return sorted({method for methods in found for method in methods})
