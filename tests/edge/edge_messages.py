"""Requests and responses of the simulated edge. Header names are in lower case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """``uri`` is the path as sent, percent-encoded, without the query string."""

    method: str
    uri: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    secure: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """``body`` is empty for HEAD, despite its content-length."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class NotSimulated(Exception):
    """The template uses a feature that this simulator does not implement."""


def only(settings: Mapping[str, object], *known: str) -> None:
    """Raise NotSimulated if there is a setting that the simulator ignores."""
    unknown = settings.keys() - set(known)
    if unknown:
        raise NotSimulated(f"expected only {sorted(known)}, got {sorted(unknown)}")
