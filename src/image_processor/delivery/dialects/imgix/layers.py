"""Delivery, step 1: what an imgix URL draws over the image: `blend`, `mark` and `txt`."""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

from image_processor.delivery.dialects.request_builder import RequestBuilder, clamp, normalise
from image_processor.domain.errors import InvalidTransformation, Problem
from image_processor.domain.keys import percent_decode
from image_processor.domain.transformation import (
    BLACK,
    MAX_SHADOW,
    WHITE,
    Align,
    Blend,
    Gravity,
    ImageOverlay,
    OverlayFit,
    RelativeLength,
    Step,
    TextOverlay,
)

from .arguments import MAX_SIDE, Arguments
from .composition import Composition, step
from .layout import Layout, with_condition
from .sizes import fit_of, gravity_of

_T = TypeVar("_T", ImageOverlay, TextOverlay)

_ALIGNMENTS = ("top", "middle", "bottom", "left", "center", "right")
_BLENDS: Final = {
    "normal": Blend.OVER,
    "color": Blend.COLOUR,
    "burn": Blend.COLOUR_BURN,
    "dodge": Blend.COLOUR_DODGE,
    "darken": Blend.DARKEN,
    "difference": Blend.DIFFERENCE,
    "exclusion": Blend.EXCLUSION,
    "hardlight": Blend.HARD_LIGHT,
    "hue": Blend.HUE,
    "lighten": Blend.LIGHTEN,
    "luminosity": Blend.LUMINOSITY,
    "multiply": Blend.MULTIPLY,
    "overlay": Blend.OVERLAY,
    "saturation": Blend.SATURATION,
    "screen": Blend.SCREEN,
    "softlight": Blend.SOFT_LIGHT,
}
_FITS: Final = {
    "clip": OverlayFit.INSIDE,
    "fill": OverlayFit.INSIDE,
    "clamp": OverlayFit.INSIDE,
    "max": OverlayFit.SCALE_DOWN,
    "crop": OverlayFit.COVER,
    "scale": OverlayFit.FILL,
}
_MARK_PADDING = 5
_TEXT_PADDING = 10
_TEXT_SIZE = 12
_MAX_TEXT_SIZE = 2000
_MAX_OUTLINE = 20
_DEFAULT_FONT = "sans"
_WHOLE = RelativeLength(1.0)
_LOOKS_LIKE_COLOUR = re.compile(r"[0-9a-fA-F]{3,8}|[a-zA-Z]+")
_NOT_IN_FONT = re.compile(r"[^A-Za-z0-9-]+|(?<![A-Za-z])[0-9]+(?![A-Za-z])")


def source_key(text: str, name: str, builder: RequestBuilder, base: str = "") -> str | None:
    """The key of the image that a path or URL names; ``base`` precedes a path. Adds a problem and returns
    None if it names none."""
    joined = f"{base.rstrip('/')}/{text.lstrip('/')}" if base and "//" not in text else text
    source, mark, _ = joined.partition("?")
    if mark:
        builder.unsupported(name, "a path or URL without parameters of its own", text)
    try:
        decoded = percent_decode(source)
    except UnicodeError:
        builder.add_error(name, "percent-encoded UTF-8", text)
        return None
    return builder.parse_key(decoded if "//" in decoded else decoded.lstrip("/"), name)


def set_layers(arguments: Arguments, composition: Composition) -> None:
    """Add watermark and text."""
    mark = _mark(arguments)
    if mark is not None:
        composition.layers.append(mark)
        _set_condition(arguments, mark)
    text = _text(arguments)
    if text is not None:
        composition.layers.append(text)


# Blend ---------------------------------------------------------------------------------------------


