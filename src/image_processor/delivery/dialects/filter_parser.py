"""Dialects: a chain of filters as thumbor writes it, `filters:blur(3):watermark(a(1).png,0,0,0)/REST`."""

from __future__ import annotations

import re

from msgspec import Struct

from image_processor.domain.errors import InvalidRequest

from .request_builder import decoded

_BEGIN = "filters:"
_NAME = re.compile(r"([a-z][a-z0-9_]*)\(")


class Call(Struct, frozen=True):
    """A filter's name and its arguments, percent-decoded."""

    name: str
    arguments: tuple[str, ...]

    @property
    def text(self) -> str:
        return f"{self.name}({','.join(self.arguments)})"


def parse_filters(text: str) -> tuple[tuple[Call, ...], str]:
    """The filters that ``text`` begins with, and what stands behind them.

    Parentheses within arguments come in pairs. Where one is not closed there are no filters, and all
    of ``text`` stands behind them. Raises InvalidRequest for bytes that are no UTF-8.
    """
    if not text.startswith(_BEGIN):
        return (), text
    calls: list[Call] = []
    at = len(_BEGIN)
    while True:
        match = _NAME.match(text, at)
        end = _closed(text, match.end()) if match else None
        if match is None or end is None:
            return (), text
        calls.append(Call(match[1], _arguments(text[match.end() : end])))
        following = text[end + 1 : end + 2]
        at = end + 2
        if following == "/" and at < len(text):
            return tuple(calls), text[at:]
        if following != ":":
            return (), text


def _closed(text: str, start: int) -> int | None:
    """Where the parenthesis is closed that was opened just before ``start``."""
    depth = 1
    for match in re.compile(r"[()]").finditer(text, start):
        depth += 1 if match[0] == "(" else -1
        if depth == 0:
            return match.start()
    return None


def _arguments(text: str) -> tuple[str, ...]:
    """Commas part arguments, but for those within parentheses."""
    parts, depth, start = [], 0, 0
    for match in re.finditer(r"[(),]", text):
        if match[0] != ",":
            depth += 1 if match[0] == "(" else -1
        elif depth == 0:
            parts.append(text[start : match.start()])
            start = match.end()
    parts.append(text[start:])
    try:
        return tuple(decoded(part).strip() for part in parts)
    except UnicodeError:
        raise InvalidRequest.one("filters", "percent-encoded UTF-8", text) from None
