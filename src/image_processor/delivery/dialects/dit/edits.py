"""Delivery, step 1: converts DIT's edits, which have sharp's names and values, to transformation fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from image_processor.delivery.dialects.request_builder import RequestBuilder, normalise
from image_processor.domain.formats import WRITABLE
from image_processor.domain.transformation import BLACK, Edge, Fit, Flip, Gravity, Step, Subsampling

from . import tone as dit_tone
from .overlay import add_overlay
from .values import as_colour, as_flag, as_gravity, as_number, as_object, as_text, is_absent, set_side

_MAX_SIDE = 16_383
_OUTPUTS = (*WRITABLE, "jpg", "heif", "raw")
_SUBSAMPLING = {"4:2:0": Subsampling.HALF, "4:4:4": Subsampling.FULL}
_MAX_EFFORT = {"webp": 6}


def apply(edits: Mapping[str, Any], output: Any, effort: Any, builder: RequestBuilder) -> None:
    """Apply ``edits`` to ``builder``, and the output format and effort of the request."""
    for name, value in edits.items():
        read = EDITS.get(name) or dit_tone.EDITS.get(name)
        if name in _OUTPUTS:
            _encoder(name, value, builder)
        elif read is not None:
            read(value, builder)
        else:
            builder.unsupported(name)
    _set_order(edits, builder)
    _set_flip(edits, builder)
    _set_steps(builder)
    _check_circle(builder)
    for format_ in (output, edits.get("toFormat")):
        if format_ is not None:
            builder.set_format(format_ if isinstance(format_, str) else repr(format_), "toFormat")
    if effort is not None:
        _effort("webp", effort, "effort", builder)


def _resize(value: Any, builder: RequestBuilder) -> None:
    options = as_object(value, "resize", builder)
    sides = [
        side
        for side in ("width", "height")
        if not (is_absent(options.get(side)) or as_text(options[side]) == "0")
    ]
    for side in sides:
        set_side(options[side], side, f"resize.{side}", builder)
    fit = _fit(options.get("fit"), builder)
    if sides:
        builder.values["fit"] = fit
        builder.values["enlarge"] = not as_flag(
            options.get("withoutEnlargement"), "resize.withoutEnlargement", builder
        )
    background = options.get("background")
    if background is not None:
        parsed = as_colour(background, "resize.background", builder)
        builder.values.update({} if parsed is None else {"background": parsed})
    elif fit is Fit.CONTAIN and len(sides) == 2 and "background" not in builder.values:
        builder.values["background"] = BLACK
    for name in ("position", "gravity"):
        if options.get(name) is not None:
            _position(options[name], f"resize.{name}", builder)
    ratio = options.get("ratio")
    if ratio is not None:
        zoom = as_number(ratio, "resize.ratio", 0.01, 100, builder)
        builder.values.update({} if zoom is None else {"zoom": zoom, "enlarge": True})
    _check_unused(options, builder)


def _check_unused(options: Mapping[str, Any], builder: RequestBuilder) -> None:
    if as_flag(options.get("withoutReduction"), "resize.withoutReduction", builder):
        builder.unsupported("resize.withoutReduction", "false, as a smaller size is always met")
    if as_text(options.get("kernel"), "lanczos3") not in {"lanczos3", "lanczos2", "cubic", "mitchell"}:
        builder.unsupported("resize.kernel", "lanczos3", options["kernel"])
    known = "width height fit position gravity background withoutEnlargement withoutReduction ratio kernel"
    for name in options.keys() - {*known.split(), "fastShrinkOnLoad"}:
        builder.unsupported(f"resize.{name}")


def _fit(value: Any, builder: RequestBuilder) -> Fit:
    if value is None:
        return Fit.COVER
    names = [fit for fit in Fit if fit is not Fit.FILL_DOWN]
    if value in names:
        return Fit(value)
    builder.add_error("resize.fit", " | ".join(names), value)
    return Fit.COVER


def _position(value: Any, name: str, builder: RequestBuilder) -> None:
    gravity = as_gravity(value)
    if gravity is None:
        builder.add_error(
            name, "a side such as right top, a gravity such as northeast, entropy or attention", value
        )
    else:
        builder.values["gravity"] = Gravity(gravity)


def _extract(name: str) -> Callable[[Any, RequestBuilder], None]:
    def read(value: Any, builder: RequestBuilder) -> None:
        options = as_object(value, name, builder)
        numbers = [
            as_number(options.get(side), f"{name}.{side}", low, 10**6, builder)
            for side, low in (("left", 0), ("top", 0), ("width", 1), ("height", 1))
        ]
        if None not in numbers:
            builder.set_field("region", tuple(round(number or 0) for number in numbers), name)

    return read


def _set_order(edits: Mapping[str, Any], builder: RequestBuilder) -> None:
    """What comes after the resize, as sharp orders it: a crop, and a rotation."""
    order = list(edits)
    values = builder.values
    resized = (
        order.index("resize") if "resize" in edits and ("width" in values or "height" in values) else None
    )
    steps: list[Step] = []
    crops = [name for name in ("extract", "crop") if name in edits]
    if "region" in values and resized is not None and any(order.index(name) > resized for name in crops):
        steps.append(Step("crop", values.pop("region")))
    degrees = values.get("rotate", 0)
    is_free = degrees % 90 != 0  # sharp turns by other angles after the resize, with black corners
    if degrees and (is_free or (resized is not None and order.index("rotate") > resized)):
        del values["rotate"]
        steps.append(Step("rotate", (degrees, BLACK) if is_free else (degrees,)))
    if steps:
        values["steps"] = (*steps, *values.get("steps", ()))


def _set_steps(builder: RequestBuilder) -> None:
    """With a crop or a rotation after the resize, the overlay is drawn over its result."""
    steps = builder.values.get("steps", ())
    overlays = builder.values.pop("overlays", ()) if steps else ()
    if overlays:
        builder.values["steps"] = (*steps, *(Step("over", overlay) for overlay in overlays))


def _rotate(value: Any, builder: RequestBuilder) -> None:
    if value is None:
        return
    degrees = as_number(value, "rotate", -100_000, 100_000, builder)
    if degrees is not None:
        builder.values["rotate"] = normalise(degrees % 360)


def _set_flip(edits: Mapping[str, Any], builder: RequestBuilder) -> None:
    """`flip` is vertical and `flop` horizontal. sharp flips before it rotates, this program after."""
    down, across = as_flag(edits.get("flip"), "flip", builder), as_flag(edits.get("flop"), "flop", builder)
    if not (down or across):
        return
    builder.values["flip"] = Flip(("h" if across else "") + ("v" if down else ""))
    if down != across and builder.values.get("rotate"):
        builder.values["rotate"] = normalise(-builder.values["rotate"] % 360)


def _extend(value: Any, builder: RequestBuilder) -> None:
    names = ("top", "right", "bottom", "left")
    options = as_object(value, "extend", builder) if isinstance(value, dict) else dict.fromkeys(names, value)
    sides = [as_number(options.get(side, 0), f"extend.{side}", 0, _MAX_SIDE, builder) for side in names]
    if None not in sides:
        builder.values["padding"] = tuple(round(side or 0) for side in sides)
    background = options.get("background")
    # The default of sharp is black.
    parsed = BLACK if background is None else as_colour(background, "extend.background", builder)
    kind = as_text(options.get("extendWith"), "background")
    if kind in {"copy", "repeat", "mirror", "background"}:
        builder.values["edge"] = Edge(kind)
    else:
        builder.add_error("extend.extendWith", "background | copy | repeat | mirror", kind)
    if parsed is not None and kind == "background":
        builder.values["background"] = parsed


def _trim(value: Any, builder: RequestBuilder) -> None:
    if value is False:
        return
    options = {} if value is True else value if isinstance(value, dict) else {"threshold": value}
    threshold = as_number(options.get("threshold", 10), "trim.threshold", 0, 255, builder)
    if threshold is not None:
        builder.values["trim"] = round(threshold)
    if options.get("background") is not None:
        parsed = as_colour(options["background"], "trim.background", builder)
        builder.values.update({} if parsed is None else {"trim_colour": parsed})
    for name in options.keys() - {"threshold", "background"}:
        builder.unsupported(f"trim.{name}")


def _smart_crop(value: Any, builder: RequestBuilder) -> None:
    if value is False:
        return
    if value is not True and value != {}:
        builder.unsupported("smartCrop", "true, as neither a face nor padding can be chosen", value)
    builder.values["gravity"] = Gravity.FACES


def _round_crop(value: Any, builder: RequestBuilder) -> None:
    """Crop to the largest circle in the centre."""
    if value is False:
        return
    if value is not True and value != {}:
        builder.unsupported("roundCrop", "true, as the circle is always in the centre", value)
    builder.values["ellipse"] = True


def _check_circle(builder: RequestBuilder) -> None:
    if not builder.values.get("ellipse"):
        return
    sides = [builder.values[side] for side in ("width", "height") if side in builder.values]
    if not sides:
        builder.values |= {"ratio": Fraction(1), "fit": Fit.COVER}
    elif len(sides) == 1 or sides[0] != sides[1] or builder.values["fit"] is not Fit.COVER:
        builder.unsupported("roundCrop", "no resize, or one that covers equal sides", sides)


def _encoder(name: str, value: Any, builder: RequestBuilder) -> None:
    """Set the options of an encoder and its format; `toFormat` overrides the format."""
    options = as_object(value, name, builder)
    builder.set_format(name, name)
    format_ = "jpeg" if name == "jpg" else name
    for option, argument in options.items():
        where = f"{name}.{option}"
        if option == "quality":
            quality = as_number(argument, where, 1, 100, builder)
            builder.qualities.update({} if quality is None else {format_: round(quality)})
        elif option in {"progressive", "lossless", "mozjpeg"}:
            builder.values["optimise" if option == "mozjpeg" else option] = as_flag(argument, where, builder)
        elif option == "effort":
            _effort(format_, argument, where, builder)
        elif option == "palette" and name == "png":
            builder.values.update({"colours": 256} if as_flag(argument, where, builder) else {})
        elif option in {"colours", "colors"}:
            colours = as_number(argument, where, 2, 256, builder)
            builder.values.update({} if colours is None else {"colours": round(colours)})
        elif option == "chromaSubsampling" and as_text(argument) in _SUBSAMPLING:
            builder.values["subsampling"] = _SUBSAMPLING[argument]
        else:
            builder.unsupported(where, got=argument)


def _effort(format_: str, value: Any, name: str, builder: RequestBuilder) -> None:
    """Set the effort on a scale of 0-9; the scale of sharp is the encoder's."""
    highest = _MAX_EFFORT.get(format_, 9)
    effort = as_number(value, name, 0, max(highest, 9) + 1, builder)
    if effort is not None:
        builder.values["effort"] = min(9, round(effort * 9 / highest))


def _quality(value: Any, builder: RequestBuilder) -> None:
    quality = as_number(value, "quality", 1, 100, builder)
    builder.values.update({} if quality is None else {"quality": round(quality)})


def _animated(value: Any, builder: RequestBuilder) -> None:
    if not as_flag(value, "animated", builder):
        builder.values["frame"] = 1


def _no_effect(value: Any, builder: RequestBuilder) -> None:
    """An edit whose effect is always on, or that is applied elsewhere."""
    del value, builder


EDITS: dict[str, Callable[[Any, RequestBuilder], None]] = {
    "animated": _animated,
    "crop": _extract("crop"),
    "extend": _extend,
    "extract": _extract("extract"),
    "flip": _no_effect,
    "flop": _no_effect,
    "overlayWith": add_overlay,
    "quality": _quality,
    "resize": _resize,
    "rotate": _rotate,
    "roundCrop": _round_crop,
    "smartCrop": _smart_crop,
    "stripExif": _no_effect,
    "stripIcc": _no_effect,
    "toFormat": _no_effect,
    "trim": _trim,
}
