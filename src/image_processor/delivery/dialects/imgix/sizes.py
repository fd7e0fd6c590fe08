"""Delivery, step 1: imgix's parameters for size, crop, trim and rotation.

What means the same for every original becomes fields. The rest is a `Layout`, which is applied once the
original's size is known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

from image_processor.delivery.dialects.request_builder import clamp, normalise
from image_processor.delivery.request import CropSpec
from image_processor.domain.transformation import Edge, Fit, Flip, Gravity, Length, RelativeLength

from .arguments import MAX_SIDE, Arguments
from .composition import Composition
from .layout import Layout

_FITS: Final[Mapping[str, Mapping[str, Any]]] = {
    "clip": {"fit": Fit.INSIDE, "enlarge": True},
    "max": {"fit": Fit.INSIDE},
    "crop": {"fit": Fit.COVER, "enlarge": True},
    "min": {"fit": Fit.FILL_DOWN},
    "scale": {"fit": Fit.FILL, "enlarge": True},
    "fill": {"fit": Fit.CONTAIN, "enlarge": True},
    "fillmax": {"fit": Fit.CONTAIN},
    "clamp": {"fit": Fit.CONTAIN, "enlarge": True, "edge": Edge.COPY},
}
BARS: Final = frozenset({"fill", "fillmax", "clamp"})
"""The fits that leave space around the image."""

_WITH_RATIO = frozenset({"crop", "min", "fill", "fillmax", "clamp"})
_CROPS = {
    "top": "north",
    "bottom": "south",
    "left": "west",
    "right": "east",
    "faces": Gravity.FACES,
    "entropy": Gravity.ENTROPY,
    "edges": Gravity.ENTROPY,
    "auto": Gravity.ATTENTION,
    "focalpoint": "",
    "center": "",
    "middle": "",
}
_FLIPS = {"h": Flip.HORIZONTAL, "v": Flip.VERTICAL, "hv": Flip.BOTH, "vh": Flip.BOTH}
_ORIENTATIONS: Final[Mapping[str, tuple[float, str | None]]] = {
    "1": (0, ""),
    "2": (0, "h"),
    "3": (180, ""),
    "4": (0, "v"),
    "5": (90, "h"),
    "6": (90, ""),
    "7": (90, "v"),
    "8": (270, ""),
    "90": (90, ""),
    "180": (180, ""),
    "270": (270, ""),
    "0": (0, None),
}
"""Rotation clockwise, then mirroring, for each orientation of EXIF; None: what the original says."""

_STARTS = {"left": "west", "right": "east", "top": "north", "bottom": "south", "center": "", "middle": ""}
_TRIM_MEAN = 11
_TRIMS = ("auto", "color", "alpha", "colorunlessalpha")
_RATIO = re.compile(r"([0-9]{1,5}(?:\.[0-9]{1,3})?)(?:[:x/]([0-9]{1,5}(?:\.[0-9]{1,3})?))?")


def fit_of(arguments: Arguments) -> str:
    """The fit of the URL. With fallbacks, as in `facearea,fill`, it is the first one that works here."""
    words = arguments.words("fit") or ["clip"]
    known = next((word for word in words if word in _FITS), None)
    if known is not None:
        return known
    if "facearea" in words:
        arguments.builder.unsupported("fit", " | ".join(_FITS), "facearea")
    else:
        arguments.builder.add_error("fit", " | ".join(_FITS), arguments.text("fit"))
    return "clip"


def set_sizes(arguments: Arguments, composition: Composition) -> None:
    """Set size, crop, trim, region and rotation."""
    fields, fit = composition.fields, fit_of(arguments)
    width, height = arguments.length("w"), arguments.length("h")
    composition.padding = _padding(arguments)
    dpr = arguments.number("dpr", 0, 5)
    if dpr:
        fields["dpr"] = max(0.1, dpr)
    ratio = _ratio(arguments) if fit in _WITH_RATIO else None
    _set_trim(arguments, fields)
    _set_region(arguments)
    _set_turns(arguments, composition)
    focus = _set_crop(arguments, fields, fit)
    straighten = _straighten(arguments, composition)
    layout = Layout(
        width=width,
        height=height,
        fit=fit,
        ratio=ratio,
        minimum=_limits(arguments, "min", fit),
        maximum=_limits(arguments, "max", fit),
        focus=focus,
        straighten=straighten,
        padding=composition.padding,
        has_alpha_trim=arguments.text("trim") == "alpha",
        capped=fit == "fillmax" and arguments.word("fill-max", ("source",)) is not None,
        bars_at=len(composition.adjustments) if _needs_bar_steps(arguments, composition, fit) else None,
    )
    fields |= _FITS[fit] if width or height or ratio else {}
    fields |= layout.plain_sides()
    if layout.is_needed:
        arguments.builder.geometry = layout


def _needs_bar_steps(arguments: Arguments, composition: Composition, fit: str) -> bool:
    """Whether something changes the image and not its bars, or draws them otherwise than a field does."""
    if fit not in {"fill", "fillmax"} or arguments.text("fill") == "blur":
        return False
    return bool(composition.adjustments) or arguments.text("fill") == "gradient" or composition.turning


def _padding(arguments: Arguments) -> tuple[int, int, int, int]:
    """Top, right, bottom and left; padding of what was trimmed adds to it."""
    around = arguments.integer("pad", 0, MAX_SIDE) or 0
    trimmed = max(0, arguments.integer("trim-pad", -200, MAX_SIDE) or 0) if "trim" in arguments else 0
    sides = (arguments.integer(f"pad-{side}", 0, MAX_SIDE) for side in ("top", "right", "bottom", "left"))
    top, right, bottom, left = ((around if side is None else side) + trimmed for side in sides)
    return (top, right, bottom, left)


def _ratio(arguments: Arguments) -> Fraction | None:
    text = arguments.text("ar").strip()
    match = _RATIO.fullmatch(text)
    if not text:
        return None
    parts = [Fraction(part) for part in match.groups() if part] if match else []
    ratio = parts[0] / (parts[1] if len(parts) == 2 else 1) if parts and 0 not in parts else None
    if ratio is None or not Fraction(1, 1000) <= ratio <= 1000:
        arguments.builder.add_error("ar", "a ratio such as 16:9, from 1:1000 to 1000:1", text)
        return None
    return ratio


def _limits(arguments: Arguments, name: str, fit: str) -> tuple[int | None, int | None]:
    if fit != "crop":
        return None, None
    return arguments.integer(f"{name}-w", 1, MAX_SIDE), arguments.integer(f"{name}-h", 1, MAX_SIDE)


# Crop ----------------------------------------------------------------------------------------------


def _set_crop(arguments: Arguments, fields: dict[str, Any], fit: str) -> tuple[float, float, float] | None:
    """Set what a crop keeps. The focal point with its zoom is returned if it zooms."""
    words = arguments.words("crop")
    wrong = [word for word in words if word not in _CROPS]
    if wrong:
        arguments.builder.add_error("crop", ", ".join(_CROPS), ",".join(wrong))
    elif fit in {"crop", "min"} and "focalpoint" in words:
        return _set_focal_point(arguments, fields)
    elif fit in {"crop", "min"} and words:
        fields["gravity"] = _gravity(words)
    return None


def _gravity(words: list[str]) -> Gravity:
    """The first smart word, or the corner; the others are fallbacks of imgix's that are not needed."""
    smart = next((_CROPS[word] for word in words if isinstance(_CROPS[word], Gravity)), None)
    if isinstance(smart, Gravity) and words[0] in {"faces", "entropy", "edges", "auto"}:
        return smart
    return gravity_of([word for word in words if not isinstance(_CROPS[word], Gravity)])


