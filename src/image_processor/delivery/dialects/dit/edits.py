"""Delivery, step 1: converts DIT's edits, which have sharp's names and values, to a `Pipeline`.

An edit that DIT does not know is ignored, as there; one that it knows and this program does not is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from image_processor.delivery.dialects.request_builder import RequestBuilder, normalise
from image_processor.domain.errors import InvalidTransformation
from image_processor.domain.formats import WRITABLE
from image_processor.domain.rounding import round_half_up
from image_processor.domain.transformation import BLACK, MAX_SIDE, Edge, Fit, Flip, Gravity, Subsampling

from . import tone
from .overlay import read_watermark
from .pipeline import Area, Circle, Extension, Operation, Pipeline, Resize
from .values import as_background, as_colour, as_flag, as_gravity, as_number, as_object, as_side, as_text

_OUTPUTS = (*WRITABLE, "jpg", "heif")
_SUBSAMPLING = {"4:2:0": Subsampling.HALF, "4:4:4": Subsampling.FULL}
_MAX_EFFORT = {"webp": 6}
_DEFAULT_WEBP_EFFORT = 4

_IGNORED_OPTIONS = frozenset({
    "force", "trellisQuantisation", "trellisQuantization", "overshootDeringing", "optimiseScans",
    "optimizeScans", "optimiseCoding", "optimizeCoding", "quantisationTable", "quantizationTable",
    "compressionLevel", "adaptiveFiltering", "dither", "alphaQuality", "nearLossless", "smartSubsample",
    "smartDeblock", "preset", "loop", "delay", "minSize", "mixed", "reuse", "reoptimise",
    "interFrameMaxError", "interPaletteMaxError", "compression", "predictor", "pyramid", "tile",
    "tileWidth", "tileHeight", "xres", "yres", "resolutionUnit", "miniswhite", "bitdepth", "bigtiff",
})  # fmt: skip
"""Options of encoders that change bytes, not the picture."""

_UNSUPPORTED = frozenset({
    "affine", "bandbool", "boolean", "clahe", "contentModeration", "ensureAlpha", "joinChannel",
    "pipelineColorspace", "pipelineColourspace", "removeAlpha", "unflatten",
})  # fmt: skip
"""Edits that DIT has and this program lacks."""


class Calls:
    """The calls of sharp's methods, in the order of the edits."""

    def __init__(self) -> None:
        self.turn = 0.0
        self.turns_first = False
        self.flip = ""
        self.trim: dict[str, Any] = {}
        self.region: Area | None = None
        self.crop: Area | None = None
        self.resize: Resize | None = None
        self.operations: dict[str, Operation] = {}
        self.more: dict[str, Any] = {}
        """Fields of the pipeline that depend on no order."""

    @property
    def is_resized(self) -> bool:
        return self.resize is not None and bool(self.resize.width or self.resize.height)

    def pipeline(self, following: Pipeline | None) -> Pipeline:
        fields = dict(self.more)
        ordered = [self.operations[name] for name in tone.ORDER if name in self.operations]
        late = [self.operations[name] for name in tone.LATE if name in self.operations]
        # A grey image has no colour to tint, unless something has made colours again.
        if fields.get("grey") and "recomb" not in self.operations and not fields.get("watermark"):
            late = [operation for operation in late if operation.step.name != "tint"]
        return Pipeline(
            turn=self.turn,
            turns_first=self.turns_first and bool(self.turn),
            flip=Flip(self.flip) if self.flip else None,
            trim=self.trim,
            region=self.region,
            crop=self.crop,
            resize=self.resize,
            before=tuple(ordered),
            after=tuple(late),
            following=following,
            **fields,
        )


def apply(edits: Mapping[str, Any], output: Any, effort: Any, builder: RequestBuilder) -> None:
    """Apply ``edits`` to ``builder``, and the output format and effort of the request."""
    # DIT opens the original as this edit says, wherever it is.
    names = sorted(edits, key=lambda name: name != "animated")
    cut = names.index("roundCrop") + 1 if edits.get("roundCrop") else len(names)
    first = _read({name: edits[name] for name in names[:cut]}, builder)
    rest = _read({name: edits[name] for name in names[cut:]}, builder) if cut < len(names) else None
    for format_ in (output, edits.get("toFormat")):
        if format_ is not None:
            builder.set_format(format_ if isinstance(format_, str) else repr(format_), "toFormat")
    if effort is not None and builder.format == "webp":
        _request_effort(effort, builder)
    if builder.problems:
        return
    pipeline = first.pipeline(rest.pipeline(None) if rest else None)
    if pipeline.needs_original:
        builder.geometry = pipeline
        return
    try:
        builder.values |= pipeline.fields(None)
    except InvalidTransformation as error:
        builder.problems += error.problems


