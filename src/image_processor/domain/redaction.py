"""What may be shown in logs, messages and tracebacks: no secret, and nothing that garbles a line."""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct


def redacted_repr(value: Struct, hidden: Collection[str]) -> str:
    """The `repr` of ``value`` without the fields named in ``hidden``."""
    shown = [name for name in value.__struct_fields__ if name not in hidden]
    return f"{type(value).__name__}({', '.join(f'{name}={getattr(value, name)!r}' for name in shown)})"


def printable(text: str) -> str:
    """``text`` for a message or a log line: with its control characters, line breaks and lone surrogates
    escaped, as a stranger may have chosen it."""
    return text if text.isprintable() else repr(text)