def gravity_of(words: list[str]) -> Gravity:
    """The side or corner that words such as `top` and `left` name; the last word of an axis counts."""
    sides = [_STARTS.get(word, "") for word in words]
    vertical = next((side for side in reversed(sides) if side in {"north", "south"}), "")
    horizontal = next((side for side in reversed(sides) if side in {"west", "east"}), "")
    return Gravity(vertical + horizontal or "centre")


def _set_focal_point(arguments: Arguments, fields: dict[str, Any]) -> tuple[float, float, float] | None:
    x, y = arguments.number("fp-x", 0, 1), arguments.number("fp-y", 0, 1)
    across, down = (0.5 if value is None else clamp(value, 0, 1) for value in (x, y))
    zoom = arguments.number("fp-z", 1, 100) or 1
    if zoom == 1:
        fields["focal_point"] = (across, down)
        return None
    return across, down, zoom


# Region and trim -----------------------------------------------------------------------------------


def _set_region(arguments: Arguments) -> None:
    """`rect=x,y,width,height`: pixels, shares of a side, or words."""
    parts = arguments.words("rect")
    if not parts:
        return
    if len(parts) != 4:
        arguments.builder.add_error("rect", "x,y,width,height", arguments.text("rect"))
        return
    x, y = _start(parts[0], arguments), _start(parts[1], arguments)
    width, height = _extent(parts[2], arguments), _extent(parts[3], arguments)
    builder = arguments.builder
    lengths = (x, y, width, height)
    if builder.problems:
        return
    if all(not isinstance(part, str) for part in lengths[:2]):
        whole = RelativeLength(1.0)
        builder.set_field("region", (x, y, width or whole, height or whole), "rect")
        return
    words = [part if isinstance(part, str) else start for part, start in ((x, "left"), (y, "top"))]
    gravity = gravity_of(words)
    builder.crop = CropSpec(
        width, height, gravity, 0 if isinstance(x, str) else x, 0 if isinstance(y, str) else y
    )


