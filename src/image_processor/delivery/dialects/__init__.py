"""Delivery, step 1: dialects parse the URLs of other products.

A dialect is a frozen value that turns a URL into a `RenditionRequest`, as `parse_request` does for the
project's own. `config.setting_specs.DIALECTS` lists them; docs/dialects.md documents what each supports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol

from msgspec import Struct

from image_processor.config.setting_specs import DIALECTS
from image_processor.delivery.request import RenditionRequest


class Dialect(Protocol):
    """A parser for the URLs of another product. ``path`` is as it arrived, without its leading slash.

    Its class has a `from_settings(settings, options)`, which `load_dialects` calls.
    """

    @property
    def name(self) -> str: ...

    def matches(self, path: str, query: str) -> int:
        """Whether a URL has this grammar: 0, POSSIBLE, or CERTAIN if no other product writes such URLs."""
        ...

    def parse(self, path: str, query: str, *, now: float) -> RenditionRequest:
        """Verify and parse a URL; ``now`` is the Unix time. Raises Forbidden, InvalidRequest."""
        ...

    def error_body(self, status: int, code: str, message: str) -> tuple[str, str] | None:
        """Media type and body of an error as the product's clients expect them; None for a problem
        document."""
        ...


POSSIBLE, CERTAIN = 1, 2
"""How sure a dialect is that a URL is one of its product."""


def dialect_of(dialects: Sequence[Dialect], path: str, query: str) -> Dialect | None:
    """The dialect that is surest of a URL; of several, the first. None if it is none of theirs."""
    surest, found = 0, None
    for dialect in dialects:
        certainty = int(dialect.matches(path, query))
        if certainty > surest:
            surest, found = certainty, dialect
    return found


class DialectOptions(Struct, frozen=True):
    """The settings that all dialects share.

    ``unsafe``: unsigned URLs may ask for every rendition. ``lenient``: operations that are not supported
    are ignored. ``buckets``: the bucket names that URLs may use.
    """

    unsafe: bool = False
    lenient: bool = False
    buckets: frozenset[str] = frozenset()


def load_dialects(
    names: Sequence[str], settings: Mapping[str, Any], options: DialectOptions
) -> tuple[Dialect, ...]:
    """The dialects with these names, in order. ``settings`` are the values of their settings by field name.

    Imports only the packages of these dialects. Raises KeyError for an unknown name.
    """
    dialects: list[Dialect] = []
    for name in names:
        spec = DIALECTS[name]
        module, _, class_name = spec.target.partition(":")
        own = {setting.field: settings.get(setting.field, setting.default) for setting in spec.settings}
        dialects.append(getattr(import_module(module), class_name).from_settings(own, options))
    return tuple(dialects)
