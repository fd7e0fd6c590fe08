"""Delivery: the widths in which a page shows one image, with a URL for each: the content of `srcset`.

Pure: record, recipe and policy in. The renditions of a preset are stored already, unless it is lazy; those
and the widths that a page's author chooses are rendered when a browser first requests them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from image_processor.config.recipe import Recipe
from image_processor.delivery.http.negotiation import MODERN, preferred_formats
from image_processor.delivery.source_crop import output_size
from image_processor.delivery.url.builder import UrlBuilder
from image_processor.delivery.url.parameter_names import AUTO, FORMAT, PRESET
from image_processor.domain.errors import Forbidden, Invalid, InvalidRequest, InvalidTransformation, Problem
from image_processor.domain.formats import FORMATS
from image_processor.domain.geometry import Size
from image_processor.domain.models import ImageMetadata, Record
from image_processor.domain.transformation import MAX_SIDE, Transformation, parse
from image_processor.domain.transformation.values import quote

MAX_WIDTHS = 32
_BROWSER_FORMATS = frozenset({"avif", "webp", "gif", "png", "jpeg"})
_ACCEPT_ALL = ", ".join(FORMATS[name].media_type for name in MODERN)
"""The Accept header of a client that supports every format."""


class Candidate(Struct, frozen=True):
    """An image candidate of a `srcset`: width and height in pixels, and the URL."""

    width: int
    height: int
    url: str


class NegotiatedWidth(Struct, frozen=True):
    """A width whose format the Accept header decides. ``query`` opens it for every original with the same
    rule; None if ``url`` works for this original only."""

    width: int
    url: str
    query: str | None


class SrcSet(Struct, frozen=True):
    """The same image in several formats and widths.

    ``formats``: the candidates of each format, narrow ones first; the last format is the most compatible.
    ``negotiated``: the widths whose format the client decides.
    ``left_out``: which renditions have no URL, and why.
    """

    formats: Sequence[tuple[str, tuple[Candidate, ...]]]
    negotiated: tuple[NegotiatedWidth, ...]
    left_out: tuple[str, ...] = ()

    @property
    def largest(self) -> Candidate:
        """The widest candidate in the most compatible format."""
        return self.formats[-1][1][-1]


class WidthSpec(Struct, frozen=True):
    """Which widths to use: those of a preset, a list of pixels, or a transformation at half, once and twice
    its size; by default the best preset's.

    Raises Invalid for more than one of them, for more than MAX_WIDTHS widths, and for a width outside
    1-MAX_SIDE.
    """

    preset: str | None = None
    widths: tuple[int, ...] = ()
    transformation: Transformation | None = None

    def __post_init__(self) -> None:
        if sum(map(bool, (self.preset is not None, self.widths, self.transformation))) > 1:
            raise Invalid.one("widths", "a preset, widths or a transformation", "several of them")
        if len(self.widths) > MAX_WIDTHS or not all(1 <= width <= MAX_SIDE for width in self.widths):
            raise Invalid.one("widths", f"at most {MAX_WIDTHS} of 1-{MAX_SIDE}", self.widths)


def build_srcset(record: Record, original: ImageMetadata, spec: WidthSpec, urls: UrlBuilder) -> SrcSet:
    """The candidates of a processed image.

    Without a preset or widths in ``spec``, uses the preset of its rule with the most widths, or the
    policy's widths if no rule matches. Raises Invalid for a preset that does not apply to the image, or
    if no candidate has a URL.
    """
    builder = _SrcSetBuilder(record, original, urls)
    if spec.transformation is not None:
        builder.add_transformation(spec.transformation)
        return builder.build()
    preset = _preset_name(urls.recipe, record.key, spec)
    if preset is not None:
        builder.add_preset(preset)
    else:
        builder.add_widths(original, spec.widths or urls.policy.hint_widths)
    return builder.build()


def _preset_name(recipe: Recipe, key: str, spec: WidthSpec) -> str | None:
    names = recipe.presets_for(key)
    if spec.preset is not None:
        if spec.preset not in names:
            expected = "one of " + ", ".join(names) if names else "none, as no rule matches this image"
            raise Invalid.one("preset", expected, spec.preset)
        return spec.preset
    if spec.widths or not names:
        return None
    return max(names, key=lambda name: (name not in recipe.private, len(_widths(recipe.presets[name]))))


class _SrcSetBuilder:
    """Collects candidates. Of two with the same format and width, the first one is kept."""

    def __init__(self, record: Record, original: ImageMetadata, urls: UrlBuilder) -> None:
        self._urls = urls
        self._original = original
        self._lazy = set(urls.recipe.lazy_for(record.key).values())
        self._stored = {rendition.transformation: rendition.metadata for rendition in record.renditions}
        self._candidates: dict[str, dict[int, Candidate]] = {}
        self._negotiated: list[NegotiatedWidth] = []
        self._left_out: defaultdict[str, list[str]] = defaultdict(list)

    def build(self) -> SrcSet:
        """The result. Raises Invalid if there is no candidate."""
        left_out = tuple(f"{', '.join(texts)}: {reason}" for reason, texts in self._left_out.items())
        if not self._candidates:
            raise Invalid([Problem("widths", "one that can be opened", "; ".join(left_out) or "none")])
        formats = sorted(self._candidates.items(), key=lambda item: (FORMATS[item[0]].compatibility, item[0]))
        by_width = [(name, tuple(by[width] for width in sorted(by))) for name, by in formats]
        return SrcSet(by_width, tuple(self._negotiated), left_out)

    def add_preset(self, name: str) -> None:
        """Add the renditions of a preset that are stored, or that are made at their first view."""
        recipe = self._urls.recipe
        members = recipe.presets[name]
        complete = True
        for member in members:
            size = self._size(member)
            if size is None:
                self._leave_out(member, "not made yet")
            else:
                complete &= self._add(member, size.width, size.height)
        if complete:
            pairs = [f"{PRESET}={quote(name)}"]
            self._add_negotiated(pairs, _widths(members), is_public=name not in recipe.private)

    def _size(self, member: Transformation) -> Size | None:
        """The size of a stored rendition, or of one that is made at its first view."""
        metadata = self._stored.get(str(member))
        if metadata is not None:
            return Size(metadata.width, metadata.height)
        return output_size(member, self._original) if member in self._lazy else None

    def add_widths(self, original: ImageMetadata, widths: Sequence[int]) -> None:
        """Add renditions with these widths, in each format for ``original``."""
        for width, height, requested in _output_sizes(original, widths):
            transformations = [
                Transformation(width=requested, format=format_)
                for format_ in preferred_formats(_ACCEPT_ALL, original, {})
            ]
            complete = True
            for transformation in transformations:
                metadata = self._stored.get(str(transformation))
                size = (metadata.width, metadata.height) if metadata else (width, height)
                complete &= self._add(transformation, *size)
            if complete:
                is_public = all(map(self._urls.is_public, transformations))
                self._add_negotiated([], [requested], is_public=is_public)

    def add_transformation(self, wanted: Transformation) -> None:
        """Add a transformation at half, once and twice its size, in its own format and in each for the
        original."""
        sizes: set[Size] = set()
        for factor in _FACTORS:
            scaled = _scaled(wanted, factor)
            size = output_size(scaled, self._original) if scaled else None
            if scaled is None or size is None:
                self._leave_out(wanted, f"its size at {factor} times is not known before it is made")
            elif size not in sizes:
                sizes.add(size)
                self._add_formats(scaled, size)

    def _add_formats(self, scaled: Transformation, size: Size) -> None:
        others = preferred_formats(_ACCEPT_ALL, self._original, {})
        variants = [_in_format(scaled, name) for name in dict.fromkeys((scaled.format, *others))]
        added = [self._add(variant, size.width, size.height) for variant in variants if variant]
        if all(added):
            pairs = [pair for pair in str(scaled).split(",") if not pair.startswith(("fm=", "q="))]
            is_public = all(map(self._urls.is_public, filter(None, variants)))
            url = self._urls.query_url([*pairs, f"{FORMAT}={AUTO}"], signed=not is_public)
            query = "&".join([*pairs, f"{FORMAT}={AUTO}"]) if is_public else None
            self._negotiated.append(NegotiatedWidth(size.width, url, query))

    def _add(self, transformation: Transformation, width: int, height: int) -> bool:
        """Add a candidate. Returns whether it has a URL; if not, it is left out."""
        if transformation.format not in _BROWSER_FORMATS:
            self._leave_out(transformation, "browsers do not show this format")
            return False
        try:
            url = self._urls.rendition_url(transformation)
        except (Forbidden, InvalidRequest) as error:
            self._leave_out(transformation, str(error))
            return False
        by_width = self._candidates.setdefault(transformation.format, {})
        by_width.setdefault(width, Candidate(width, height, url))
        return True

    def _add_negotiated(self, pairs: list[str], widths: Sequence[int], *, is_public: bool) -> None:
        for width in widths or [0]:
            query = [*pairs, *([f"w={width}"] if width else []), f"{FORMAT}={AUTO}"]
            url = self._urls.query_url(query, signed=not is_public)
            self._negotiated.append(NegotiatedWidth(width, url, "&".join(query) if is_public else None))

    def _leave_out(self, transformation: Transformation, reason: str) -> None:
        self._left_out[reason].append(str(transformation))


_FACTORS = ("0.5", "1", "2")


def _scaled(wanted: Transformation, factor: str) -> Transformation | None:
    """``wanted`` with ``factor`` device pixels for each pixel; None if that exceeds a limit."""
    try:
        return parse(f"dpr={factor},{wanted}")
    except InvalidTransformation:
        return None


def _in_format(wanted: Transformation, format_: str) -> Transformation | None:
    """``wanted`` in another format, with its default quality; None if it has options that this format
    lacks."""
    if format_ == wanted.format:
        return wanted
    try:
        return replace(wanted, format=format_, quality=None)
    except InvalidTransformation:
        return None


def _widths(members: Sequence[Transformation]) -> list[int]:
    return sorted({member.width for member in members if member.width is not None})


def _output_sizes(original: ImageMetadata, widths: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Width and height of each rendition, and the width to request. Only SVG is enlarged."""
    seen: set[int] = set()
    for requested in sorted(widths):
        width = requested if original.format == "svg" else min(requested, original.width)
        if width not in seen:
            seen.add(width)
            yield width, max(1, round(width * original.height / original.width)), requested