def set_blend(arguments: Arguments, composition: Composition) -> None:
    """Add what `blend` lays over the image."""
    mode = arguments.chosen("blend-mode", _BLENDS) or Blend.OVERLAY
    alpha = arguments.number("blend-alpha", 0, 100)
    percent = 100 if alpha is None else alpha
    text = arguments.text("blend").strip()
    name = "blend" if text else "blend-color"
    if "blend-color" in arguments or _is_colour(text):
        paint = arguments.paint("blend-color" if "blend-color" in arguments else name)
        if paint is not None and percent * paint.alpha:
            value = (paint.colour, normalise(percent * paint.alpha), mode)
            composition.blends += step("colour", value, name, arguments)
    elif text:
        key = source_key(text, "blend", arguments.builder)
        fields = {
            **_place(arguments, "blend", ["center", "middle"], 0),
            **_blend_size(arguments),
            "opacity": round(percent),
            "blend": mode,
        }
        overlay = _overlay(ImageOverlay, {"image": key, **fields}, "blend", arguments) if key else None
        if overlay is not None:
            composition.blends.append(Step("over", overlay))


def _is_colour(text: str) -> bool:
    """Whether a value of `blend` is a colour; a word without a dot or slash is one."""
    return bool(_LOOKS_LIKE_COLOUR.fullmatch(text))


def _blend_size(arguments: Arguments) -> dict[str, Any]:
    if arguments.word("blend-size", ("inherit",)):
        fit = OverlayFit.COVER if fit_of(arguments) == "crop" else OverlayFit.INSIDE
        return {"width": _WHOLE, "height": _WHOLE, "fit": fit}
    width, height = arguments.length("blend-w"), arguments.length("blend-h")
    return {"width": width, "height": height, **_fit(arguments, "blend")}


def _fit(arguments: Arguments, layer: str) -> dict[str, Any]:
    fit = arguments.chosen(f"{layer}-fit", _FITS)
    if fit is None:
        return {}
    crop = [word for word in arguments.words(f"{layer}-crop") if word in _ALIGNMENTS]
    return {"fit": fit, "crop": gravity_of(crop)}


# Watermark -----------------------------------------------------------------------------------------


def _mark(arguments: Arguments) -> ImageOverlay | None:
    text = arguments.text("mark").strip()
    base = arguments.text("mark-base").strip()
    key = source_key(text, "mark", arguments.builder, base) if text else None
    if key is None:
        return None
    is_tiled = arguments.word("mark-tile", ("grid",)) is not None
    alpha = arguments.number("mark-alpha", 0, 100)
    fields: dict[str, Any] = {
        "image": key,
        "opacity": 100 if alpha is None else round(alpha),
        "rotate": normalise(-(arguments.number("mark-rot", -360, 360) or 0)),
        "tile": is_tiled,
        **_place(arguments, "mark", ["top", "left"] if is_tiled else ["bottom", "right"], _MARK_PADDING),
        **_mark_size(arguments),
    }
    if is_tiled:
        fields["gap"] = arguments.integer("mark-pad", 0, MAX_SIDE) or 0
    return _overlay(ImageOverlay, fields, "mark", arguments)


def _mark_size(arguments: Arguments) -> dict[str, Any]:
    """Pixels, or a share of the watermark's own size."""
    width, height = arguments.length("mark-w"), arguments.length("mark-h")
    shares = [side.of_side for side in (width, height) if isinstance(side, RelativeLength)]
    scale = arguments.number("mark-scale", 1, 100)
    pixels = {name: side for name, side in (("width", width), ("height", height)) if isinstance(side, int)}
    if pixels:
        return {**pixels, **_fit(arguments, "mark")}
    if shares:
        return {"zoom": max(0.01, min(shares))}
    return {"zoom": normalise(scale / 100)} if scale else {}


def _set_condition(arguments: Arguments, mark: ImageOverlay) -> None:
    width = arguments.integer("mark-if-min-width", 0, MAX_SIDE) or 0
    height = arguments.integer("mark-if-min-height", 0, MAX_SIDE) or 0
    if width or height:
        layout = arguments.builder.geometry
        assert layout is None or isinstance(layout, Layout)
        arguments.builder.geometry = with_condition(layout or _plain_layout(arguments), mark, width, height)


def _plain_layout(arguments: Arguments) -> Layout:
    """A layout that keeps the size that the fields have already."""
    return Layout(width=arguments.length("w"), height=arguments.length("h"), fit=fit_of(arguments))


