"""Delivery, step 1: reads the components of a Cloudinary URL, `c_fill,w_300/e_sepia/f_auto`, into operations
and the format, quality and so on of the result.

Within a component Cloudinary decides the order: the crop comes before effects, then corners and border, then
the angle.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction

from image_processor.delivery.dialects.request_builder import RequestBuilder
from image_processor.domain.transformation import Backdrop, Colour, Flip, Gravity, Step

from .effects import parse_effect
from .encoding import set_encoding
from .expansion import expand
from .layers import APPLY, Component, parse_layer
from .operations import COMPARISONS, MODES, PADDING, Branch, Corners, Effect, Operation, Resize, Turn
from .values import (
    parse_border,
    parse_colour,
    parse_gravity,
    parse_offset,
    parse_radii,
    parse_ratio,
    parse_side,
)

_PAIR = re.compile(r"(\$?[A-Za-z][A-Za-z0-9]*)_(.*)", re.DOTALL)
_TEST = re.compile(r"(w|h|ar|iw|ih|iar)_(eq|ne|lte|gte|lt|gt)_([0-9]{1,6}(?:\.[0-9]{1,6})?(?::[0-9]{1,6})?)")
_TURNS = {"hflip": Flip.HORIZONTAL, "vflip": Flip.VERTICAL, "auto_right": 1, "auto_left": -1}
_BACKGROUNDS = {"auto": Backdrop.MEAN, "blurred": Backdrop.BLURRED}
_FLIPS = {"hflip", "vflip"}

_IGNORED = frozenset({"d", "cs"})
ACTIONS = (
    "w",
    "h",
    "c",
    "g",
    "x",
    "y",
    "z",
    "ar",
    "f",
    "q",
    "e",
    "r",
    "a",
    "b",
    "bo",
    "co",
    "o",
    "l",
    "fl",
    "pg",
    "dpr",
)
_NAMES = frozenset({
    *ACTIONS, "ac", "af", "bl", "br", "cs", "d", "dl", "dn", "du", "eo", "fn", "fps", "if", "ki", "p", "so",
    "sp", "t", "u", "vc", "vs",
})  # fmt: skip
_MAX_COMPONENTS = 50

Named = Mapping[str, str]
"""The transformation text of named transformations."""


def is_component(text: str) -> bool:
    """Whether a decoded segment of a path is a component: parameters with commas between."""
    return all(
        (match := _PAIR.fullmatch(part)) is not None and (match[1] in _NAMES or match[1].startswith("$"))
        for part in text.rstrip(",").split(",")
    )


def read_components(texts: Sequence[str], builder: RequestBuilder, named: Named) -> tuple[Operation, ...]:
    """The operations of the components, in order. Format, quality and the like go to ``builder``."""
    components = [_split(text) for text in expand(texts, builder, named)]
    if len(components) > _MAX_COMPONENTS:
        builder.add_error("the transformation", f"at most {_MAX_COMPONENTS} components", len(components))
        return ()
    dpr = _dpr(components, builder)
    reader = _Reader(components, builder, dpr)
    operations = reader.read()
    set_encoding([pair for component in reader.plain for pair in component], builder)
    return operations


def _split(text: str) -> Component:
    """The parameters of a component; a condition is one."""
    parts = [text] if text.startswith("if_") else [part for part in text.split(",") if part]
    return [(name, value) for name, _, value in (part.partition("_") for part in parts)]


def _dpr(components: Sequence[Component], builder: RequestBuilder) -> float:
    """The factor of every length in pixels. `auto` is 1, as without client hints."""
    texts = [value for component in components for name, value in component if name == "dpr"]
    if not texts or texts[-1] == "auto":
        return 1
    return builder.number(texts[-1], "dpr", 0.1, 10) or 1


class _Reader:
    """Reads components from left to right; conditions and layers take several."""

    def __init__(self, components: Sequence[Component], builder: RequestBuilder, dpr: float) -> None:
        self.components, self.builder, self.dpr = components, builder, dpr
        self.at = 0
        self.plain: list[Component] = []
        """The components that belong to no layer."""

    def read(self, *, inside: bool = False) -> tuple[Operation, ...]:
        """The operations up to the end, or ``inside`` a condition up to `if_else` or `if_end`."""
        operations: list[Operation] = []
        while self.at < len(self.components):
            component = self.components[self.at]
            name, value = component[0]
            if name == "if" and value in {"end", "else"}:
                if inside:
                    return tuple(operations)
                self.builder.add_error("if", "if_ before it", f"if_{value}")
                self.at += 1
            elif name == "if":
                operations += self._branch(value)
            elif any(name in {"l", "u"} for name, _ in component):
                operations += self._layer()
            else:
                operations += self._component(component)
                self.at += 1
        return tuple(operations)

    def _component(self, component: Component) -> list[Operation]:
        self.plain.append(component)
        return _read_component(component, self.builder, self.dpr)

    def _layer(self) -> list[Operation]:
        start = self.at
        end = start
        for number, component in enumerate(self.components[start:], start):
            if number > start and any(name in {"l", "u"} for name, _ in component):
                break
            if any(name == "fl" and APPLY in value.split(".") for name, value in component):
                end = number
                break
        self.at = end + 1
        overlay = parse_layer(self.components[start : end + 1], self.builder, self.dpr)
        return [] if overlay is None else [overlay]

    def _branch(self, condition: str) -> list[Operation]:
        """`if_w_gt_1000`, with the operations up to `if_end`; or with further parameters after a comma."""
        self.at += 1
        condition, _, rest = condition.partition(",")
        tests = self._tests(condition)
        if rest:
            then = tuple(self._component(_split(rest)))
            otherwise: tuple[Operation, ...] = ()
        else:
            then = self.read(inside=True)
            otherwise = ()
            if self._is_at("else"):
                self.at += 1
                otherwise = self.read(inside=True)
            if not self._is_at("end"):
                self.builder.add_error("if", "if_end after it", f"if_{condition}")
            self.at += 1
        if not tests:
            return []
        return [Branch(tests, "_or_" in condition, then, otherwise)]

    def _is_at(self, word: str) -> bool:
        return self.at < len(self.components) and tuple(self.components[self.at][0]) == ("if", word)

    def _tests(self, condition: str) -> tuple[tuple[str, str, float], ...]:
        parts = re.split(r"_(?:and|or)_", condition)
        matches = [_TEST.fullmatch(part) for part in parts]
        mixed = "_and_" in condition and "_or_" in condition
        if mixed or not all(matches):
            self.builder.unsupported(
                "if",
                f"w, h, ar, iw, ih or iar, then one of {', '.join(COMPARISONS)} and a number",
                f"if_{condition}",
            )
            return ()
        return tuple((match[1], match[2], _value(match[3])) for match in matches if match)


def _value(text: str) -> float:
    first, _, second = text.partition(":")
    return float(first) / float(second or 1) if float(second or 1) else 0.0


def _read_component(component: Component, builder: RequestBuilder, dpr: float) -> list[Operation]:
    """The operations of a component without a layer."""
    values = dict(component)
    for name, value in component:
        if name not in ACTIONS and name not in _IGNORED:
            builder.unsupported(f"{name}_", "one of " + ", ".join(ACTIONS), f"{name}_{value}")
    flags = {flag for name, value in component if name == "fl" for flag in value.split(".")}
    colour = parse_colour(values["co"], "co", builder) if "co" in values else None
    effects = [
        effect
        for name, value in component
        if name == "e" and (effect := parse_effect(value, colour, builder)) is not None
    ]
    angle = values.get("a", "")
    operations: list[Operation] = [effect for effect in effects if effect.field == "trim"]
    operations += _resize(values, flags, angle, builder, dpr)
    operations += [effect for effect in effects if effect.field != "trim"]
    if "o" in values:
        operations += _opacity(values["o"], builder)
    operations += _corners(values, builder, dpr)
    operations += _turns(angle, builder)
    return operations


def _resize(
    values: Mapping[str, str], flags: set[str], angle: str, builder: RequestBuilder, dpr: float
) -> list[Operation]:
    if not values.keys() & {"w", "h", "ar", "c", "b", "g", "x", "y", "z"}:
        return []
    mode = values.get("c", "scale")
    if mode not in MODES:
        builder.unsupported("c", "one of " + ", ".join(MODES), f"c_{mode}")
        return []
    if "z" in values:  # Nothing is zoomed to: faces are kept inside the crop.
        builder.number(values["z"], "z", 0.01, 100)
    width, height = (
        parse_side(values[name], name, builder, dpr)
        if name in values and not _is_auto(values[name])
        else None
        for name in ("w", "h")
    )
    ratio = parse_ratio(values["ar"], builder) if "ar" in values else None
    background = _background(values["b"], builder) if "b" in values else None
    if "c" not in values and width is None and height is None and background is not None:
        return _flattened(background)
    if mode == "scale" and "ignore_aspect_ratio" in flags:
        ratio = None
    gravity, centred = _gravity(values, mode, builder)
    x, y = (parse_offset(values.get(name, "0"), name, builder, dpr) for name in ("x", "y"))
    if mode != "crop" and not centred and (x or y):
        builder.unsupported("x, y", "c_crop or g_xy_center with them", f"x_{x},y_{y}")
    quarters = next((turns for word in angle.split(".") if isinstance(turns := _TURNS.get(word), int)), 0)
    if width is None and height is None and ratio is None and mode != "crop":
        return _flattened(background)
    resize = Resize(mode, width, height, _bounded(ratio), gravity, x, y, centred, background, quarters)
    return [resize] if mode in PADDING else [resize, *_flattened(background)]


def _is_auto(text: str) -> bool:
    """Whether the client's hints decide, without which Cloudinary does not resize."""
    return text.partition(":")[0] == "auto"


