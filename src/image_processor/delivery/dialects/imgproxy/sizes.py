"""Delivery, step 1: imgproxy's options whose effect depends on the original's size, as `SizeRules`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from image_processor.delivery.dialects.request_builder import RequestBuilder
from image_processor.domain.formats import FORMAT_ALIASES, FORMATS
from image_processor.domain.transformation import Gravity

from .crop import parse_gravity
from .geometry import Anchored, SizeRules

Options = Mapping[str, Sequence[str]]

_MAX_SIDE = 16_383
_SOURCE_LIMITS = (
    "max_src_resolution",
    "max_src_file_size",
    "max_animation_frames",
    "max_animation_frame_resolution",
)
NO_FIELD = frozenset({
    "extend_aspect_ratio", "skip_processing", "raw", "max_result_dimension", *_SOURCE_LIMITS
})  # fmt: skip
"""Options that have no field of their own in a transformation."""

_NEEDED = frozenset({"dpr", "zoom", "min-width", "min-height", *NO_FIELD})
"""Options whose result no field expresses for every original."""


def set_size_rules(options: Options, builder: RequestBuilder, *, is_vector: bool) -> None:
    """Set the rules for the original's size in ``builder``, unless its fields say the same for every one.
    ``is_vector``: the original is a vector drawing, which any size enlarges."""
    rules = _rules(options, builder)
    if builder.preset is not None:
        return  # of the recipe, which has sizes of its own
    has_overlay = "overlays" in builder.values and "padding" in builder.values
    turned = bool(builder.values.get("rotate") or builder.values.get("flip"))
    is_plain = not (
        _NEEDED & options.keys()
        or rules.kind == "force"
        or (rules.extend is not None and not _is_contained(rules))
        or (rules.crop is not None and (turned or rules.crop_gravity.gravity in _BY_PIXELS))
        or has_overlay
        or is_vector
    )
    if is_plain:
        return
    builder.geometry = rules
    if "trim" not in builder.values:
        builder.crop, builder.sizing = None, None


def _is_contained(rules: SizeRules) -> bool:
    """Whether `contain` is the same as the extension: an image that fits in a box of two sides."""
    is_box = rules.kind == "fit" and rules.width and rules.height
    return bool(is_box) and rules.extend is not None and rules.extend.focal_point is None


_BY_PIXELS = frozenset({Gravity.ATTENTION, Gravity.ENTROPY, Gravity.FACES})


def _rules(options: Options, builder: RequestBuilder) -> SizeRules:
    values = builder.values
    gravity = _anchored(options.get("gravity", ()), "gravity", builder)
    crop = options.get("crop")
    zoom = [builder.number(text, "zoom", 0.01, 100) or 1 for text in options.get("zoom", ("1",))[:2]]
    return SizeRules(
        width=values.get("width", 0),
        height=values.get("height", 0),
        kind=(options.get("resizing_type") or ("fit",))[0],
        enlarge=values.get("enlarge", False),
        zoom=(zoom[0], zoom[-1]),
        dpr=values.get("dpr", 1),
        minimum=(values.get("min_width", 0), values.get("min_height", 0)),
        gravity=gravity,
        crop=_crop_size(crop, builder) if crop else None,
        crop_gravity=_anchored(crop[2:], "crop", builder) if crop and len(crop) > 2 else gravity,
        extend=_extension(options, "extend", builder),
        extend_ratio=_extension(options, "extend_aspect_ratio", builder),
        max_side=_integer(options, "max_result_dimension", builder),
        padding=values.get("padding", (0, 0, 0, 0)),
        skipped=_skipped(options.get("skip_processing", ()), builder),
        raw=bool(builder.flag(options.get("raw", ("",))[0], "raw")),
        max_source=_source_limits(options, builder),
    )


def _integer(options: Options, name: str, builder: RequestBuilder) -> int:
    text = options.get(name, ("0",))[0] or "0"
    return max(0, builder.integer(text, name, -1, 10**9) or 0)


def _crop_size(arguments: Sequence[str], builder: RequestBuilder) -> tuple[float, float]:
    sides = [builder.number(text or "0", "crop", 0, 1_000_000) or 0 for text in (*arguments, "")[:2]]
    return sides[0], sides[1]


def _extension(options: Options, name: str, builder: RequestBuilder) -> Anchored | None:
    enabled, *gravity = options.get(name) or ("",)
    if not builder.flag(enabled, name):
        return None
    anchored = _anchored(gravity, name, builder)
    if anchored.gravity in _BY_PIXELS:
        builder.add_error(name, "a side, a corner, ce or fp", ":".join(gravity))
    return anchored


def _anchored(arguments: Sequence[str], name: str, builder: RequestBuilder) -> Anchored:
    if not arguments or not arguments[0]:
        return Anchored()
    fields: Mapping[str, Any] = parse_gravity(arguments, name, builder) or {}
    if "focal_point" in fields:
        return Anchored(focal_point=fields["focal_point"])
    gravity = fields.get("gravity", Gravity.CENTRE)
    if gravity in _BY_PIXELS:
        return Anchored(gravity)
    x, y = (
        builder.number(text or "0", name, -_MAX_SIDE, _MAX_SIDE) or 0
        for text in (*arguments[1:3], "", "")[:2]
    )
    return Anchored(gravity, x, y)


def _skipped(names: Sequence[str], builder: RequestBuilder) -> frozenset[str]:
    formats = [FORMAT_ALIASES.get(name.lower(), name.lower()) for name in names if name]
    for name, format_ in zip(filter(None, names), formats, strict=True):
        if format_ not in {*FORMATS, "bmp", "ico", "heic", "tiff"}:
            builder.add_error("skip_processing", "names of image formats", name)
    return frozenset(formats)


def _source_limits(options: Options, builder: RequestBuilder) -> dict[str, float]:
    found = {}
    for name in _SOURCE_LIMITS:
        if name in options:
            limit = builder.number(options[name][0] or "0", name, 0, 10**9)
            if limit:
                found[name] = limit
    return found