def _start(text: str, arguments: Arguments) -> Length | str:
    return text if text in _STARTS else _length(text, arguments) or 0


def _extent(text: str, arguments: Arguments) -> Length | None:
    return None if text == "full" else _length(text, arguments)


def _length(text: str, arguments: Arguments) -> Length | None:
    found = arguments.builder.number(text, "rect", 0, 1_000_000)
    if found is None:
        return None
    is_share = 0 < found < 1 or ("." in text and found == 1)
    return RelativeLength(max(0.001, round(float(found), 3))) if is_share else round(found)


def _set_trim(arguments: Arguments, fields: dict[str, Any]) -> None:
    kind = arguments.word("trim", _TRIMS)
    if kind is None:
        return
    if kind == "auto":
        mean = arguments.number("trim-md", 0, 255)
        fields["trim"] = round(_TRIM_MEAN if mean is None else mean)
        return
    fields["trim"] = round(arguments.number("trim-tol", 0, 255) or 0)
    paint = arguments.paint("trim-color")
    if paint is not None and kind != "alpha":
        fields["trim_colour"] = paint.colour


# Rotation ------------------------------------------------------------------------------------------


def _set_turns(arguments: Arguments, composition: Composition) -> None:
    fields = composition.fields
    turn, mirror = arguments.chosen("orient", _ORIENTATIONS) or (0, None)
    if mirror is not None:
        fields["orient"] = False
    flip = arguments.chosen("flip", _FLIPS)
    # Mirroring twice along an axis is nothing.
    axes = set(mirror or "") ^ set(flip or "")
    if axes:
        fields["flip"] = _FLIPS["".join(sorted(axes))]
    if _is_pivot(arguments):
        # imgix counts counter-clockwise. A flip that follows keeps the direction.
        turn -= _degrees(arguments)
    if turn % 360:
        fields["rotate"] = normalise(turn % 360)


def _straighten(arguments: Arguments, composition: Composition) -> float:
    """The angle, counter-clockwise, by which the image is rotated in its frame, which it covers."""
    degrees = 0.0 if _is_pivot(arguments) else _degrees(arguments) % 360
    composition.turning = bool(degrees)
    return degrees


def _is_pivot(arguments: Arguments) -> bool:
    return arguments.word("rot-type", ("pivot", "straighten")) == "pivot"


def _degrees(arguments: Arguments) -> float:
    return arguments.number("rot", -360, 360) or 0
