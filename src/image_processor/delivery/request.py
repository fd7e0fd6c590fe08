"""Delivery, step 1: what a URL asks for, whatever its grammar.

`parse_request` (the project's own URLs) and each dialect produce a `RenditionRequest`. Nothing is known
of the original yet; `resolve` turns the request into a transformation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Protocol

from msgspec import Struct, field

from image_processor.domain.errors import InvalidRequest
from image_processor.domain.models import ImageMetadata
from image_processor.domain.transformation import Gravity, Length

from .url.parameter_values import parse_values
from .url.parser import ParsedUrl

Headers = Mapping[str, str]
"""A request's headers by lower-case name."""

Clock = Callable[[], float]
"""Returns the Unix time in seconds."""


class HttpRequest(Struct, frozen=True):
    """A GET or HEAD request. ``path`` is percent-encoded as it arrived, without its leading slash."""

    method: str
    path: str
    query: str = ""
    headers: Headers = {}


class SizingRule(StrEnum):
    """A rule by which the output size depends on the original's."""

    ADAPTIVE = "adaptive"
    """Swap width and height if only then the orientations match (thumbor's `adaptive-fit-in`)."""
    FILL_OR_FIT = "fill-or-fit"
    """Fit.COVER if the orientations match, else Fit.INSIDE (imgproxy's `auto`)."""
    ORIGINAL_WIDTH = "original-width"
    """The width is the original's (thumbor's `orig`)."""
    ORIGINAL_HEIGHT = "original-height"
    """The height is the original's."""


class CropSpec(Struct, frozen=True):
    """A crop of the original whose position depends on its size. ``width`` and ``height`` are pixels or
    relative lengths, None for the whole side. ``gravity``, ``x``, ``y`` and ``focal_point`` mean what
    they mean in a transformation."""

    width: Length | None = None
    height: Length | None = None
    gravity: Gravity = Gravity.CENTRE
    x: Length = 0
    y: Length = 0
    focal_point: tuple[float, float] | None = None


class Geometry(Protocol):
    """Sizes and crops that follow from the original's size by the rules of another product."""

    def apply(
        self, values: Mapping[str, Any], original: ImageMetadata, format_: str | None
    ) -> Mapping[str, Any]:
        """The transformation fields in place of ``values``; ``format_`` as in `RenditionRequest`. Raises
        InvalidRequest if the URL excludes this original."""
        ...


class RenditionRequest(Struct, frozen=True):
    """What a URL asks for of the original ``key``.

    ``values``: transformation fields, each valid by itself, without the format.
    ``format``: a writable format, AUTO, or None for the original's.
    ``qualities``: by format, where the URL does not give one quality for all formats.
    ``preset``: the name of a preset of the recipe.
    ``hinted``: the fields, `width` or `dpr`, that client hints give.
    ``signed``: whether a signature was verified.
    ``sizing``: how the output size depends on the original's.
    ``crop``: becomes the region. ``focus``: becomes the focal point; in pixels of the original.
    ``geometry``: fields that depend on the original's size in other ways. ``source_formats``: the
    format in place of an original's own, by that.
    ``filename``, ``attachment``: for Content-Disposition.
    ``expires``: the Unix time after which no cache may answer with the rendition, for URLs whose expiry the
    CDN does not verify. ``max_age``: the seconds that a cache may keep it.
    """

    key: str
    values: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    format: str | None = None
    qualities: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    preset: str | None = None
    hinted: tuple[str, ...] = ()
    signed: bool = False
    sizing: SizingRule | None = None
    crop: CropSpec | None = None
    focus: tuple[float, float] | None = None
    geometry: Geometry | None = None
    source_formats: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    filename: str | None = None
    attachment: bool = False
    expires: float | None = None
    max_age: int | None = None


def parse_request(url: ParsedUrl, *, signed: bool) -> RenditionRequest:
    """The request of one of the project's URLs. Raises InvalidRequest with every problem of its values."""
    values, problems = parse_values(url.pairs)
    if problems:
        raise InvalidRequest(problems)
    return RenditionRequest(
        url.key, values.fields, values.format, preset=values.preset, hinted=values.hinted, signed=signed
    )
