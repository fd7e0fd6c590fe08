"""Ground floor: what is laid over a rendition, as frozen values with one canonical text form.

`image:logos~2fmark.png;w:0.2;g:southeast` and `text:Hello;size:48` are values of the repeatable
parameter `over`. `parse` and `str` are inverse, and what cannot change the result is dropped.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Self

from msgspec import Struct
from msgspec.structs import force_setattr, replace

from image_processor.domain.errors import InvalidTransformation, Problem

from .overlay_rows import (
    FONT,
    FREE_TEXT,
    IMAGE_ROWS,
    MOST_PIXELS,
    NO_LENGTH,
    SHADOW_BLUR,
    SHADOW_OFFSET,
    TEXT_ROWS,
    TEXT_SIZE,
    WHOLE_SIDE,
    Align,
    Blend,
)
from .parameters import Parameter, ValueType, read_pairs, show_pairs
from .values import PLACES, WHITE, Colour, Gravity, Length


class _Laid(Struct, frozen=True):
    """What an image and a text have in common: where they lie and how they meet the picture.

    ``gravity`` is the side or corner of the rendition, ``x`` and ``y`` lead inwards from it, or to
    the right and down from a centre. ``rotate`` is in degrees clockwise, ``opacity`` 0-100. With ``tile``
    it is repeated over all of the rendition, ``gap`` apart, with one of them where it would lie alone.
    """

    gravity: Gravity = Gravity.CENTRE
    x: Length = 0
    y: Length = 0
    rotate: float = 0
    opacity: int = 100
    blend: Blend = Blend.OVER
    tile: bool = False
    gap: Length = 0

    def __post_init__(self) -> None:
        problems = [wrong for row in rows_of(self) if (wrong := row.check(getattr(self, row.field)))]
        if problems:
            raise InvalidTransformation(problems)
        for field in ("x", "y"):
            if getattr(self, field) == NO_LENGTH:
                force_setattr(self, field, 0)
        turn = round(self.rotate % 360, PLACES) % 360
        if not self.tile or self.gap == NO_LENGTH:
            force_setattr(self, "gap", 0)
        force_setattr(self, "rotate", int(turn) if turn == int(turn) else turn)

    def __str__(self) -> str:
        return show_pairs(self, rows_of(self), between=";", equals=":")

    def scaled(self, ratio: float) -> Self:
        """Every measure in pixels times ``ratio``, rounded half up. What was there stays at least
        a pixel, and nothing leaves its range; shares stay as they are."""
        grown: dict[str, Any] = {
            field: _grown(value, ratio, most)
            for field, most in MOST_PIXELS.items()
            if type(value := getattr(self, field, None)) is int
        }
        return replace(self, **grown)


class ImageOverlay(_Laid, frozen=True, kw_only=True):
    """Another image, by its key among the originals.

    It is scaled to fit ``width`` and ``height`` (pixels, or shares of the rendition's sides), never
    distorted and never larger than the rendition; with neither it has its own size if that fits.
    """

    image: str
    width: Length | None = None
    height: Length | None = None


class TextOverlay(_Laid, frozen=True, kw_only=True):
    """Lines of text.

    ``size`` is the height of the font in pixels or as a share of the rendition's height, ``width`` what
    lines are wrapped at; a text that does not fit the rendition is made smaller until it does. ``font`` is
    a family with words of style, such as `sans bold`. ``spacing`` comes between two lines, in sizes.
    ``shadow`` is the colour of one, at ``shadow_x`` and ``shadow_y`` and as soft as ``shadow_blur``
    says (CSS's radius): pixels, or shares of the size.
    """

    text: str
    size: Length = TEXT_SIZE
    font: str = FONT
    colour: Colour = WHITE
    width: Length = WHOLE_SIDE
    align: Align = Align.LEFT
    spacing: float = 0
    shadow: Colour | None = None
    shadow_x: Length = SHADOW_OFFSET
    shadow_y: Length = SHADOW_OFFSET
    shadow_blur: Length = SHADOW_BLUR

    def __post_init__(self) -> None:
        super().__post_init__()
        # Neither Pango nor fontconfig tells capitals from small letters.
        force_setattr(self, "font", self.font.lower())
        force_setattr(self, "text", self.text.replace("\r\n", "\n"))
        for field, default in _SHADOW_DEFAULTS.items():
            if self.shadow is None:
                force_setattr(self, field, default)
            elif getattr(self, field) == NO_LENGTH:
                force_setattr(self, field, 0)


_SHADOW_DEFAULTS = {"shadow_x": SHADOW_OFFSET, "shadow_y": SHADOW_OFFSET, "shadow_blur": SHADOW_BLUR}

Overlay = ImageOverlay | TextOverlay


def parse(text: str) -> Overlay:
    """The overlay that a text such as `image:mark.png;w:0.2` stands for, its pairs in any order.

    Raises InvalidTransformation with every mistake at once.
    """
    names = {pair.partition(":")[0] for pair in text.split(";")}
    class_, rows = _class_of(names, repr(text))
    values, problems = read_pairs(text, rows, between=";", equals=":")
    if problems:
        raise InvalidTransformation(problems)
    return class_(**values)


def overlay_from(table: Mapping[str, Any]) -> Overlay:
    """The overlay that a table of TOML or JSON describes by the names of the fields.

    A share is written with a decimal point, as in the text form. Raises InvalidTransformation with
    every mistake at once.
    """
    class_, rows = _class_of(table, ", ".join(table) or "nothing")
    by_field = {row.field: row for row in rows}
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for field, given in table.items():
        row = by_field.get(field)
        if row is None:
            problems.append(Problem("field", "one of " + ", ".join(by_field), repr(field)))
            continue
        try:
            values[field] = _plain(row.type, given)
        except (ValueError, KeyError):
            problems.append(Problem(field, row.expected, repr(given)))
    if problems:
        raise InvalidTransformation(problems)
    return class_(**values)


def rows_of(overlay: _Laid) -> Sequence[Parameter]:
    """The vocabulary of ``overlay``, in canonical order."""
    return IMAGE_ROWS if isinstance(overlay, ImageOverlay) else TEXT_ROWS


def _class_of(
    names: Collection[str], got: str
) -> tuple[type[ImageOverlay] | type[TextOverlay], Sequence[Parameter]]:
    """What is described by fields or parameters of such ``names``."""
    if ("image" in names) == ("text" in names):
        both = "both" if "image" in names else got
        raise InvalidTransformation([Problem("overlay", "an image or a text", both)])
    return (ImageOverlay, IMAGE_ROWS) if "image" in names else (TextOverlay, TEXT_ROWS)


def _plain(item: ValueType, given: Any) -> Any:
    """A value of ``item`` from what TOML and JSON have. Raises ValueError or KeyError.

    A number must be given as a number and a truth as a truth, never as a text.
    """
    if isinstance(given, bool) or item in FREE_TEXT:
        value = given
    elif isinstance(given, str):
        value = item.read(given)
    else:
        value = item.read(repr(given))
    of_text = isinstance(value, str | Colour)
    if not item.is_valid(value) or of_text != isinstance(given, str):
        raise ValueError(given)
    return value


def _grown(value: int, ratio: float, most: int) -> int:
    if value == 0:
        return 0
    grown = min(max(1, math.floor(abs(value) * ratio + 0.5)), most)
    return grown if value > 0 else -grown


OVERLAY = ValueType(
    "image:KEY or text:TEXT, and how it lies", parse, lambda value: isinstance(value, Overlay)
)
