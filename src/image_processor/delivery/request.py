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
    """What a URL asks for of one original."""

    key: str
    """The key of the original."""
    values: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Fields of the transformation without the format, each valid by itself."""
    format: str | None = None
    """A writable format, AUTO, or None for the original's."""
    qualities: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Qualities by format, if the URL does not give one for all formats."""
    preset: str | None = None
    """The name of a preset of the recipe."""
    hinted: tuple[str, ...] = ()
    """The fields, `width` or `dpr`, that client hints give."""
    signed: bool = False
    """Whether a signature was verified."""
    sizing: SizingRule | None = None
    """How the size of the output depends on the original's."""
    crop: CropSpec | None = None
    """Becomes the region."""
    focus: tuple[float, float] | None = None
    """Becomes the focal point; in pixels of the original."""
    geometry: Geometry | None = None
    """Fields that depend on the original's size in other ways."""
    source_formats: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """By the format of an original, the one in its place."""
    filename: str | None = None
    """For Content-Disposition, as ``attachment``."""
    attachment: bool = False
    expires: float | None = None
    """The Unix time after which no cache may answer with the rendition, for URLs whose expiry the CDN does
    not verify."""
    max_age: int | None = None
    """How many seconds a cache may keep the rendition."""


def parse_request(url: ParsedUrl, *, signed: bool) -> RenditionRequest:
    """The request of one of the project's URLs. Raises InvalidRequest with every problem of its values."""
    values, problems = parse_values(url.pairs)
    if problems:
        raise InvalidRequest(problems)
    return RenditionRequest(
        url.key, values.fields, values.format, preset=values.preset, hinted=values.hinted, signed=signed
    )