def _read(edits: Mapping[str, Any], builder: RequestBuilder) -> Calls:
    calls = Calls()
    for name, value in edits.items():
        read = EDITS.get(name)
        operation = tone.OPERATIONS.get(name)
        if name in _OUTPUTS:
            _encoder(name, value, builder)
        elif read is not None:
            read(value, calls, builder)
        elif operation is not None:
            made = operation(value, builder)
            if made is not None:
                calls.operations[tone.ALIASES.get(name, name)] = made
        elif name in _UNSUPPORTED:
            builder.unsupported(name)
    return calls


def _resize(value: Any, calls: Calls, builder: RequestBuilder) -> None:
    options = as_object(value, "resize", builder)
    width, height = (as_side(options.get(side), f"resize.{side}", builder) for side in ("width", "height"))
    fit = _fit(options.get("fit"), builder)
    background = options.get("background")
    bars = fit is Fit.CONTAIN and width and height
    ratio = options.get("ratio")
    zoom = 1.0 if ratio is None else as_number(ratio, "resize.ratio", 0.01, 100, builder) or 1
    if zoom != 1 and width and height:
        width, height, zoom = round_half_up(width * zoom), round_half_up(height * zoom), 1
        fit = fit if options.get("fit") else Fit.INSIDE
    calls.resize = Resize(
        0 if zoom != 1 else min(width, MAX_SIDE),
        0 if zoom != 1 else min(height, MAX_SIDE),
        fit,
        not as_flag(options.get("withoutEnlargement"), "resize.withoutEnlargement", builder),
        _position(options, builder),
        BLACK
        if background is None
        else as_background(background, "resize.background", builder)
        if bars
        else None,
        zoom,
    )
    if calls.turn and (width or height):
        calls.turns_first = True
    if calls.more.get("watermark"):
        calls.more["watermark_first"] = True
    _check_unused(options, builder)


def _check_unused(options: Mapping[str, Any], builder: RequestBuilder) -> None:
    if as_flag(options.get("withoutReduction"), "resize.withoutReduction", builder):
        builder.unsupported("resize.withoutReduction", "false, as a smaller size is always met")
    if as_text(options.get("kernel"), "lanczos3") not in {"lanczos3", "lanczos2", "cubic", "mitchell"}:
        builder.unsupported("resize.kernel", "lanczos3", options["kernel"])


def _fit(value: Any, builder: RequestBuilder) -> Fit:
    if value is None:
        return Fit.COVER
    names = [fit for fit in Fit if fit is not Fit.FILL_DOWN]
    if value in names:
        return Fit(value)
    builder.add_error("resize.fit", " | ".join(names), value)
    return Fit.COVER


def _position(options: Mapping[str, Any], builder: RequestBuilder) -> Gravity:
    for name in ("position", "gravity"):
        value = options.get(name)
        if value is None:
            continue
        gravity = as_gravity(value)
        if gravity is not None:
            return Gravity(gravity)
        expected = "a side such as right top, a gravity such as northeast, entropy or attention"
        builder.add_error(f"resize.{name}", expected, value)
    return Gravity.CENTRE


def _extract(name: str) -> Callable[[Any, Calls, RequestBuilder], None]:
    def read(value: Any, calls: Calls, builder: RequestBuilder) -> None:
        options = as_object(value, name, builder)
        numbers = [
            as_number(options.get(side), f"{name}.{side}", low, 10**6, builder)
            for side, low in (("left", 0), ("top", 0), ("width", 1), ("height", 1))
        ]
        if None in numbers:
            return
        left, top, width, height = (round(number or 0) for number in numbers)
        if calls.is_resized or calls.region is not None:
            calls.crop = (left, top, width, height)
        else:
            calls.region = (left, top, width, height)
        if calls.turn and not calls.is_resized:
            calls.turns_first = True

    return read


def _rotate(value: Any, calls: Calls, builder: RequestBuilder) -> None:
    if value is None:
        return
    if isinstance(value, str):
        builder.add_error("rotate", "a number of degrees", value)
        return
    degrees = as_number(value, "rotate", -100_000, 100_000, builder)
    if degrees is not None:
        calls.turn = normalise(degrees % 360)


def _mirror(name: str, axis: str) -> Callable[[Any, Calls, RequestBuilder], None]:
    """`flip` is vertical and `flop` horizontal."""

    def read(value: Any, calls: Calls, builder: RequestBuilder) -> None:
        if as_flag(value, name, builder) and axis not in calls.flip:
            calls.flip = "".join(sorted(calls.flip + axis))

    return read


def _extend(value: Any, calls: Calls, builder: RequestBuilder) -> None:
    names = ("top", "right", "bottom", "left")
    options = as_object(value, "extend", builder) if isinstance(value, dict) else dict.fromkeys(names, value)
    sides = [as_number(options.get(side, 0), f"extend.{side}", 0, MAX_SIDE, builder) for side in names]
    background = options.get("background")
    # The default of sharp is black.
    colour = BLACK if background is None else as_background(background, "extend.background", builder)
    kind = as_text(options.get("extendWith"), "background")
    if kind not in {"copy", "repeat", "mirror", "background"}:
        builder.add_error("extend.extendWith", "background | copy | repeat | mirror", kind)
    elif None not in sides:
        top, right, bottom, left = (round(side or 0) for side in sides)
        calls.more["extension"] = Extension((top, right, bottom, left), Edge(kind), colour)


