"""`Transformation`: the frozen value that says how one rendition is made.

Each field declares its parameter: name, type, meaning, example, aliases and how `dpr` scales it. The
order of the fields is the canonical order of the text form. To add a parameter, add its field here and
its step in the engine (docs/extending.md).
"""

# No `from __future__ import annotations`: parameter_table reads the annotations at run time.

from fractions import Fraction
from functools import lru_cache
from typing import Annotated, Any, Literal

from msgspec import Struct
from msgspec.structs import force_setattr

from image_processor.domain.errors import InvalidTransformation, Problem
from image_processor.domain.formats import FORMATS, WRITABLE
from image_processor.domain.hashing import sha256_hex
from image_processor.domain.rounding import round_number

from .canonical import rules_for, scaled_side
from .overlay import OVERLAY, Overlay
from .parameter_table import (
    Example,
    Parameter,
    parameter_table,
    scale_length,
    scale_lengths,
    show_pairs,
)
from .parameter_types import (
    COLOUR,
    FLAG,
    Control,
    ValueType,
    choice,
    four_sides,
    integer,
    length,
    number,
    read_number,
    tuple_of,
)
from .step import MAX_STEPS, STEP, Step
from .values import (
    AUTO,
    MAX_SIDE,
    Colour,
    ColourSpace,
    Edge,
    Fit,
    Flip,
    Gravity,
    Length,
    RelativeLength,
    Subsampling,
)

MAX_OVERLAYS = 8

_MAX_FRAMES = 100_000
_MAX_FILE_BYTES = 100_000_000
_MIN_BLUR, _MAX_BLUR = 0.3, 250
_MAX_BLOCK = 1000

Sides = tuple[Length, Length, Length, Length]

# Types ---------------------------------------------------------------------------------------------


def _read_ratio(text: str) -> Fraction:
    parts = [Fraction(str(read_number(part))) for part in text.split(":")]
    if len(parts) > 2 or 0 in parts:
        raise ValueError(text)
    return parts[0] / (parts[1] if len(parts) == 2 else 1)


def _is_ratio(value: Any) -> bool:
    is_simple = isinstance(value, Fraction) and max(value.numerator, value.denominator) <= 10**9
    return is_simple and Fraction(1, 1000) <= value <= 1000


def _is_region(value: Any) -> bool:
    is_box = _BOX.is_valid(value)
    return is_box and all(side != 0 and side != RelativeLength(0.0) for side in value[2:])


def _read_sharpen(text: str) -> tuple[float, ...]:
    parts = tuple(read_number(part) for part in text.split(":"))
    return (*parts, 1) if len(parts) == 1 else parts


_SIDE = integer(1, MAX_SIDE, "pixels")
_OFFSET = length(-MAX_SIDE, MAX_SIDE)
_DISTANCE = length(0, MAX_SIDE)
_PERCENT = number(-100, 100)
_HUNDRED = integer(1, 100)
_STRENGTH = number(0.1, 10)
_BOX = tuple_of(
    length(0, 1_000_000), (4,), "left:top:width:height, each pixels or a share of the side such as 0.25"
)
_REGION = ValueType(_BOX.expected, _BOX.read, _is_region, _BOX.show)
_RATIO = ValueType(
    "a ratio such as 16:9, from 1:1000 to 1000:1",
    _read_ratio,
    _is_ratio,
    lambda value: f"{value.numerator}:{value.denominator}",
)
_PADDING = four_sides(_DISTANCE, f"1, 2 or 4 of {_DISTANCE.expected}")
_RADII = four_sides(_DISTANCE, f"1, 2 or 4 of {_DISTANCE.expected.replace('the side', 'the shorter side')}")
_QUALITY = ValueType(
    "1-100, or auto",
    lambda text: text if text == AUTO else _HUNDRED.read(text),
    lambda value: value == AUTO or _HUNDRED.is_valid(value),
)
_WINDOW = ValueType(
    "an odd number from 3 to 15",
    integer(3, 15).read,
    lambda value: integer(3, 15).is_valid(value) and value % 2 == 1,
)
_SHARPEN = ValueType(
    "sigma or sigma:amount, each from 0.1 to 10",
    _read_sharpen,
    tuple_of(_STRENGTH, (2,), "").is_valid,
    lambda value: ":".join(map(_STRENGTH.show, value if value[1] != 1 else value[:1])),
)
_FORMAT = ValueType(
    " | ".join(WRITABLE),
    str,
    lambda value: value in WRITABLE,
    control=Control.CHOICE,
    choices=tuple(WRITABLE),
)

