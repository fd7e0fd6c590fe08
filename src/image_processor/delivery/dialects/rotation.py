"""Dialects: the same picture where a product cuts, mirrors and turns in another order than we do."""

from __future__ import annotations

from image_processor.delivery.request import SizingRule
from image_processor.domain.transformation import Flip, Gravity

from .request_builder import RequestBuilder, plain


def rotate_last(builder: RequestBuilder) -> None:
    """thumbor cuts first, mirrors then and turns last; we cut last. So a picture that is mirrored has to
    be turned the other way, the box lies on its side, and what is kept lies on another one."""
    values = builder.values
    degrees, flip = values.get("rotate", 0), values.get("flip")
    if flip in {Flip.HORIZONTAL, Flip.VERTICAL} and degrees:
        values["rotate"] = degrees = plain(-degrees % 360)
    gravity = values.get("gravity")
    if gravity in _CLOCKWISE:
        values["gravity"] = _seen_from(gravity, round(degrees / 90), flip)
    if degrees % 180 != 90:
        return
    sides = {"width": values.get("height"), "height": values.get("width")}
    builder.drop(*sides)
    values.update({field: side for field, side in sides.items() if side is not None})
    if builder.sizing in _TURNED:
        builder.sizing = _TURNED[builder.sizing]


_TURNED = {
    SizingRule.ORIGINAL_WIDTH: SizingRule.ORIGINAL_HEIGHT,
    SizingRule.ORIGINAL_HEIGHT: SizingRule.ORIGINAL_WIDTH,
}
_CLOCKWISE = tuple(Gravity)[1:9]


def _seen_from(gravity: Gravity, quarters: int, flip: Flip | None) -> Gravity:
    """Where a side or corner is after so many quarter turns clockwise and a flip."""
    at = _CLOCKWISE.index(gravity) + 2 * quarters
    if flip in {Flip.HORIZONTAL, Flip.BOTH}:
        at = -at
    if flip in {Flip.VERTICAL, Flip.BOTH}:
        at = 4 - at
    return _CLOCKWISE[at % 8]
