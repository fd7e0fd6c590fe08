"""Keeps secrets out of the `repr` of frozen values, and so out of logs and tracebacks."""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct


def redacted_repr(value: Struct, hidden: Collection[str]) -> str:
    """The `repr` of ``value`` without the fields named in ``hidden``."""
    shown = [name for name in value.__struct_fields__ if name not in hidden]
    return f"{type(value).__name__}({', '.join(f'{name}={getattr(value, name)!r}' for name in shown)})"
