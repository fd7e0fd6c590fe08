"""Ground floor: what makes a transformation canonical, as a literal ordered list of rules.

Each rule looks at a transformation whose fields are valid one by one and gives the fields that
must change. Applied to a canonical value, none changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from image_processor.domain.errors import InvalidTransformation, Problem
from image_processor.domain.formats import FORMATS

from .values import MAX_SIDE, SMART, WHITE, Edge, Fit, Flip, Gravity, Length, RelativeLength

Changes = Mapping[str, Any]
_NONE: Changes = {}

_CROPPING = frozenset({Fit.COVER, Fit.FILL_DOWN})
_WHOLE = (0, 0, RelativeLength(1.0), RelativeLength(1.0))


def _frames(t: Any) -> Changes:
    """A still format has but the first frame; a chosen frame is one."""
    if not FORMATS[t.format].animation:
        return {"frames": None, "frame": None if t.frame == 1 else t.frame}
    if t.frame is not None:
        return {"frames": None}
    return {"frames": None, "frame": 1} if t.frames == 1 else _NONE


def _cut(t: Any) -> Changes:
    region = None if t.region is None or _is_whole(t.region) else t.region
    return {"trim_colour": None if t.trim is None else t.trim_colour, "region": region}


def _is_whole(region: tuple[Length, ...]) -> bool:
    left, top, width, height = region
    return {left, top} <= {0, RelativeLength(0.0)} and width == height == RelativeLength(1.0)


def _turn(t: Any) -> Changes:
    """Turned by less than half a turn, and mirrored at most once: to mirror both ways is half a turn."""
    degrees, flip = t.rotate % 360, t.flip
    if flip is Flip.BOTH:
        degrees, flip = (degrees + 180) % 360, None
    if flip is not None and degrees >= 180:
        degrees -= 180
        flip = Flip.VERTICAL if flip is Flip.HORIZONTAL else Flip.HORIZONTAL
    return {"rotate": _number(degrees), "flip": flip}


def _pixel_ratio(t: Any) -> Changes:
    """dpr multiplies every measure in pixels of the result."""
    if t.dpr == 1:
        return _NONE
    ratio = Fraction(str(t.dpr))
    sides = {field: _side(getattr(t, field), ratio, "dpr") for field in _SIDES}
    offsets = {field: _scaled(getattr(t, field), ratio) for field in ("gravity_x", "gravity_y")}
    around = {
        field: None if getattr(t, field) is None else tuple(_scaled(one, ratio) for one in getattr(t, field))
        for field in ("round", "padding")
    }
    filters = {
        "blur": None if t.blur is None else min(250, max(0.3, _number(float(t.blur * ratio)))),
        "pixelate": None if t.pixelate is None else min(1000, max(2, _half_up(t.pixelate * ratio))),
        "overlays": tuple(overlay.scaled(float(ratio)) for overlay in t.overlays),
    }
    return {"dpr": 1, **sides, **offsets, **around, **filters}


_SIDES = ("width", "height", "min_width", "min_height")


def _zoom(t: Any) -> Changes:
    """Where a side is given, zoom is another side."""
    if t.zoom == 1 or (t.width is None and t.height is None):
        return _NONE
    ratio = Fraction(str(t.zoom))
    return {"zoom": 1, **{field: _side(getattr(t, field), ratio, "zoom") for field in ("width", "height")}}


def _ratio(t: Any) -> Changes:
    """One side and a ratio are two sides; of two sides the ratio follows."""
    if t.ratio is None:
        return _NONE
    if t.width is None and t.height is None:
        return {"ratio": None} if t.fit in {Fit.INSIDE, Fit.OUTSIDE} else _NONE
    if t.width is None:
        return {"ratio": None, "width": _side(t.height, t.ratio, "ratio")}
    if t.height is None:
        return {"ratio": None, "height": _side(t.width, 1 / t.ratio, "ratio")}
    return {"ratio": None}


def _enlarge(t: Any) -> Changes:
    """Nothing can grow where nothing asks for a size, or where only zoom does, to less."""
    if t.width is not None or t.height is not None or t.ratio is not None:
        return {"fit": Fit.COVER} if t.enlarge and t.fit is Fit.FILL_DOWN else _NONE
    if not t.enlarge:
        # A scale of at least so much is 1 already, and none above 1 is allowed.
        return {"zoom": min(t.zoom, 1), **({"min_width": None, "min_height": None} if t.zoom >= 1 else {})}
    grows = t.zoom > 1 or t.min_width is not None or t.min_height is not None
    return {"enlarge": grows}


def _fit(t: Any) -> Changes:
    """A fit means something where there is a box, a gravity where something is cropped or placed."""
    fit = t.fit if t.boxed else Fit.COVER
    crops, places = t.boxed and fit in _CROPPING, t.boxed and fit is Fit.CONTAIN
    gravity, focal = t.gravity, t.focal_point if crops else None
    if focal is not None:
        gravity, focal = Gravity.CENTRE, None if focal == (0.5, 0.5) else focal
    if not (crops or places) or (places and gravity in SMART):
        gravity = Gravity.CENTRE
    fixed = (crops or places) and gravity not in SMART and t.focal_point is None
    return {
        "fit": fit,
        "gravity": gravity,
        "focal_point": focal,
        "gravity_x": _no_zero(t.gravity_x) if fixed else 0,
        "gravity_y": _no_zero(t.gravity_y) if fixed else 0,
    }


def _around(t: Any) -> Changes:
    padding, radii = t.padding, t.round
    if padding is not None:
        padding = tuple(map(_no_zero, padding))
        padding = padding if any(padding) else None
    if radii is not None:
        radii = tuple(map(_no_zero, radii))
        radii = radii if any(radii) and not t.ellipse else None
    bars = t.fit is Fit.CONTAIN or padding is not None
    return {"padding": padding, "round": radii, "edge": t.edge if bars else Edge.BACKGROUND}


def _hue(t: Any) -> Changes:
    return {"hue": _number(t.hue % 360)}


def _encoding(t: Any) -> Changes:
    """What the format's encoder has no use for."""
    format_ = FORMATS[t.format]
    unused = {field: value for field, value in _OPTIONS.items() if field not in format_.takes}
    lossless = t.lossless and "lossless" in format_.takes
    no_quality = lossless or format_.quality is None or t.quality == format_.quality
    return {
        **unused,
        "quality": None if no_quality else t.quality,
        "background": None if t.background == WHITE and not format_.alpha else t.background,
    }