def _trim(value: Any, calls: Calls, builder: RequestBuilder) -> None:
    if not isinstance(value, dict):
        builder.add_error("trim", "an object", value)
        return
    options = value
    threshold = as_number(options.get("threshold", 10), "trim.threshold", 0, 255, builder)
    if threshold is not None:
        calls.trim = {"trim": round(threshold)}
    if options.get("background") is not None:
        parsed = as_colour(options["background"], "trim.background", builder)
        calls.trim |= {} if parsed is None else {"trim_colour": parsed}
    for name in options.keys() - {"threshold", "background"}:
        builder.unsupported(f"trim.{name}")
    if calls.turn:
        calls.turns_first = True


def _flatten(value: Any, calls: Calls, builder: RequestBuilder) -> None:
    if value is False:
        return
    options = as_object(value, "flatten", builder)
    background = options.get("background")
    calls.more["flatten"] = (
        BLACK if background is None else as_colour(background, "flatten.background", builder)
    )


def _grey(value: Any, calls: Calls, builder: RequestBuilder) -> None:
    """sharp makes grey what is neither false nor absent."""
    if isinstance(value, str):
        calls.more["grey"] = True
    else:
        calls.more["grey"] = as_flag(value, "grayscale", builder)


def _overlay(value: Any, calls: Calls, builder: RequestBuilder) -> None:
    calls.more["watermark"] = read_watermark(value, builder)


def _smart_crop(value: Any, calls: Calls, builder: RequestBuilder) -> None:
    """Keep faces. Amazon Rekognition, which finds a box around one of them, is not used here."""
    del calls
    if value is False:
        return
    if value is not True and value != {}:
        builder.unsupported("smartCrop", "true, as neither a face nor padding can be chosen", value)
    builder.values["gravity"] = Gravity.FACES


def _round_crop(value: Any, calls: Calls, builder: RequestBuilder) -> None:
    if value is False or value is None:
        return
    options = as_object(value, "roundCrop", builder)
    numbers = {
        field: as_number(options.get(name) or 0, f"roundCrop.{name}", 0, MAX_SIDE, builder) or 0
        for field, name in (("left", "left"), ("top", "top"), ("across", "rx"), ("down", "ry"))
    }
    calls.more["circle"] = Circle(**numbers)


def _animated(value: Any, calls: Calls, builder: RequestBuilder) -> None:
    animated = as_flag(value, "animated", builder)
    calls.more["animated"] = animated
    if not animated:
        builder.values["frame"] = 1


def _encoder(name: str, value: Any, builder: RequestBuilder) -> None:
    """Set the options of an encoder and its format; `toFormat` overrides the format."""
    options = as_object(value, name, builder)
    format_ = "jpeg" if name == "jpg" else name
    if name == "heif" and options.get("compression") == "av1":
        format_ = "avif"
    builder.set_format(format_, name)
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
        elif option not in _IGNORED_OPTIONS:
            builder.unsupported(where, got=argument)


def _effort(format_: str, value: Any, name: str, builder: RequestBuilder) -> None:
    """Set the effort on a scale of 0-9; the scale of sharp is the encoder's."""
    highest = _MAX_EFFORT.get(format_, 9)
    effort = as_number(value, name, 0, max(highest, 9) + 1, builder)
    if effort is not None:
        builder.values["effort"] = min(9, round(effort * 9 / highest))


def _request_effort(value: Any, builder: RequestBuilder) -> None:
    """The effort next to the edits, for WebP: truncated, and 4 unless it is 0 to 6."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    effort = int(value) if is_number and -1 < value < 7 else _DEFAULT_WEBP_EFFORT
    builder.values["effort"] = round(effort * 9 / _MAX_EFFORT["webp"])


def _quality(value: Any, calls: Calls, builder: RequestBuilder) -> None:
    del calls
    quality = as_number(value, "quality", 1, 100, builder)
    builder.values.update({} if quality is None else {"quality": round(quality)})


def _no_effect(value: Any, calls: Calls, builder: RequestBuilder) -> None:
    """An edit whose effect is always on, or that is applied elsewhere."""
    del value, calls, builder


EDITS: dict[str, Callable[[Any, Calls, RequestBuilder], None]] = {
    "animated": _animated,
    "crop": _extract("crop"),
    "extend": _extend,
    "extract": _extract("extract"),
    "flatten": _flatten,
    "flip": _mirror("flip", "v"),
    "flop": _mirror("flop", "h"),
    "grayscale": _grey,
    "greyscale": _grey,
    "overlayWith": _overlay,
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