def _bounded(ratio: Fraction | None) -> Fraction | None:
    return ratio if ratio is None else ratio.limit_denominator(10_000)


def _gravity(values: Mapping[str, str], mode: str, builder: RequestBuilder) -> tuple[Gravity | None, bool]:
    """The gravity, and whether `x` and `y` are a centre."""
    if "g" in values:
        text = values["g"]
        centred = text in {"xy_center", "auto:xy_center"}
        return (None if centred else parse_gravity(text, builder)), centred
    if mode == "auto":
        return Gravity.ATTENTION, False
    is_placed = mode == "crop" and values.keys() & {"x", "y"}
    return (Gravity.NORTHWEST if is_placed else None), False


def _background(text: str, builder: RequestBuilder) -> Colour | Backdrop | None:
    kind = _BACKGROUNDS.get(text.partition(":")[0])
    return kind or parse_colour(text, "b", builder)


def _flattened(background: Colour | Backdrop | None) -> list[Operation]:
    """A colour also fills what is transparent, whatever the mode."""
    if not isinstance(background, Colour):
        return []
    return [Effect("b", "background", background, (Step("bg", background),))]


def _opacity(text: str, builder: RequestBuilder) -> list[Operation]:
    percent = builder.integer(text, "o", 0, 100)
    if percent is None or percent == 100:
        return []
    return [Effect("o", "opacity", percent, (Step("op", percent),))]


def _corners(values: Mapping[str, str], builder: RequestBuilder, dpr: float) -> list[Operation]:
    radii = parse_radii(values["r"], builder, dpr) if "r" in values else None
    width, colour = parse_border(values["bo"], builder, dpr) if "bo" in values else (0, None)
    return [Corners(radii, width, colour)] if radii is not None or width else []


def _turns(text: str, builder: RequestBuilder) -> list[Operation]:
    turns: list[Operation] = []
    for word in filter(None, text.split(".")):
        if word in _FLIPS:
            turns.append(Turn(Flip(word[0])))
        elif word not in {"auto_right", "auto_left", "ignore", "auto", "exif"}:
            degrees = builder.number(word, "a", -360, 360)
            turns += [Turn(degrees)] if degrees else []
        elif word == "ignore":
            builder.values["orient"] = False
    return turns
