"""Images and texts drawn over a rendition, as frozen values with one canonical text form.

`image:logos~2fmark.png;w:0.2;g:southeast` and `text:Hello;size:48` are values of the repeatable
parameter `over`. `parse` and `str` are inverse. What has no effect is dropped on construction.
"""

# No `from __future__ import annotations`: parameter_table reads the annotations at run time.

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Self

from msgspec import Struct
from msgspec.structs import force_setattr, replace

from image_processor.domain.errors import InvalidKey, InvalidTransformation, Problem
from image_processor.domain.keys import MAX_KEY_BYTES, check_key
from image_processor.domain.rounding import round_number

from .parameter_table import Parameter, parameter_table, read_pairs, scale_length, show_pairs
from .parameter_types import COLOUR, FLAG, ValueType, choice, integer, length, number
from .values import (
    BLACK,
    MAX_SIDE,
    SMART,
    WHITE,
    Colour,
    Flip,
    Gravity,
    Length,
    RelativeLength,
    quote,
    unquote,
)

MAX_TEXT_LENGTH = 500
"""The most characters of a text overlay."""

MAX_TEXT_SIZE = 2000
"""The largest font size in pixels."""

MAX_OUTLINE = 20
"""The widest outline of a text in pixels."""

MAX_SHADOW = 100
"""The largest offset and blur radius of a shadow in pixels."""

_NO_LENGTH = RelativeLength(0.0)
"""The same as 0 pixels, which is the canonical form."""


class Blend(StrEnum):
    """How an overlay is blended: W3C Compositing and Blending Level 1, chapter 9. MASK draws nothing: it
    keeps what lies below the overlay, by its luminance and alpha, as CSS's `mask-image` does."""

    OVER = "over"
    MULTIPLY = "multiply"
    SCREEN = "screen"
    OVERLAY = "overlay"
    DARKEN = "darken"
    LIGHTEN = "lighten"
    COLOUR_DODGE = "colour-dodge"
    COLOUR_BURN = "colour-burn"
    HARD_LIGHT = "hard-light"
    SOFT_LIGHT = "soft-light"
    DIFFERENCE = "difference"
    EXCLUSION = "exclusion"
    HUE = "hue"
    SATURATION = "saturation"
    COLOUR = "colour"
    LUMINOSITY = "luminosity"
    MASK = "mask"


class OverlayFit(StrEnum):
    """How an image overlay fits the size that is given for it, as CSS's `object-fit`: inside, inside without
    enlarging it, cropped to cover, or stretched."""

    INSIDE = "inside"
    SCALE_DOWN = "scale-down"
    COVER = "cover"
    FILL = "fill"


class Align(StrEnum):
    """The alignment of the lines of a text. For right-to-left scripts LEFT and RIGHT are swapped:
    LEFT is the side where a line begins."""

    LEFT = "left"
    CENTRE = "centre"
    RIGHT = "right"


def _is_key(value: Any) -> bool:
    try:
        return isinstance(value, str) and check_key(value) == value
    except InvalidKey:
        return False


def _is_text(value: Any) -> bool:
    """Whether a font can draw ``value``: not only spaces, and no control characters but line feeds."""
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_TEXT_LENGTH or not value.strip():
        return False
    return all(
        char == "\n" or unicodedata.category(char) not in {"Cc", "Cs"} for char in value.replace("\r\n", "\n")
    )


# A Pango font description may also hold a size, `@` variations, `#` features and a list of families.
_FONT_WORDS = re.compile(r"[A-Za-z0-9-]*[A-Za-z][A-Za-z0-9-]*(?: [A-Za-z0-9-]*[A-Za-z][A-Za-z0-9-]*)*")
_FONT_SIZE = re.compile(r"(?:.* )?[0-9]+(?:px|pt)?", re.IGNORECASE)


def _is_font(value: Any) -> bool:
    return (
        isinstance(value, str)
        and len(value) <= 80
        and _FONT_WORDS.fullmatch(value) is not None
        and _FONT_SIZE.fullmatch(value) is None
    )


def _above_zero(type_: ValueType) -> ValueType:
    return replace(type_, is_valid=lambda value: type_.is_valid(value) and value != _NO_LENGTH)


_KEY = ValueType(f"a key of 1-{MAX_KEY_BYTES} bytes", unquote, _is_key, quote)
_TEXT = ValueType(
    f"a text of 1-{MAX_TEXT_LENGTH} characters, without control characters", unquote, _is_text, quote
)
_FONT = ValueType("a font's family and style without a size, such as 'sans bold'", unquote, _is_font, quote)
_FREE_TEXT = (_KEY, _TEXT, _FONT)
"""Types whose value is the text itself; only the text form escapes it."""