# What can be asked of an encoder, and what it is where nobody does.
_OPTIONS = {
    "progressive": False,
    "subsampling": None,
    "optimise": False,
    "effort": None,
    "lossless": False,
    "colours": None,
}

RULES: tuple[Callable[[Any], Changes], ...] = (
    _frames,
    _cut,
    _turn,
    _pixel_ratio,
    _zoom,
    _ratio,
    _enlarge,
    _fit,
    _around,
    _hue,
    _encoding,
)


def _side(side: int | None, ratio: Fraction, name: str) -> int | None:
    """``side`` times ``ratio``; InvalidTransformation where that is no side any more."""
    if side is None:
        return None
    scaled = max(1, _half_up(side * ratio))
    if scaled > MAX_SIDE:
        expected = f"one that makes no side longer than {MAX_SIDE} pixels"
        raise InvalidTransformation([Problem(name, expected, f"{scaled} pixels")])
    return scaled


def _scaled(length: Length, ratio: Fraction) -> Length:
    if isinstance(length, RelativeLength):
        return length
    scaled = _half_up(abs(length) * ratio)
    return min(MAX_SIDE, scaled) * (1 if length >= 0 else -1)


def _half_up(value: Fraction) -> int:
    return int(value + Fraction(1, 2))


def _no_zero(length: Length) -> Length:
    return 0 if length == RelativeLength(0.0) else length


def _number(value: float) -> float:
    rounded = round(value, 3)
    return int(rounded) if rounded == int(rounded) else rounded
