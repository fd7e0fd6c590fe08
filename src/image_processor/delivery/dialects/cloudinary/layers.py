"""Delivery, step 1: Cloudinary's layers, `l_logo/c_scale,w_100/fl_layer_apply,g_south_east,x_10,y_10`, become
overlays. The older form has all of it in one component.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from image_processor.delivery.dialects.request_builder import RequestBuilder, normalise
from image_processor.domain.errors import InvalidTransformation, Problem
from image_processor.domain.keys import percent_decode
from image_processor.domain.transformation import (
    BLACK,
    MAX_OUTLINE,
    Align,
    Blend,
    Gravity,
    ImageOverlay,
    Overlay,
    OverlayFit,
    RelativeLength,
    TextOverlay,
)

from .values import GRAVITIES, parse_border, parse_colour, parse_offset, parse_side

Component = Sequence[tuple[str, str]]
"""The names and values of one component."""

APPLY = "layer_apply"
_RELATIVE = frozenset({"relative", "region_relative"})
_IGNORED_FLAGS = frozenset({
    APPLY, *_RELATIVE, "no_overflow", "preserve_transparency", "text_disallow_overflow", "text_no_trim",
    "tiled",
})  # fmt: skip

BLENDS: Mapping[str, Blend] = {
    "multiply": Blend.MULTIPLY,
    "screen": Blend.SCREEN,
    "overlay": Blend.OVERLAY,
}
"""The effects that say how a layer is blended."""

_FITS = {
    "scale": OverlayFit.FILL,
    "fit": OverlayFit.INSIDE,
    "limit": OverlayFit.SCALE_DOWN,
    "fill": OverlayFit.COVER,
    "thumb": OverlayFit.COVER,
    "crop": OverlayFit.COVER,
    "pad": OverlayFit.INSIDE,
}
_STYLE = re.compile(r"(?P<family>[A-Za-z0-9%. -]+?)_(?P<size>[0-9]{1,4})(?P<words>(?:_[a-z0-9.-]+)*)")
_WORDS = frozenset({"bold", "italic", "light", "thin", "medium"})
_ALIGNMENTS = {
    "left": Align.LEFT,
    "center": Align.CENTRE,
    "right": Align.RIGHT,
    "start": Align.LEFT,
    "end": Align.RIGHT,
}
_KNOWN = frozenset(["l", "u", "fl", "c", "w", "h", "g", "x", "y", "o", "a", "e", "co", "q", "f", "ar"])
_PLAIN_WORDS = frozenset({"normal", "none", "regular"})
_LINE_SPACING = re.compile(r"_line_spacing_([0-9]{1,3})(?![0-9])")
_STORED = re.compile(r"(?:image:)?(?:upload|private|authenticated):")
_OTHER_SOURCES = ("fetch", "video", "subtitles", "lut")


def parse_layer(components: Sequence[Component], builder: RequestBuilder, dpr: float) -> Overlay | None:
    """The overlay of the components from `l_` to `fl_layer_apply`, or of the one component that has all. Adds
    a problem and returns None if it is not supported."""
    return _Layer(components, builder, dpr).overlay()


class _Layer:
    """Reads the components of one layer."""

    def __init__(self, components: Sequence[Component], builder: RequestBuilder, dpr: float) -> None:
        self.builder, self.dpr = builder, dpr
        self.pairs = [pair for component in components for pair in component]
        # The last component places the layer; the first and those between make it.
        self.placing = dict(components[-1])
        inner = components if len(components) == 1 else components[:-1]
        # The size may also be given where the layer is placed.
        own = {name: value for name, value in components[-1] if name in {"c", "w", "h"}}
        self.values = {**own, **dict(pair for component in inner for pair in component)}
        self.flags = {flag for name, value in self.pairs if name == "fl" for flag in value.split(".")}
        self.fields: dict[str, Any] = {}

    def overlay(self) -> Overlay | None:
        before = len(self.builder.problems)
        source = next(value for name, value in self.pairs if name in {"l", "u"})
        kind, _, rest = source.partition(":")
        self._check(source, kind)
        self._place()
        self._change()
        read: Callable[[str], Overlay | None] = self._text if kind == "text" else self._image
        try:
            overlay = read(rest if kind == "text" else source)
        except InvalidTransformation as error:
            self.builder.problems += [
                Problem(f"l_{source} ({problem.name})", problem.expected, problem.got)
                for problem in error.problems
            ]
            return None
        return overlay if len(self.builder.problems) == before else None

    def _check(self, source: str, kind: str) -> None:
        if any(name == "u" for name, _ in self.pairs):
            self.builder.unsupported("u", "an overlay (l_)", f"u_{source}")
        if kind in _OTHER_SOURCES:
            self.builder.unsupported("l", "the public ID of an image, or a text", f"l_{source}")
        for flag in self.flags - _IGNORED_FLAGS:
            self.builder.unsupported(
                f"fl_{flag}", "flags of layers that do not change the image", f"fl_{flag}"
            )
        known = _KNOWN | ({"bo"} if "_stroke" in source else set())
        for name, value in self.pairs:
            if name not in known:
                self.builder.unsupported(
                    f"{name}_ of a layer", "one of " + ", ".join(sorted(known)), f"{name}_{value}"
                )

    def _place(self) -> None:
        gravity = self.placing.get("g", "center")
        if gravity not in GRAVITIES:
            self.builder.unsupported("g_ of a layer", "one of " + ", ".join(GRAVITIES), f"g_{gravity}")
        self.fields["gravity"] = GRAVITIES.get(gravity, Gravity.CENTRE)
        for name in ("x", "y"):
            if name in self.placing:
                self.fields[name] = parse_offset(self.placing[name], name, self.builder, self.dpr)
        if "tiled" in self.flags:
            self.fields["tile"] = True

    def _change(self) -> None:
        both = {**self.values, **self.placing}
        if "o" in both:
            self.fields["opacity"] = self.builder.integer(both["o"], "o", 0, 100) or 0
        if "a" in both:
            degrees = self.builder.number(both["a"], "a", -360, 360)
            self.fields["rotate"] = degrees or 0
        for effect in (value for name, value in self.pairs if name == "e"):
            if effect in BLENDS:
                self.fields["blend"] = BLENDS[effect]
            else:
                self.builder.unsupported("e_ of a layer", "one of " + ", ".join(BLENDS), f"e_{effect}")

    def _size(self) -> dict[str, Any]:
        """Width and height: pixels, or shares of the image with `fl_relative`."""
        sides: dict[str, Any] = {}
        for name, field in (("w", "width"), ("h", "height")):
            if name not in self.values:
                continue
            side = parse_side(self.values[name], name, self.builder, self.dpr)
            if isinstance(side, RelativeLength) and not self.flags & _RELATIVE:
                self.builder.unsupported(
                    f"{name}_ of a layer", "pixels, or a share with fl_relative", self.values[name]
                )
            if isinstance(side, RelativeLength) and side.of_side > 1:
                side = RelativeLength(1.0)
            if side is not None:
                sides[field] = side
        return sides

    def _image(self, source: str) -> Overlay | None:
        public_id = _STORED.sub("", source).replace(":", "/")
        key = self.builder.parse_key(public_id, f"l_{source}")
        mode = self.values.get("c", "scale")
        if mode not in _FITS:
            self.builder.unsupported("c_ of a layer", "one of " + ", ".join(_FITS), f"c_{mode}")
        sides = self._size()
        fit = _FITS.get(mode, OverlayFit.INSIDE) if len(sides) == 2 else OverlayFit.INSIDE
        return ImageOverlay(image=key, fit=fit, **sides, **self.fields) if key else None

    def _text(self, source: str) -> Overlay | None:
        """`Arial_60_bold:Hello%20World`, whose text may be escaped twice."""
        style, _, text = source.partition(":")
        match = _STYLE.fullmatch(style)
        if match is None:
            self.builder.unsupported("l_text", "a font and its size, such as Arial_40_bold:TEXT", source)
            return None
        size = max(1, round(int(match["size"]) * self.dpr))
        fields = self._style(match["words"], size)
        family = " ".join((percent_decode(match["family"]), *fields.pop("words")))
        colour = parse_colour(self._colour(), "co", self.builder)
        sides = self._size()
        sides.pop("height", None)
        return TextOverlay(
            text=_decoded(text),
            size=size,
            font=family,
            colour=colour or BLACK,
            **fields,
            **sides,
            **self.fields,
        )

    def _colour(self) -> str:
        return next((value for name, value in self.pairs if name == "co"), "black")

    def _style(self, text: str, size: int) -> dict[str, Any]:
        """The fields of the words after a font's ``size``; `words` are those that belong to its name."""
        spacing = _LINE_SPACING.search(text)
        words = [word for word in _LINE_SPACING.sub("", text).split("_") if word]
        fields: dict[str, Any] = {"words": []}
        if spacing is not None:
            fields["spacing"] = normalise(min(3, int(spacing[1]) / size))
        for word in words:
            if word in _WORDS:
                fields["words"].append(word)
            elif word in _ALIGNMENTS:
                fields["align"] = _ALIGNMENTS[word]
            elif word == "stroke":
                fields |= self._outline()
            elif word not in _PLAIN_WORDS:
                expected = ", ".join((*sorted(_WORDS), *_ALIGNMENTS, "stroke, line_spacing_20"))
                self.builder.unsupported("l_text", f"words of style out of {expected}", word)
        return fields

    def _outline(self) -> dict[str, Any]:
        """The outline that `bo_` of the text gives, by default a black pixel."""
        border = next((value for name, value in self.pairs if name == "bo"), "1px_solid_black")
        width, colour = parse_border(border, self.builder, self.dpr)
        return {"outline": min(width, MAX_OUTLINE), "outline_colour": colour or BLACK}


def _decoded(text: str) -> str:
    try:
        return percent_decode(text)
    except UnicodeError:
        return text
