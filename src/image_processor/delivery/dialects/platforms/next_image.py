"""Delivery, step 1: parses URLs of the image component of Next.js, `_next/image?url=/cat.jpg&w=640&q=75`,
and of Vercel, `_vercel/image?...`, which have the same parameters.

They have no signatures: an unsigned one gets what a public preset declares.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from msgspec import Struct

from image_processor.delivery.dialects import CERTAIN, DialectOptions
from image_processor.delivery.dialects.request_builder import RequestBuilder
from image_processor.delivery.request import RenditionRequest
from image_processor.delivery.url.parameter_names import AUTO
from image_processor.delivery.url.parser import check_length

from .source import parse_query, parse_source

_MAX_SIDE = 16_383


class NextImage(Struct, frozen=True):
    """The dialect of Next.js. ``widths`` and ``qualities`` are those that URLs may have, empty for all.
    ``lenient`` and ``buckets`` as for `RequestBuilder`."""

    widths: tuple[int, ...] = ()
    qualities: tuple[int, ...] = ()
    lenient: bool = False
    buckets: frozenset[str] = frozenset()

    name: ClassVar[str] = "next"
    endpoint: ClassVar[str] = "_next/image"

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], options: DialectOptions) -> Self:
        """The dialect as the settings configure it."""
        widths, qualities = (settings[f"{cls.name}_{allowed}"] or () for allowed in ("widths", "qualities"))
        return cls(widths, qualities, options.lenient, options.buckets)

    def matches(self, path: str, query: str) -> int:
        """Whether the path is the component's, at the root or below a `basePath`."""
        del query
        return CERTAIN if f"/{path}".endswith(f"/{self.endpoint}") else 0

    def parse(self, path: str, query: str, *, now: float) -> RenditionRequest:
        """Parse the URL. Raises InvalidRequest."""
        del now
        check_length(path, query)
        builder = RequestBuilder(lenient=self.lenient, buckets=self.buckets)
        values = parse_query(query, builder)
        key = parse_source(values, builder, self.endpoint)
        for name, field, most, allowed in (
            ("w", "width", _MAX_SIDE, self.widths),
            ("q", "quality", 100, self.qualities),
        ):
            number = builder.integer(values.get(name, ""), name, 1, most)
            if number is not None and allowed and number not in allowed:
                builder.add_error(name, "one of " + ", ".join(map(str, allowed)), number)
            elif number is not None:
                builder.values[field] = number
        builder.format = AUTO
        return builder.build(key, signed=False)

    def error_body(self, status: int, code: str, message: str) -> tuple[str, str] | None:
        """None: the error responses of Next.js are plain text for people."""
        del status, code, message
        return None


class VercelImage(NextImage, frozen=True):
    """The dialect of Vercel's own endpoint, which Astro, Nuxt and SvelteKit use."""

    name: ClassVar[str] = "vercel"
    endpoint: ClassVar[str] = "_vercel/image"
