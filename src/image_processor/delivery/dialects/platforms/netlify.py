"""Delivery, step 1: parses URLs of Netlify's image CDN, `.netlify/images?url=/cat.jpg&w=640&fit=cover`.

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
from image_processor.domain.transformation import Fit, Gravity

from .source import parse_query, parse_source

_MAX_SIDE = 16_383
_FITS = {"contain": Fit.INSIDE, "cover": Fit.COVER, "fill": Fit.FILL}
_POSITIONS = {
    "top": Gravity.NORTH,
    "bottom": Gravity.SOUTH,
    "left": Gravity.WEST,
    "right": Gravity.EAST,
    "center": Gravity.CENTRE,
}


class Netlify(Struct, frozen=True):
    """The Netlify dialect. ``lenient`` and ``buckets`` as for `RequestBuilder`."""

    lenient: bool = False
    buckets: frozenset[str] = frozenset()

    name: ClassVar[str] = "netlify"
    endpoint: ClassVar[str] = ".netlify/images"

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], options: DialectOptions) -> Self:
        """The dialect as the settings configure it."""
        del settings
        return cls(options.lenient, options.buckets)

    def matches(self, path: str, query: str) -> int:
        """Whether the path is Netlify's."""
        del query
        return CERTAIN if path == self.endpoint else 0

    def parse(self, path: str, query: str, *, now: float) -> RenditionRequest:
        """Parse the URL. Raises InvalidRequest."""
        del now
        check_length(path, query)
        builder = RequestBuilder(lenient=self.lenient, buckets=self.buckets)
        values = parse_query(query, builder)
        key = parse_source(values, builder, self.endpoint)
        _set_size(values, builder)
        quality = builder.integer(values["q"], "q", 1, 100) if "q" in values else None
        builder.values.update({} if quality is None else {"quality": quality})
        builder.set_format(values.get("fm") or AUTO, "fm", automatic=(AUTO,))
        return builder.build(key, signed=False)

    def error_body(self, status: int, code: str, message: str) -> tuple[str, str] | None:
        """None: Netlify's error responses are for people."""
        del status, code, message
        return None


def _set_size(values: Mapping[str, str], builder: RequestBuilder) -> None:
    """Width, height, and how the image fits both; one side alone keeps the ratio."""
    for name, field in (("w", "width"), ("h", "height")):
        side = builder.integer(values[name], name, 1, _MAX_SIDE) if name in values else None
        builder.values.update({} if side is None else {field: side})
    fit, position = values.get("fit", "contain"), values.get("position", "center")
    if fit not in _FITS:
        builder.add_error("fit", " | ".join(_FITS), fit)
    elif {"width", "height"} <= builder.values.keys():
        builder.values["fit"] = _FITS[fit]
    if position not in _POSITIONS:
        builder.add_error("position", " | ".join(_POSITIONS), position)
    elif builder.values.get("fit") is Fit.COVER:
        builder.values["gravity"] = _POSITIONS[position]
