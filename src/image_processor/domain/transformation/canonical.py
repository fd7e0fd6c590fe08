"""The rules that make a transformation canonical, in the order in which they are applied.

Each rule looks at a transformation whose fields are valid one by one and returns the fields to
change. Applied to a canonical value, no rule changes anything. A rule about one field alone is that
parameter's `normalise` or `scale`; the others are here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any

from image_processor.domain.errors import InvalidTransformation, Problem
from image_processor.domain.formats import ENCODER_OPTIONS, FORMATS
from image_processor.domain.rounding import round_half_up, round_number

from .parameter_table import Parameter
from .values import MAX_SIDE, SMART, WHITE, Edge, Fit, Flip, Gravity

if TYPE_CHECKING:
    from .transformation import Transformation

Changes = Mapping[str, Any]
Rule = Callable[["Transformation"], Changes]

_NONE: Changes = {}
_CROPPING = frozenset({Fit.COVER, Fit.FILL_DOWN})


def rules_for(table: Sequence[Parameter]) -> tuple[Rule, ...]:
    """The rules in their order, with those that follow from the rows of ``table``."""
    return (
        _frames,
        _trim,
        _turn,
        partial(_scale_by_dpr, [row for row in table if row.scale]),
        partial(_normalise_values, [row for row in table if row.normalise]),
        _zoom,
        _ratio,
        _enlarge,
        _fit,
        _around,
        partial(_encoding, [row for row in table if row.field in ENCODER_OPTIONS]),
    )


def _frames(t: Transformation) -> Changes:
    """A format without animation has one frame; so has a selected frame."""
    if not FORMATS[t.format].animation:
        return {"frames": None, "frame": None if t.frame == 1 else t.frame}
    if t.frame is not None:
        return {"frames": None}
    return {"frames": None, "frame": 1} if t.frames == 1 else _NONE


def _trim(t: Transformation) -> Changes:
    if t.trim is None:
        return {"trim_colour": None, "trim_last": False, "trim_equal": None}
    return _NONE if t.trim_colour is None else {"trim_last": False}


def _turn(t: Transformation) -> Changes:
    """Rotation below 180 degrees and at most one flip: flipping both ways is half a turn."""
    degrees, flip = t.rotate % 360, t.flip
    if flip is Flip.BOTH:
        degrees, flip = (degrees + 180) % 360, None
    if flip is not None and degrees >= 180:
        degrees -= 180
        flip = Flip.VERTICAL if flip is Flip.HORIZONTAL else Flip.HORIZONTAL
    return {"rotate": round_number(degrees), "flip": flip}


def _scale_by_dpr(scaled: Sequence[Parameter], t: Transformation) -> Changes:
    """dpr multiplies every length in pixels of the rendition."""
    if t.dpr == 1:
        return _NONE
    factor = Fraction(str(t.dpr))
    changes = {row.field: row.scale(getattr(t, row.field), factor) for row in scaled if row.scale}
    return {"dpr": 1, **changes}


def _normalise_values(normalised: Sequence[Parameter], t: Transformation) -> Changes:
    return {row.field: row.normalise(getattr(t, row.field)) for row in normalised if row.normalise}


def _zoom(t: Transformation) -> Changes:
    """If a side is given, zoom is applied to it."""
    if t.zoom == 1 or (t.width is None and t.height is None):
        return _NONE
    factor = Fraction(str(t.zoom))
    return {
        "zoom": 1,
        "width": scaled_side(t.width, factor, "zoom"),
        "height": scaled_side(t.height, factor, "zoom"),
    }


def _ratio(t: Transformation) -> Changes:
    """One side and a ratio give the other side; with both sides the ratio has no effect."""
    if t.ratio is None:
        return _NONE
    if t.width is None and t.height is None:
        return {"ratio": None} if t.fit in {Fit.INSIDE, Fit.OUTSIDE} else _NONE
    if t.width is None:
        return {"ratio": None, "width": scaled_side(t.height, t.ratio, "ratio")}
    if t.height is None:
        return {"ratio": None, "height": scaled_side(t.width, 1 / t.ratio, "ratio")}
    return {"ratio": None}


def _enlarge(t: Transformation) -> Changes:
    """Without a size above the natural one nothing is enlarged."""
    if t.width is not None or t.height is not None or t.ratio is not None:
        return {"fit": Fit.COVER} if t.enlarge and t.fit is Fit.FILL_DOWN else _NONE
    if not t.enlarge:
        # The scale is at most 1, so no minimum has an effect once zoom is 1 or more.
        return {"zoom": min(t.zoom, 1), **({"min_width": None, "min_height": None} if t.zoom >= 1 else {})}
    return {"enlarge": t.zoom > 1 or t.min_width is not None or t.min_height is not None}


def _fit(t: Transformation) -> Changes:
    """A fit needs a box; a gravity needs a crop or bars."""
    fit = t.fit if t.boxed else Fit.COVER
    crops, pads = t.boxed and fit in _CROPPING, t.boxed and fit is Fit.CONTAIN
    gravity, focal_point = t.gravity, t.focal_point if crops else None
    if focal_point is not None:
        gravity, focal_point = Gravity.CENTRE, None if focal_point == (0.5, 0.5) else focal_point
    if not (crops or pads) or (pads and gravity in SMART):
        gravity = Gravity.CENTRE
    has_offset = (crops or pads) and gravity not in SMART and t.focal_point is None
    return {
        "fit": fit,
        "gravity": gravity,
        "focal_point": focal_point,
        "gravity_x": t.gravity_x if has_offset else 0,
        "gravity_y": t.gravity_y if has_offset else 0,
    }


def _around(t: Transformation) -> Changes:
    """An ellipse cuts the corners away; without bars and padding there is no edge to fill."""
    has_edge = t.fit is Fit.CONTAIN or t.padding is not None
    return {"round": None if t.ellipse else t.round, "edge": t.edge if has_edge else Edge.BACKGROUND}


def _encoding(options: Sequence[Parameter], t: Transformation) -> Changes:
    """Drop what the format's encoder does not support."""
    format_ = FORMATS[t.format]
    unused = {row.field: row.default for row in options if row.field not in format_.encoder_options}
    is_lossless = t.lossless and "lossless" in format_.encoder_options
    no_quality = is_lossless or format_.quality is None or t.quality == format_.quality
    return {
        **unused,
        "soft_limit": t.soft_limit and t.max_bytes is not None,
        "quality": None if no_quality else t.quality,
        "background": None if t.background == WHITE and not format_.alpha else t.background,
    }


def scaled_side(side: int | None, factor: Fraction, name: str) -> int | None:
    """``side`` pixels times ``factor``, at least 1. Raises InvalidTransformation above MAX_SIDE, with
    ``name`` as the parameter to blame."""
    if side is None:
        return None
    scaled = max(1, round_half_up(side * factor))
    if scaled > MAX_SIDE:
        expected = f"one that makes no side longer than {MAX_SIDE} pixels"
        raise InvalidTransformation([Problem(name, expected, f"{scaled} pixels")])
    return scaled
