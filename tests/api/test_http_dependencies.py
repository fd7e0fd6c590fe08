"""The dependencies of routes are coroutines: FastAPI would run a plain function in a thread."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from image_processor.api import aws_app, standalone_app


def calls(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    for item in dependant.dependencies:
        if item.call is not None:
            yield item.call
        yield from calls(item)


def test_no_dependency_runs_in_a_thread() -> None:
    routes = [route for router in (*standalone_app.ROUTERS, *aws_app.ROUTERS) for route in router.routes]
    found = {call for route in routes if isinstance(route, APIRoute) for call in calls(route.dependant)}
    assert {"_http_request", "_standalone_context", "_requested_key", "_aws_context"} <= {
        call.__name__ for call in found
    }
    assert [call.__name__ for call in found if not inspect.iscoroutinefunction(call)] == []