_FIXED_GRAVITIES = [gravity for gravity in Gravity if gravity not in SMART]
_FIXED_GRAVITY = ValueType(
    " | ".join(_FIXED_GRAVITIES), Gravity, lambda value: isinstance(value, Gravity) and value not in SMART
)
_SIDE = _above_zero(length(1, MAX_SIDE))
_OFFSET = length(-MAX_SIDE, MAX_SIDE)
_SHADOW_OFFSET = length(-MAX_SHADOW, MAX_SHADOW)

# A positive length stays at least a pixel when `dpr` scales it.
_scale_side = scale_length(MAX_SIDE, 1)
_scale_shadow = scale_length(MAX_SHADOW, 1)
_scale_outline = scale_length(MAX_OUTLINE, 1)


class _Overlay(Struct, frozen=True):
    """What image and text overlays have in common.

    ``gravity`` is the side or corner of the rendition; ``x`` and ``y`` lead inwards from it, or to the
    right and down from a centre. ``rotate`` is in degrees clockwise, ``opacity`` 0-100. ``tile`` repeats
    the overlay over the whole rendition with ``gap`` between the tiles; one of them lies where the
    overlay would lie alone.
    """

    gravity: Annotated[
        Gravity,
        Parameter("g", _FIXED_GRAVITY, "the side or corner where it is placed", "g:southeast"),
    ] = Gravity.CENTRE
    x: Annotated[
        Length,
        Parameter(
            "x",
            _OFFSET,
            "offset from that side inwards; from a centre to the right",
            "g:west;x:12",
            scale=_scale_side,
        ),
    ] = 0
    y: Annotated[
        Length,
        Parameter(
            "y",
            _OFFSET,
            "offset from that side inwards; from a centre down",
            "g:north;y:12",
            scale=_scale_side,
        ),
    ] = 0
    rotate: Annotated[
        float, Parameter("rotate", number(-360, 360, "degrees"), "rotate clockwise", "rotate:20")
    ] = 0
    opacity: Annotated[int, Parameter("o", integer(0, 100), "opacity in percent", "o:40")] = 100
    blend: Annotated[
        Blend,
        Parameter(
            "blend",
            choice(Blend),
            "blend mode, as in CSS; `mask` keeps what lies below it, by its luminance and alpha",
            "blend:overlay",
        ),
    ] = Blend.OVER
    tile: Annotated[bool, Parameter("tile", FLAG, "repeat over the whole rendition", "o:60;tile:1")] = False
    gap: Annotated[
        Length,
        Parameter("gap", length(0, MAX_SIDE), "space between tiles", "o:60;tile:1;gap:16", scale=_scale_side),
    ] = 0
    spread: Annotated[
        Flip | None,
        Parameter(
            "spread",
            choice(Flip),
            "repeat whole copies with equal gaps in this direction or both, as CSS's `space`",
            "o:60;spread:hv",
        ),
    ] = None

    def __post_init__(self) -> None:
        problems = [problem for row in table_of(self) if (problem := row.check(getattr(self, row.field)))]
        if problems:
            raise InvalidTransformation(problems)
        for field in ("x", "y"):
            if getattr(self, field) == _NO_LENGTH:
                force_setattr(self, field, 0)
        if self.tile:
            force_setattr(self, "spread", None)
        if not self.tile or self.gap == _NO_LENGTH:
            force_setattr(self, "gap", 0)
        # Rounding may give 360 again.
        force_setattr(self, "rotate", round_number(round_number(self.rotate % 360) % 360))

    def __str__(self) -> str:
        return show_pairs(self, table_of(self), separator=";", equals=":")

    def scaled(self, factor: float) -> Self:
        """This overlay with every length in pixels times ``factor``, rounded half up. A length stays at
        least one pixel and within its range; fractions stay as they are."""
        changes = {
            row.field: row.scale(getattr(self, row.field), factor) for row in table_of(self) if row.scale
        }
        return replace(self, **changes)


