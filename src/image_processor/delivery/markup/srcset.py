"""Delivery: the widths in which a page may show one image, and a URL for each of them.

Pure: record, recipe and policy in. A preset's widths are those that are stored; widths that somebody
chose are made when a browser first asks for them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from msgspec import Struct

from image_processor.config.recipe import Recipe
from image_processor.delivery.http.negotiation import MODERN, preferred_formats
from image_processor.delivery.url.builder import UrlBuilder
from image_processor.delivery.url.parameter_names import AUTO, FORMAT, PRESET
from image_processor.domain.errors import Forbidden, Invalid, InvalidRequest, Problem
from image_processor.domain.formats import FORMATS
from image_processor.domain.models import ImageMetadata, Record
from image_processor.domain.transformation import MAX_SIDE, Transformation, quote

MOST_WIDTHS = 32
_SHOWN = frozenset({"avif", "webp", "gif", "png", "jpeg"})
_EVERY = ", ".join(FORMATS[name].media_type for name in MODERN)
"""What a client takes that takes everything."""


class Candidate(Struct, frozen=True):
    """One picture that a browser may choose: its sides in pixels, and where it is."""

    width: int
    height: int
    url: str


class NegotiatedWidth(Struct, frozen=True):
    """A width for which the client's Accept decides the format. ``query`` opens it of any original that
    the same rule is for; None where its URL is of this one alone."""

    width: int
    url: str
    query: str | None


class SrcSet(Struct, frozen=True):
    """``formats`` are the same pictures in each format, narrow ones first; the last format is the one that
    is shown most widely. ``left_out`` says which pictures have no URL, and why."""

    formats: Sequence[tuple[str, tuple[Candidate, ...]]]
    negotiated: tuple[NegotiatedWidth, ...]
    left_out: tuple[str, ...] = ()


class WidthSpec(Struct, frozen=True):
    """What the steps of a ladder are taken from: a preset's name or widths, one of them or neither."""

    preset: str | None = None
    widths: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.preset is not None and self.widths:
            raise Invalid.one("widths", "either a preset or widths", "both")
        if len(self.widths) > MOST_WIDTHS or not all(1 <= width <= MAX_SIDE for width in self.widths):
            raise Invalid.one("widths", f"at most {MOST_WIDTHS} of 1-{MAX_SIDE}", self.widths)


def build_srcset(record: Record, original: ImageMetadata, rungs: WidthSpec, urls: UrlBuilder) -> SrcSet:
    """The ladder of a processed image; that of its rule's preset with the most widths, or the policy's,
    where ``rungs`` say nothing. Raises Invalid for a preset that is not for it, or where nothing is left."""
    recipe, policy = urls.recipe, urls.policy
    preset = _chosen(recipe, record.key, rungs)
    climb = _SrcSetBuilder(urls)
    if preset is not None:
        _of_preset(climb, record, recipe, preset)
    else:
        _of_widths(climb, record, original, rungs.widths or policy.hint_widths)
    if not climb.found:
        raise Invalid([Problem("widths", "one that can be opened", "; ".join(climb.left_out) or "none")])
    formats = sorted(climb.found.items(), key=lambda row: (FORMATS[row[0]].compatibility, row[0]))
    made = [(name, tuple(sorted(row.values(), key=lambda one: one.width))) for name, row in formats]
    return SrcSet(made, tuple(climb.negotiated), climb.left_out)


def _chosen(recipe: Recipe, key: str, rungs: WidthSpec) -> str | None:
    names = recipe.presets_for(key)
    if rungs.preset is not None:
        if rungs.preset not in names:
            expected = "one of " + ", ".join(names) if names else "none, as no rule wants this image"
            raise Invalid.one("preset", expected, rungs.preset)
        return rungs.preset
    if rungs.widths or not names:
        return None
    return max(names, key=lambda name: (name not in recipe.private, len(_widths(recipe.presets[name]))))


class _SrcSetBuilder:
    """What has been found so far. Of two pictures of one width the first is kept."""

    def __init__(self, urls: UrlBuilder) -> None:
        self.urls = urls
        self.found: dict[str, dict[int, Candidate]] = {}
        self.negotiated: list[NegotiatedWidth] = []
        self._without: defaultdict[str, list[str]] = defaultdict(list)

    @property
    def left_out(self) -> tuple[str, ...]:
        return tuple(f"{', '.join(texts)}: {why}" for why, texts in self._without.items())

    def leave_out(self, transformation: Transformation, why: str) -> None:
        self._without[why].append(str(transformation))

    def add(self, transformation: Transformation, width: int, height: int) -> bool:
        """Whether a page can show it."""
        if transformation.format not in _SHOWN:
            self.leave_out(transformation, "browsers do not show this format")
            return False
        try:
            url = self.urls.rendition_url(transformation)
        except (Forbidden, InvalidRequest) as error:
            self.leave_out(transformation, str(error))
            return False
        row = self.found.setdefault(transformation.format, {})
        row.setdefault(width, Candidate(width, height, url))
        return True


def _of_preset(climb: _SrcSetBuilder, record: Record, recipe: Recipe, name: str) -> None:
    members = recipe.presets[name]
    facts = {rendition.transformation: rendition.metadata for rendition in record.renditions}
    added = True
    for member in members:
        stored = facts.get(str(member))
        if stored is None:
            climb.leave_out(member, "not made yet")
        else:
            added &= climb.add(member, stored.width, stored.height)
    if added:
        is_public = name not in recipe.private
        climb.negotiated += _negotiated(climb.urls, [f"{PRESET}={quote(name)}"], _widths(members), is_public)


def _of_widths(climb: _SrcSetBuilder, record: Record, original: ImageMetadata, widths: Sequence[int]) -> None:
    facts = {rendition.transformation: rendition.metadata for rendition in record.renditions}
    for width, height, wanted in _sides(original, widths):
        made = [
            Transformation(width=wanted, format=format_)
            for format_ in preferred_formats(_EVERY, original, {})
        ]
        added = True
        for one in made:
            stored: ImageMetadata | None = facts.get(str(one))
            sides = (stored.width, stored.height) if stored else (width, height)
            added &= climb.add(one, *sides)
        if added:
            is_public = all(map(climb.urls.is_public, made))
            climb.negotiated += _negotiated(climb.urls, [], [wanted], is_public)


def _negotiated(
    urls: UrlBuilder,
    pairs: list[str],
    widths: Sequence[int],
    is_public: bool,  # noqa: FBT001 - of one caller each
) -> Iterator[NegotiatedWidth]:
    for width in widths or [0]:
        asked = [*pairs, *([f"w={width}"] if width else []), f"{FORMAT}={AUTO}"]
        url = urls.query_url(asked, signed=not is_public)
        yield NegotiatedWidth(width, url, "&".join(asked) if is_public else None)


def _widths(members: Sequence[Transformation]) -> list[int]:
    return sorted({member.width for member in members if member.width is not None})


def _sides(original: ImageMetadata, widths: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Width and height of each picture, and the width to ask for: nothing is enlarged, but a drawing."""
    seen: set[int] = set()
    for wanted in sorted(widths):
        width = wanted if original.format == "svg" else min(wanted, original.width)
        if width not in seen:
            seen.add(width)
            yield width, max(1, round(width * original.height / original.width)), wanted


def largest(ladder: SrcSet) -> Candidate:
    """The widest picture in the format that is shown most widely."""
    return ladder.formats[-1][1][-1]
