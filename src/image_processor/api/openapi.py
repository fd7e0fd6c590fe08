"""Additions to the OpenAPI description of an application, made once, when somebody asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI


def extend(app: FastAPI, add: Callable[[dict[str, Any]], None]) -> None:
    """Have ``add`` change the description of ``app`` after what was added before."""
    describe_before = app.openapi

    def openapi() -> dict[str, Any]:
        is_new = app.openapi_schema is None
        schema = describe_before()
        if is_new:
            add(schema)
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it