class ImageOverlay(_Overlay, frozen=True, kw_only=True):
    """Another image, by its key in the upload store.

    It is scaled to fit ``width`` and ``height`` (pixels, or fractions of the rendition's sides), keeps
    its ratio unless ``fit`` stretches it, and is never larger than the rendition. With neither it has its
    own size, times ``zoom``, if that fits. ``crop`` is the part that COVER keeps.
    """

    image: Annotated[
        str,
        Parameter(
            "image",
            _KEY,
            "the key of an original; `/` is written `~2f` in a text",
            "image:mark.png",
            leading=True,
        ),
    ]
    width: Annotated[
        Length | None,
        Parameter(
            "w",
            _SIDE,
            "maximum width; keeps the aspect ratio",
            "image:mark.png;w:0.5",
            leading=True,
            scale=_scale_side,
        ),
    ] = None
    height: Annotated[
        Length | None,
        Parameter(
            "h",
            _SIDE,
            "maximum height; keeps the aspect ratio",
            "image:mark.png;h:0.6",
            leading=True,
            scale=_scale_side,
        ),
    ] = None
    zoom: Annotated[
        float,
        Parameter(
            "zoom",
            number(0.01, 100),
            "multiply its own size, without `w` and `h`",
            "image:mark.png;zoom:0.5",
            leading=True,
        ),
    ] = 1
    fit: Annotated[
        OverlayFit,
        Parameter(
            "fit",
            choice(OverlayFit),
            "how it fits `w` and `h`: without enlarging it, cropped or stretched",
            "image:mark.png;w:0.8;h:0.4;fit:fill",
            leading=True,
        ),
    ] = OverlayFit.INSIDE
    crop: Annotated[
        Gravity,
        Parameter(
            "crop",
            _FIXED_GRAVITY,
            "the part that `fit:cover` keeps",
            "image:mark.png;w:0.5;h:0.3;fit:cover;crop:north",
            leading=True,
        ),
    ] = Gravity.CENTRE

    def __post_init__(self) -> None:
        super().__post_init__()
        sides = [side for side in (self.width, self.height) if side is not None]
        # With one side there is nothing to crop or to stretch, and without any nothing to enlarge.
        if len(sides) < (1 if self.fit is OverlayFit.SCALE_DOWN else 2):
            force_setattr(self, "fit", OverlayFit.INSIDE)
        if sides:
            force_setattr(self, "zoom", 1)
        if self.fit is not OverlayFit.COVER:
            force_setattr(self, "crop", Gravity.CENTRE)


class TextOverlay(_Overlay, frozen=True, kw_only=True):
    """Lines of text.

    ``size`` is the height of the font in pixels or as a fraction of the rendition's height, ``width``
    the width at which lines wrap. A text that does not fit the rendition is made smaller until it does.
    ``font`` is a family with style words, such as `sans bold`. ``spacing`` is extra space between lines,
    in font sizes. ``outline`` is the width of an outline around the letters. ``shadow`` is the colour of a
    shadow with offsets ``shadow_x`` and ``shadow_y`` and CSS's blur radius ``shadow_blur``. All of these are
    in pixels or fractions of the font size.
    """

    text: Annotated[
        str,
        Parameter(
            "text",
            _TEXT,
            "the text; all but letters, digits, `_`, `.` and `-` is written as `~` and two hex digits per "
            "byte",
            "text:A~20lake~0aat~20dusk;size:0.2",
            leading=True,
        ),
    ]
    size: Annotated[
        Length,
        Parameter(
            "size",
            _above_zero(length(1, MAX_TEXT_SIZE)),
            "font size; a fraction is of the rendition's height",
            "text:Lake;size:0.4",
            leading=True,
            scale=scale_length(MAX_TEXT_SIZE, 1),
        ),
    ] = RelativeLength(0.05)
    font: Annotated[
        str,
        Parameter(
            "font", _FONT, "font family and style", "text:Lake;size:0.2;font:serif~20italic", leading=True
        ),
    ] = "sans"
    colour: Annotated[
        Colour,
        Parameter("colour", COLOUR, "text colour", "text:Lake;size:0.2;colour:ffdd44", leading=True),
    ] = WHITE
    width: Annotated[
        Length,
        Parameter(
            "w",
            _SIDE,
            "width at which lines wrap",
            "text:A~20lake~20at~20dusk;size:0.15;w:0.5",
            leading=True,
            scale=_scale_side,
        ),
    ] = RelativeLength(1.0)
    align: Annotated[
        Align,
        Parameter(
            "align",
            choice(Align),
            "alignment of the lines",
            "text:A~20lake~0aat~0adusk;size:0.15;align:right",
            leading=True,
        ),
    ] = Align.LEFT
    spacing: Annotated[
        float,
        Parameter(
            "spacing",
            number(0, 3, "sizes"),
            "additional line spacing, in font sizes",
            "text:A~20lake~0aat~20dusk;size:0.15;spacing:1",
            leading=True,
        ),
    ] = 0
    outline: Annotated[
        Length,
        Parameter(
            "outline",
            length(0, MAX_OUTLINE),
            "width of an outline around the letters; a fraction is of the font size",
            "text:Lake;size:0.4;outline:3",
            scale=_scale_outline,
        ),
    ] = 0
    outline_colour: Annotated[
        Colour,
        Parameter(
            "outline-colour",
            COLOUR,
            "outline colour",
            "text:Lake;size:0.4;outline:3;outline-colour:ffcc00",
        ),
    ] = BLACK
    shadow: Annotated[
        Colour | None,
        Parameter("shadow", COLOUR, "shadow colour; enables a shadow", "text:Lake;size:0.4;shadow:000000"),
    ] = None
    shadow_x: Annotated[
        Length,
        Parameter(
            "shadow-x",
            _SHADOW_OFFSET,
            "shadow offset to the right; a fraction is of the font size",
            "text:Lake;size:0.4;shadow:000000;shadow-x:8",
            scale=_scale_shadow,
        ),
    ] = RelativeLength(0.06)
    shadow_y: Annotated[
        Length,
        Parameter(
            "shadow-y",
            _SHADOW_OFFSET,
            "shadow offset down",
            "text:Lake;size:0.4;shadow:000000;shadow-y:8",
            scale=_scale_shadow,
        ),
    ] = RelativeLength(0.06)
    shadow_blur: Annotated[
        Length,
        Parameter(
            "shadow-blur",
            length(0, MAX_SHADOW),
            "shadow blur radius as in CSS; 0 is sharp",
            "text:Lake;size:0.4;shadow:000000;shadow-blur:0",
            scale=_scale_shadow,
        ),
    ] = RelativeLength(0.1)

    def __post_init__(self) -> None:
        super().__post_init__()
        # Pango and fontconfig ignore the case of font names.
        force_setattr(self, "font", self.font.lower())
        force_setattr(self, "text", self.text.replace("\r\n", "\n"))
        if self.outline in {0, _NO_LENGTH}:
            force_setattr(self, "outline", 0)
            force_setattr(self, "outline_colour", BLACK)
        for row in TEXT_PARAMETERS:
            if not row.field.startswith("shadow_"):
                continue
            if self.shadow is None:
                force_setattr(self, row.field, row.default)
            elif getattr(self, row.field) == _NO_LENGTH:
                force_setattr(self, row.field, 0)