# How dpr scales values -----------------------------------------------------------------------------

_scale_length = scale_length(MAX_SIDE)
_scale_sides = scale_lengths(MAX_SIDE)


def _scale_side(side: int | None, factor: Fraction) -> int | None:
    return scaled_side(side, factor, "dpr")


def _scale_blur(sigma: float | None, factor: Fraction) -> float | None:
    return None if sigma is None else min(_MAX_BLUR, max(_MIN_BLUR, round_number(float(sigma * factor))))


def _scale_overlays(overlays: tuple[Overlay, ...], factor: Fraction) -> tuple[Overlay, ...]:
    return tuple(overlay.scaled(float(factor)) for overlay in overlays)


def _scale_steps(steps: tuple[Step, ...], factor: Fraction) -> tuple[Step, ...]:
    return tuple(step.scaled(factor) for step in steps)


# Values with the same meaning ----------------------------------------------------------------------


def _drop_zero(value: Length) -> Length:
    return 0 if value == RelativeLength(0.0) else value


def _drop_zeros(sides: Sides | None) -> tuple[Length, ...] | None:
    """Sides of 0 are nothing around the image."""
    sides_ = tuple(map(_drop_zero, sides or ()))
    return sides_ if any(sides_) else None


def _drop_whole_region(region: Sides | None) -> Sides | None:
    if region is None:
        return None
    left, top, width, height = region
    is_whole = {left, top} <= {0, RelativeLength(0.0)} and width == height == RelativeLength(1.0)
    return None if is_whole else region


# The value -----------------------------------------------------------------------------------------


