"""Dialects: imgproxy's gravity, what it cuts out first, and how its box is met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from image_processor.delivery.dialects.request_builder import RequestBuilder
from image_processor.delivery.request import CropSpec, SizingRule
from image_processor.domain.transformation import SMART, Fit, Gravity, Length, RelativeLength

GRAVITIES: Mapping[str, Gravity] = MappingProxyType(
    {
        "ce": Gravity.CENTRE,
        "no": Gravity.NORTH,
        "noea": Gravity.NORTHEAST,
        "ea": Gravity.EAST,
        "soea": Gravity.SOUTHEAST,
        "so": Gravity.SOUTH,
        "sowe": Gravity.SOUTHWEST,
        "we": Gravity.WEST,
        "nowe": Gravity.NORTHWEST,
    }
)

_EXPECTED = ", ".join((*GRAVITIES, "sm", "fp:X:Y", "obj:face"))
_FARTHEST = 16_383
_LARGEST = 1_000_000


def gravity(given: Sequence[str], name: str, builder: RequestBuilder) -> dict[str, Any] | None:
    """The fields of a transformation that a gravity is; None where it is none."""
    kind, *rest = given
    if kind == "fp" and len(rest) == 2:
        point = tuple(builder.number(text or "0", name, 0, 1) for text in rest)
        return None if None in point else {"focal_point": point}
    if kind == "sm":
        return {"gravity": Gravity.ATTENTION}
    if kind in {"obj", "objw"}:
        if rest[:1] != ["face"] or len(rest) > 2:
            builder.lacks(name, "obj:face, as nothing else is found here", ":".join(given))
        return {"gravity": Gravity.FACES}
    if kind not in GRAVITIES or len(rest) > 2:
        builder.wrong(name, f"one of {_EXPECTED}, the first with two offsets", ":".join(given))
        return None
    offsets = [offset(text, name, builder) for text in (*rest, "", "")[:2]]
    return {"gravity": GRAVITIES[kind], "gravity_x": offsets[0], "gravity_y": offsets[1]}


def offset(text: str, name: str, builder: RequestBuilder) -> Length:
    """Pixels, or below 1 a share of the side."""
    value = builder.number(text or "0", name, -_FARTHEST, _FARTHEST) or 0
    return RelativeLength(float(value)) if value and abs(value) < 1 else round(value)


def fit_with_extension(given: Mapping[str, Sequence[str]], builder: RequestBuilder) -> None:
    """How the box is met: `fit` unless another type was said, then widened to the box if so said."""
    values = builder.values
    sides = [side for side in ("width", "height") if side in values]
    if not sides:
        return
    if builder.sizing is None and (builder.preset is None or "fit" in values):
        fit = values.setdefault("fit", Fit.INSIDE)
        if fit is Fit.FILL and len(sides) == 1:
            builder.sizing = SizingRule.ORIGINAL_HEIGHT if sides == ["width"] else SizingRule.ORIGINAL_WIDTH
    extend = given.get("extend", ["0"])
    if not builder.flag(extend[0], "extend"):
        return
    if values.get("fit") is not Fit.INSIDE:
        builder.lacks("extend", "the resizing type fit with it", ":".join(extend))
        return
    values["fit"] = Fit.CONTAIN
    builder.drop("gravity", "gravity_x", "gravity_y", "focal_point")
    if len(extend) > 1 and extend[1]:
        found = gravity(extend[1:], "extend", builder)
        if found and (found.get("gravity") in SMART or "focal_point" in found):
            builder.wrong("extend", "a side, a corner or ce", ":".join(extend))
        else:
            values.update(found or {})


def crop(given: Mapping[str, Sequence[str]], builder: RequestBuilder) -> None:
    """What is cut out of the original first; it lies where its own gravity says, else as `gravity` does."""
    if "crop" not in given:
        return
    arguments = (*given["crop"], "")
    width, height = (_side(text, builder) for text in arguments[:2])
    rest = given["crop"][2:]
    values = builder.values
    if "gravity" in given and not rest:
        rest = given["gravity"]
    found = gravity(rest, "crop", builder) if rest and rest[0] else {}
    if found is None or (width is None and height is None):
        return
    if found.get("gravity") in SMART:
        builder.lacks("crop", "a gravity that is a side, a corner, ce or fp", ":".join(given["crop"]))
        return
    if "trim" in values:
        builder.lacks("crop", "no trim with it, as it is known only afterwards where it lies", "both")
        return
    builder.crop = CropSpec(
        width,
        height,
        found.get("gravity", Gravity.CENTRE),
        found.get("gravity_x", 0),
        found.get("gravity_y", 0),
        found.get("focal_point"),
    )


def _side(text: str, builder: RequestBuilder) -> Length | None:
    value = builder.number(text or "0", "crop", 0, _LARGEST)
    if not value:
        return None
    return RelativeLength(float(value)) if value < 1 else round(value)