Overlay = ImageOverlay | TextOverlay

IMAGE_PARAMETERS = parameter_table(ImageOverlay)
TEXT_PARAMETERS = parameter_table(TextOverlay)


def table_of(overlay: _Overlay) -> Sequence[Parameter]:
    """The parameters of ``overlay``, in canonical order."""
    return IMAGE_PARAMETERS if isinstance(overlay, ImageOverlay) else TEXT_PARAMETERS


def parse(text: str) -> Overlay:
    """The overlay in a text such as `image:mark.png;w:0.2`, its pairs in any order.

    Raises InvalidTransformation with every problem.
    """
    names = {pair.partition(":")[0] for pair in text.split(";")}
    class_, table = _class_of(names, repr(text))
    values, problems = read_pairs(text, table, separator=";", equals=":")
    if problems:
        raise InvalidTransformation(problems)
    return class_(**values)


def overlay_from(fields: Mapping[str, Any]) -> Overlay:
    """The overlay that a table of TOML or JSON describes by the names of the fields.

    A fraction is written with a decimal point, as in the text form. Raises InvalidTransformation with
    every problem.
    """
    class_, table = _class_of(fields, ", ".join(fields) or "nothing")
    by_field = {row.field: row for row in table}
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for field, raw in fields.items():
        row = by_field.get(field)
        if row is None:
            problems.append(Problem("field", "one of " + ", ".join(by_field), repr(field)))
            continue
        try:
            values[field] = _read_typed(row.type, raw)
        except (ValueError, KeyError):
            problems.append(Problem(field, row.expected, repr(raw)))
    if problems:
        raise InvalidTransformation(problems)
    return class_(**values)


def _class_of(
    names: Collection[str], got: str
) -> tuple[type[ImageOverlay] | type[TextOverlay], Sequence[Parameter]]:
    """The class and parameters of an overlay with fields or parameters of these ``names``."""
    if ("image" in names) == ("text" in names):
        both = "both" if "image" in names else got
        raise InvalidTransformation([Problem("overlay", "an image or a text", both)])
    return (ImageOverlay, IMAGE_PARAMETERS) if "image" in names else (TextOverlay, TEXT_PARAMETERS)


def _read_typed(type_: ValueType, raw: Any) -> Any:
    """A value of ``type_`` from a value of TOML or JSON. Raises ValueError or KeyError.

    Numbers and booleans must not be given as texts.
    """
    if isinstance(raw, bool) or type_ in _FREE_TEXT:
        value = raw
    elif isinstance(raw, str):
        value = type_.read(raw)
    else:
        value = type_.read(repr(raw))
    is_textual = isinstance(value, str | Colour)
    if not type_.is_valid(value) or is_textual != isinstance(raw, str):
        raise ValueError(raw)
    return value


OVERLAY = ValueType(
    "image:KEY or text:TEXT, and how it lies", parse, lambda value: isinstance(value, Overlay)
)