class Transformation(Struct, frozen=True, kw_only=True):
    """How one rendition is made. docs/transformations.md describes the fields.

    `parse` and `str()` are inverse. Two transformations that always make the same image are equal: what
    has no effect (a default, a gravity where nothing is cropped) is dropped on construction, and
    what only rewrites other fields (dpr) is applied to them.

    ``width`` and ``height`` are pixels of the result without its padding; None leaves a side free.
    ``quality`` is 1-100, AUTO, or None for the format's default. ``background`` fills transparency and
    bars; None keeps transparency if the format supports it, else means white. Without ``enlarge`` the
    image is never scaled above its natural size. Raises InvalidTransformation with every problem.
    """

    # The part of the original that is used
    frame: Annotated[
        int | None,
        Parameter(
            "frame",
            integer(1, _MAX_FRAMES),
            "use one frame of an animation, or one page of a TIFF",
            Example("frame=2,w=160,fm=webp", "animation"),
        ),
    ] = None
    frames: Annotated[
        int | None,
        Parameter(
            "frames",
            integer(1, _MAX_FRAMES),
            "use the first N frames of an animation",
            Example("frames=2,w=160,fm=webp", "animation"),
        ),
    ] = None
    orient: Annotated[
        bool, Parameter("orient", FLAG, "apply EXIF orientation", Example("orient=0,w=160,fm=webp", "turned"))
    ] = True
    trim: Annotated[
        int | None,
        Parameter(
            "trim",
            integer(0, 255),
            "remove a border of one colour; the value is the largest difference in any channel",
            Example("trim=10,w=160,fm=webp", "framed"),
        ),
    ] = None
    trim_colour: Annotated[
        Colour | None,
        Parameter(
            "trim-bg",
            COLOUR,
            "the border's colour for `trim`; by default the first pixel's",
            Example("trim=10,trim-bg=ffffff,w=160,fm=webp", "half-framed"),
        ),
    ] = None
    trim_last: Annotated[
        bool,
        Parameter(
            "trim-last",
            FLAG,
            "for `trim`: the border's colour is the last pixel's",
            Example("trim=10,trim-last=1,w=160,fm=webp", "half-framed"),
        ),
    ] = False
    trim_equal: Annotated[
        Flip | None,
        Parameter(
            "trim-eq",
            choice(Flip),
            "for `trim`: remove as much on both sides, left and right, top and bottom or both",
            Example("trim=10,trim-eq=h,w=160,fm=webp", "half-framed"),
        ),
    ] = None
    region: Annotated[
        Sides | None,
        Parameter(
            "rect",
            _REGION,
            "use this region of the original",
            "rect=0.5:0.4:0.4:0.5,w=160,fm=webp",
            normalise=_drop_whole_region,
        ),
    ] = None
    rotate: Annotated[
        float,
        Parameter(
            "rot",
            number(-360, 360, "degrees"),
            "rotate clockwise; new corners get the background",
            "rot=10,w=160,fm=webp",
            aliases=("rotate",),
        ),
    ] = 0
    flip: Annotated[
        Flip | None,
        Parameter("flip", choice(Flip), "mirror horizontally, vertically or both", "flip=h,w=160,fm=webp"),
    ] = None

    # Size and crop
    width: Annotated[
        int | None,
        Parameter(
            "w",
            _SIDE,
            "width; without `h`, the height keeps the aspect ratio",
            "w=160,fm=webp",
            aliases=("width",),
            scale=_scale_side,
        ),
    ] = None
    height: Annotated[
        int | None,
        Parameter(
            "h",
            _SIDE,
            "height; without `w`, the width keeps the aspect ratio",
            "h=90,fm=webp",
            aliases=("height",),
            scale=_scale_side,
        ),
    ] = None
    ratio: Annotated[
        Fraction | None,
        Parameter("ar", _RATIO, "aspect ratio, unless both `w` and `h` are given", "ar=1:1,zoom=0.4,fm=webp"),
    ] = None
    min_width: Annotated[
        int | None,
        Parameter("min-w", _SIDE, "minimum width", "min-w=160,zoom=0.1,fm=webp", scale=_scale_side),
    ] = None
    min_height: Annotated[
        int | None,
        Parameter("min-h", _SIDE, "minimum height", "min-h=100,zoom=0.1,fm=webp", scale=_scale_side),
    ] = None
    zoom: Annotated[
        float,
        Parameter(
            "zoom",
            number(0.01, 100),
            "multiply width and height, or the original's size",
            "zoom=0.25,fm=webp",
        ),
    ] = 1
    dpr: Annotated[
        float,
        Parameter(
            "dpr",
            number(0.1, 10),
            "multiply every length in pixels, for high-density screens",
            Example("w=160,fm=webp", written="w=80,dpr=2,fm=webp"),
        ),
    ] = 1
    fit: Annotated[
        Fit,
        Parameter(
            "fit",
            choice(Fit),
            "how the image fits `w` and `h`; see [Fit](#fit)",
            "w=160,h=160,fit=contain,bg=223355,fm=webp",
        ),
    ] = Fit.COVER
    gravity: Annotated[
        Gravity,
        Parameter(
            "g",
            choice(Gravity),
            "what a crop keeps; where the image is placed in bars",
            "w=100,h=100,g=east,fm=webp",
            aliases=("crop", "gravity"),
        ),
    ] = Gravity.CENTRE
    gravity_x: Annotated[
        Length,
        Parameter(
            "gx",
            _OFFSET,
            "offset from that side inwards; from a centre to the right",
            "w=100,h=100,g=east,gx=20,fm=webp",
            scale=_scale_length,
            normalise=_drop_zero,
        ),
    ] = 0
    gravity_y: Annotated[
        Length,
        Parameter(
            "gy",
            _OFFSET,
            "offset from that side inwards; from a centre down",
            "w=160,h=60,g=south,gy=15,fm=webp",
            scale=_scale_length,
            normalise=_drop_zero,
        ),
    ] = 0
    focal_point: Annotated[
        tuple[float, float] | None,
        Parameter(
            "fp",
            tuple_of(number(0, 1), (2,), "x:y, each a share from 0 to 1"),
            "the point that a crop keeps as close to the centre as possible",
            "w=80,h=100,fp=0.71:0.75,fm=webp",
        ),
    ] = None
    background: Annotated[
        Colour | None,
        Parameter(
            "bg",
            COLOUR,
            "colour behind transparent pixels",
            Example("w=160,bg=ffcc00,fm=webp", "see-through"),
            aliases=("background",),
        ),
    ] = None
    enlarge: Annotated[
        bool,
        Parameter(
            "enlarge",
            FLAG,
            "allow renditions larger than the original",
            Example("w=160,enlarge=1,fm=webp", "tiny"),
        ),
    ] = False
    linear: Annotated[
        bool,
        Parameter("linear", FLAG, "resize in linear light: more exact, slower", "w=160,linear=1,fm=webp"),
    ] = False

    # Pixels
    normalise: Annotated[
        bool,
        Parameter("norm", FLAG, "stretch tones to the full range", Example("w=160,norm=1,fm=webp", "pale")),
    ] = False
    equalise: Annotated[bool, Parameter("equal", FLAG, "equalise the histogram", "w=160,equal=1,fm=webp")] = (
        False
    )
    gamma: Annotated[
        float,
        Parameter(
            "gam",
            number(0.1, 10),
            "gamma: above 1 lifts the middle tones, below 1 lowers them",
            "w=160,gam=1.8,fm=webp",
            aliases=("gamma",),
        ),
    ] = 1
    brightness: Annotated[
        float,
        Parameter("bri", _PERCENT, "brightness in percent", "w=160,bri=25,fm=webp", aliases=("brightness",)),
    ] = 0
    contrast: Annotated[
        float,
        Parameter("con", _PERCENT, "contrast in percent", "w=160,con=40,fm=webp", aliases=("contrast",)),
    ] = 0
    saturation: Annotated[
        float,
        Parameter(
            "sat",
            _PERCENT,
            "saturation in percent; -100 removes all colour",
            "w=160,sat=60,fm=webp",
            aliases=("saturation",),
        ),
    ] = 0
    hue: Annotated[
        float,
        Parameter(
            "hue",
            number(0, 360, "degrees"),
            "rotate hues, in degrees",
            "w=160,hue=120,fm=webp",
            normalise=lambda degrees: round_number(degrees % 360),
        ),
    ] = 0
    grey: Annotated[
        bool,
        Parameter(
            "grey", FLAG, "greyscale", "w=160,grey=1,fm=webp", aliases=("gray", "grayscale", "greyscale")
        ),
    ] = False
    sepia: Annotated[
        float, Parameter("sepia", number(0, 100), "sepia tone in percent", "w=160,sepia=100,fm=webp")
    ] = 0
    tint: Annotated[
        Colour | None,
        Parameter("tint", COLOUR, "tint a greyscale image with this colour", "w=160,tint=2266cc,fm=webp"),
    ] = None
    duotone: Annotated[
        tuple[Colour, Colour] | None,
        Parameter(
            "duo",
            tuple_of(COLOUR, (2,), "two colours as RRGGBB:RRGGBB"),
            "duotone: a colour for dark and one for light tones",
            "w=160,duo=221144:ffdd88,fm=webp",
        ),
    ] = None
    negate: Annotated[
        bool, Parameter("neg", FLAG, "invert colours", "w=160,neg=1,fm=webp", aliases=("invert",))
    ] = False
    median: Annotated[
        int | None,
        Parameter(
            "median", _WINDOW, "median filter of this window size; removes specks", "w=160,median=7,fm=webp"
        ),
    ] = None
    blur: Annotated[
        float | None,
        Parameter(
            "blur",
            number(_MIN_BLUR, _MAX_BLUR),
            "Gaussian blur; sigma in pixels",
            "w=160,blur=3,fm=webp",
            scale=_scale_blur,
        ),
    ] = None
    sharpen: Annotated[
        tuple[float, float] | None,
        Parameter(
            "sharp",
            _SHARPEN,
            "unsharp mask: sigma in pixels, and amount",
            "w=160,sharp=1:3,fm=webp",
            aliases=("sharpen",),
        ),
    ] = None
    convolve: Annotated[
        tuple[float, ...] | None,
        Parameter(
            "conv",
            tuple_of(number(-1000, 1000), (9, 25), "9 or 25 numbers with colons"),
            "convolution with a 3x3 or 5x5 kernel, divided by its sum",
            "w=160,conv=-2:-1:0:-1:1:1:0:1:2,fm=webp",
        ),
    ] = None
    pixelate: Annotated[
        int | None,
        Parameter(
            "px",
            integer(2, _MAX_BLOCK, "pixels"),
            "pixelate; block size in pixels",
            "w=160,px=8,fm=webp",
            aliases=("pixelate",),
            scale=scale_length(_MAX_BLOCK, 2),
        ),
    ] = None

    # Over and around the image
    overlays: Annotated[
        tuple[Overlay, ...],
        Parameter(
            "over",
            OVERLAY,
            "draw an image or a text on top, up to eight in order; see [Overlays](#overlays)",
            "w=160,over=image:mark.png;w:0.3;g:southeast;x:6;y:6,fm=webp",
            repeatable=True,
            scale=_scale_overlays,
        ),
    ] = ()
    round: Annotated[
        Sides | None,
        Parameter(
            "round",
            _RADII,
            "corner radius",
            "w=160,round=24,fm=webp",
            scale=_scale_sides,
            normalise=_drop_zeros,
        ),
    ] = None
    ellipse: Annotated[
        bool,
        Parameter(
            "ellipse",
            FLAG,
            "mask with the largest ellipse; a circle for squares",
            "w=100,h=100,ellipse=1,fm=webp",
        ),
    ] = False
    opacity: Annotated[
        float, Parameter("op", number(0, 100), "opacity in percent", "w=160,op=40,fm=webp")
    ] = 100
    padding: Annotated[
        Sides | None,
        Parameter(
            "pad",
            _PADDING,
            "padding outside `w` and `h`: top, right, bottom, left",
            "w=130,bg=223355,pad=8:15,fm=webp",
            aliases=("padding",),
            scale=_scale_sides,
            normalise=_drop_zeros,
        ),
    ] = None
    edge: Annotated[
        Edge,
        Parameter("edge", choice(Edge), "what fills bars and padding", "w=110,pad=20:25,edge=mirror,fm=webp"),
    ] = Edge.BACKGROUND
    steps: Annotated[
        tuple[Step, ...],
        Parameter(
            "then",
            STEP,
            f"one more operation after all of these, up to {MAX_STEPS} in order; see [Steps](#steps)",
            "w=160,then=image:mark.png;w:0.4;x:30,then=grey:1,then=crop:30:10:100:80,fm=webp",
            repeatable=True,
            scale=_scale_steps,
        ),
    ] = ()

    # Encoding
    quality: Annotated[
        int | Literal["auto"] | None,
        Parameter(
            "q",
            _QUALITY,
            "encoder quality; the defaults of the formats look equally good",
            "w=160,q=5,fm=webp",
            aliases=("quality",),
        ),
    ] = None
    max_bytes: Annotated[
        int | None,
        Parameter(
            "max-bytes",
            integer(100, _MAX_FILE_BYTES),
            "the highest quality that stays within this size",
            "w=160,max-bytes=1000,fm=webp",
        ),
    ] = None
    soft_limit: Annotated[
        bool,
        Parameter(
            "soft",
            FLAG,
            "with `max-bytes`: take the lowest quality if none fits",
            "w=160,max-bytes=100,soft=1,fm=webp",
        ),
    ] = False
    progressive: Annotated[
        bool, Parameter("prog", FLAG, "progressive (interlaced) encoding", "w=160,prog=1,fm=jpeg")
    ] = False
    subsampling: Annotated[
        Subsampling | None,
        Parameter("chroma", choice(Subsampling), "chroma subsampling", "w=160,chroma=444,fm=jpeg"),
    ] = None
    optimise: Annotated[
        bool, Parameter("moz", FLAG, "mozjpeg's optimisations: smaller files, slower", "w=160,moz=1,fm=jpeg")
    ] = False
    effort: Annotated[
        int | None,
        Parameter(
            "effort", integer(0, 9), "encoder effort: higher is smaller and slower", "w=160,effort=6,fm=webp"
        ),
    ] = None
    lossless: Annotated[
        bool, Parameter("lossless", FLAG, "lossless encoding", "w=160,lossless=1,fm=webp")
    ] = False
    colours: Annotated[
        int | None,
        Parameter(
            "colours",
            integer(2, 256),
            "quantise to a palette of at most this many colours",
            "w=160,colours=8,fm=png",
            aliases=("colors",),
        ),
    ] = None
    colour: Annotated[
        ColourSpace | None,
        Parameter(
            "colour",
            choice(ColourSpace),
            "colour space with an embedded profile, instead of sRGB or what `IMAGE_PROCESSOR_ICC` says",
            "w=160,colour=p3,fm=webp",
            aliases=("color",),
        ),
    ] = None
    keep_smaller: Annotated[
        bool,
        Parameter(
            "keep-smaller",
            FLAG,
            "send the original's own data, without metadata, where it shows the same in fewer bytes; see "
            "[Fewer bytes](#fewer-bytes)",
            "w=160,keep-smaller=0,fm=webp",
        ),
    ] = True
    format: Annotated[
        str,
        Parameter("fm", _FORMAT, "output format", "w=160,fm=avif", aliases=("format",), always_shown=True),
    ] = "jpeg"

    def __post_init__(self) -> None:
        self._check()
        for rule in _RULES:
            for field, value in rule(self).items():
                force_setattr(self, field, value)

    def _check(self) -> None:
        problems = [problem for row in PARAMETERS if (problem := row.check(getattr(self, row.field)))]
        if not problems and len(self.overlays) > MAX_OVERLAYS:
            problems = [Problem("overlays", f"at most {MAX_OVERLAYS}", str(len(self.overlays)))]
        if not problems and len(self.steps) > MAX_STEPS:
            problems = [Problem("steps", f"at most {MAX_STEPS}", str(len(self.steps)))]
        if problems:
            raise InvalidTransformation(problems)

    def __str__(self) -> str:
        return _canonical_text(self)

    @property
    def boxed(self) -> bool:
        """Whether both sides of the result are given, or follow from a ratio."""
        return (self.width is not None and self.height is not None) or self.ratio is not None

    @property
    def name(self) -> str:
        """The last segment of a rendition's key: the canonical text and the format's extension.

        A long text is replaced by the first 128 bits of its SHA-256: file names have at most 255 bytes.
        """
        text = str(self)
        if len(text) > _MAX_NAME_TEXT:
            digest = sha256_hex(text.encode())[:32]
            text = f"long={digest},fm={self.format}"
        return f"{text}.{FORMATS[self.format].extension}"


_MAX_NAME_TEXT = 200


# The few transformations of a recipe are shown again for every upload and every URL.
@lru_cache(maxsize=1024)
def _canonical_text(transformation: Transformation) -> str:
    return show_pairs(transformation, PARAMETERS, separator=",", equals="=")


PARAMETERS = parameter_table(Transformation)
"""Every parameter, in canonical order."""

_RULES = rules_for(PARAMETERS)
