"""Ground floor: how one rendition is made, as a frozen value with one canonical text form."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from msgspec import Struct
from msgspec.structs import force_setattr

from image_processor.domain.errors import InvalidTransformation, Problem
from image_processor.domain.formats import FORMATS
from image_processor.domain.hashing import sha256_hex

from .canonical import RULES
from .overlay import Overlay
from .parameters import show_pairs
from .values import Colour, Edge, Fit, Flip, Gravity, Length, Subsampling
from .vocabulary import MAX_OVERLAYS, PARAMETERS

_LONGEST_TEXT = 200


class Transformation(Struct, frozen=True, kw_only=True):
    """How one rendition is made; docs/transformations.md tells what each field does and its range.

    `parse` and `str()` are inverse. Two values that mean the same picture are equal: what cannot
    change the result (a default, a gravity where nothing is cropped) is dropped on construction,
    and what only says something otherwise (dpr) is worked in.

    ``width`` and ``height`` are pixels of the result without its padding; None means free.
    ``quality`` is 1-100, AUTO, or None for the format's default. ``background`` fills transparency and
    bars; None keeps transparency where the format has it, else white. Without ``enlarge`` no
    picture is scaled above its natural size. Raises InvalidTransformation with every mistake.
    """

    frame: int | None = None
    frames: int | None = None
    orient: bool = True
    trim: int | None = None
    trim_colour: Colour | None = None
    region: tuple[Length, Length, Length, Length] | None = None
    rotate: float = 0
    flip: Flip | None = None
    width: int | None = None
    height: int | None = None
    ratio: Fraction | None = None
    min_width: int | None = None
    min_height: int | None = None
    zoom: float = 1
    dpr: float = 1
    fit: Fit = Fit.COVER
    gravity: Gravity = Gravity.CENTRE
    gravity_x: Length = 0
    gravity_y: Length = 0
    focal_point: tuple[float, float] | None = None
    background: Colour | None = None
    enlarge: bool = False
    linear: bool = False
    normalise: bool = False
    equalise: bool = False
    gamma: float = 1
    brightness: float = 0
    contrast: float = 0
    saturation: float = 0
    hue: float = 0
    grey: bool = False
    sepia: float = 0
    tint: Colour | None = None
    duotone: tuple[Colour, Colour] | None = None
    negate: bool = False
    median: int | None = None
    blur: float | None = None
    sharpen: tuple[float, float] | None = None
    convolve: tuple[float, ...] | None = None
    pixelate: int | None = None
    overlays: tuple[Overlay, ...] = ()
    round: tuple[Length, Length, Length, Length] | None = None
    ellipse: bool = False
    opacity: float = 100
    padding: tuple[Length, Length, Length, Length] | None = None
    edge: Edge = Edge.BACKGROUND
    quality: int | Literal["auto"] | None = None
    max_bytes: int | None = None
    progressive: bool = False
    subsampling: Subsampling | None = None
    optimise: bool = False
    effort: int | None = None
    lossless: bool = False
    colours: int | None = None
    format: str = "jpeg"

    def __post_init__(self) -> None:
        self._check()
        for rule in RULES:
            for field, value in rule(self).items():
                force_setattr(self, field, value)

    def _check(self) -> None:
        problems = [problem for row in PARAMETERS if (problem := row.check(getattr(self, row.field)))]
        if not problems and len(self.overlays) > MAX_OVERLAYS:
            problems = [Problem("overlays", f"at most {MAX_OVERLAYS}", str(len(self.overlays)))]
        if problems:
            raise InvalidTransformation(problems)

    def __str__(self) -> str:
        return show_pairs(self, PARAMETERS, between=",", equals="=")

    @property
    def boxed(self) -> bool:
        """Whether both sides of the result are given, or follow from a ratio."""
        return (self.width is not None and self.height is not None) or self.ratio is not None

    @property
    def name(self) -> str:
        """The last segment of a rendition's key: the canonical text and the format's extension.

        A long text is told by the first 128 bits of its SHA-256: file names have 255 bytes at most.
        """
        text = str(self)
        if len(text) > _LONGEST_TEXT:
            digest = sha256_hex(text.encode())[:32]
            text = f"long={digest},fm={self.format}"
        return f"{text}.{FORMATS[self.format].extension}"
