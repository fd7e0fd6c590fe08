"""Delivery, step 1: imgproxy's options for gravity, crop, and how the target size is met."""

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
_MAX_OFFSET = 16_383
_MAX_PIXELS = 1_000_000


def parse_gravity(arguments: Sequence[str], name: str, builder: RequestBuilder) -> dict[str, Any] | None:
    """The fields of a transformation for a gravity. Adds a problem and returns None for another value."""
    kind, *rest = arguments
    if kind == "fp" and len(rest) == 2:
        point = tuple(builder.number(text or "0", name, 0, 1) for text in rest)
        return None if None in point else {"focal_point": point}
    if kind == "sm":
        return {"gravity": Gravity.ATTENTION}
    if kind in {"obj", "objw"}:
        if rest[:1] != ["face"] or len(rest) > 2:
            builder.unsupported(name, "obj:face, as only faces are detected", ":".join(arguments))
        return {"gravity": Gravity.FACES}
    if kind not in GRAVITIES or len(rest) > 2:
        builder.add_error(name, f"one of {_EXPECTED}, the first with two offsets", ":".join(arguments))
        return None
    offsets = [parse_offset(text, name, builder) for text in (*rest, "", "")[:2]]
    return {"gravity": GRAVITIES[kind], "gravity_x": offsets[0], "gravity_y": offsets[1]}


def parse_offset(text: str, name: str, builder: RequestBuilder) -> Length:
    """Pixels, or a fraction of the side if the value is below 1."""
    value = builder.number(text or "0", name, -_MAX_OFFSET, _MAX_OFFSET) or 0
    return RelativeLength(float(value)) if value and abs(value) < 1 else round(value)


def set_fit(options: Mapping[str, Sequence[str]], builder: RequestBuilder) -> None:
    """Set the fit: `fit` unless the resizing type says otherwise, padded to the size by `extend`."""
    values = builder.values
    sides = [side for side in ("width", "height") if side in values]
    if not sides:
        return
    if builder.sizing is None and (builder.preset is None or "fit" in values):
        fit = values.setdefault("fit", Fit.INSIDE)
        if fit is Fit.FILL and len(sides) == 1:
            builder.sizing = SizingRule.ORIGINAL_HEIGHT if sides == ["width"] else SizingRule.ORIGINAL_WIDTH
    extend = options.get("extend", ["0"])
    if not builder.flag(extend[0], "extend"):
        return
    if values.get("fit") is not Fit.INSIDE:
        return  # `SizeRules` extend every resizing type
    values["fit"] = Fit.CONTAIN
    builder.remove_fields("gravity", "gravity_x", "gravity_y", "focal_point")
    if len(extend) > 1 and extend[1]:
        fields = parse_gravity(extend[1:], "extend", builder)
        if fields and (fields.get("gravity") in SMART or "focal_point" in fields):
            builder.add_error("extend", "a side, a corner or ce", ":".join(extend))
        else:
            values.update(fields or {})


def set_crop(options: Mapping[str, Sequence[str]], builder: RequestBuilder) -> None:
    """Set the crop of the original, at its own gravity or else at that of the option `gravity`."""
    if "crop" not in options:
        return
    arguments = (*options["crop"], "")
    width, height = (_side(text, builder) for text in arguments[:2])
    rest = options["crop"][2:]
    values = builder.values
    if "gravity" in options and not rest:
        rest = options["gravity"]
    fields = parse_gravity(rest, "crop", builder) if rest and rest[0] else {}
    if fields is None or (width is None and height is None):
        return
    if fields.get("gravity") in SMART and "trim" not in values:
        return  # `SizeRules` crop it
    if "trim" in values:
        builder.unsupported("crop", "no trim with it, as its position is known only after trimming", "both")
        return
    builder.crop = CropSpec(
        width,
        height,
        fields.get("gravity", Gravity.CENTRE),
        fields.get("gravity_x", 0),
        fields.get("gravity_y", 0),
        fields.get("focal_point"),
    )


def _side(text: str, builder: RequestBuilder) -> Length | None:
    value = builder.number(text or "0", "crop", 0, _MAX_PIXELS)
    if not value:
        return None
    return RelativeLength(float(value)) if value < 1 else round(value)