# Text ----------------------------------------------------------------------------------------------


def _text(arguments: Arguments) -> TextOverlay | None:
    text = arguments.text("txt")
    if not text.strip():
        return None
    paint = arguments.paint("txt-color")
    place = _place(arguments, "txt", ["bottom", "right"], _TEXT_PADDING)
    width = arguments.integer("txt-width", 0, MAX_SIDE)
    size = arguments.integer("txt-size", 0, _MAX_TEXT_SIZE)
    fields: dict[str, Any] = {
        "text": text.replace("\t", " ").strip(),
        "size": max(1, _TEXT_SIZE if size is None else size),
        "font": _font(arguments),
        "colour": BLACK if paint is None else paint.colour,
        "opacity": 100 if paint is None else round(100 * paint.alpha),
        "align": _alignment(place["gravity"]),
        **place,
        **_effects(arguments),
        **({"width": width} if width else {}),
    }
    return _overlay(TextOverlay, fields, "txt", arguments)


def _alignment(gravity: Gravity) -> Align:
    return Align.LEFT if "west" in gravity else Align.RIGHT if "east" in gravity else Align.CENTRE


def _font(arguments: Arguments) -> str:
    """Family and style in words, as fontconfig knows them: `Avenir-Black,Bold` is `Avenir Black Bold`."""
    name = arguments.text("txt-font").replace("-", " ").replace(",", " ")
    return " ".join(_NOT_IN_FONT.sub(" ", name).split()) or _DEFAULT_FONT


def _effects(arguments: Arguments) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    outline = arguments.number("txt-line", 0, MAX_SIDE)
    if outline:
        line = arguments.paint("txt-line-color")
        fields["outline"] = min(_MAX_OUTLINE, max(1, round(outline)))
        fields["outline_colour"] = line.colour if line is not None else WHITE
    shadow = arguments.number("txt-shad", 0, MAX_SHADOW)
    if shadow:
        offset = max(1, round(shadow / 2))
        fields |= {"shadow": BLACK, "shadow_x": offset, "shadow_y": offset, "shadow_blur": round(shadow)}
    return fields


# All -----------------------------------------------------------------------------------------------


def _place(arguments: Arguments, layer: str, default: list[str], padding: int) -> dict[str, Any]:
    """Gravity and offsets: alignment and padding, each overridden along an axis by a position."""
    name = f"{layer}-align"
    words = arguments.words(name) or default
    wrong = [word for word in words if word not in _ALIGNMENTS]
    if wrong:
        arguments.builder.add_error(name, ", ".join(_ALIGNMENTS), ",".join(wrong))
        words = default
    given = arguments.integer(f"{layer}-pad", 0, MAX_SIDE)
    distance = padding if given is None else given
    x, y = (_position(arguments, f"{layer}-{axis}") for axis in "xy")
    # One word leaves the other axis where it is by default for a watermark, in the middle otherwise.
    gravity = gravity_of(words)
    across = "west" if "west" in gravity else "east" if "east" in gravity else ""
    down = "north" if "north" in gravity else "south" if "south" in gravity else ""
    if x is not None:
        across = "west"
    if y is not None:
        down = "north"
    return {
        "gravity": Gravity(down + across or "centre"),
        "x": x if x is not None else distance if across else 0,
        "y": y if y is not None else distance if down else 0,
    }


def _position(arguments: Arguments, name: str) -> int | RelativeLength | None:
    found = arguments.number(name, -16_383, 16_383)
    if found is None:
        return None
    is_share = 0 < abs(found) < 1
    return RelativeLength(float(clamp(found, -1, 1))) if is_share else round(found)


def _overlay(kind: type[_T], fields: dict[str, Any], name: str, arguments: Arguments) -> _T | None:
    """The overlay, or None and its problems."""
    try:
        return kind(**fields)
    except InvalidTransformation as error:
        arguments.builder.problems += [
            Problem(f"{name} ({problem.name})", problem.expected, problem.got) for problem in error.problems
        ]
        return None
