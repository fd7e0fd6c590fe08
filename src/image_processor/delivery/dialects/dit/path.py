"""Delivery, step 1: parses DIT's paths of thumbor's form, and version 7's query parameters, into edits.

The leading segments are options as long as they have the form of one, each kind once; the rest is the key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from image_processor.delivery.dialects.filter_syntax import FilterCall, parse_filters
from image_processor.delivery.dialects.request_builder import RequestBuilder
from image_processor.domain.keys import percent_decode

QUERY_PARAMETERS = frozenset(
    {"format", "fit", "width", "height", "rotate", "flip", "flop", "grayscale", "greyscale"}
)
"""Query parameters that change the rendition."""

_SIZE = re.compile(r"([0-9]{1,9})x([0-9]{1,9})")
_CROP = re.compile(r"([0-9]{1,9})x([0-9]{1,9}):([0-9]{1,9})x([0-9]{1,9})")
_BUCKET = re.compile(r"s3:([^/]+)")
_BEGIN = re.compile(
    r"(?:fit-in|[0-9]{1,9}x[0-9]{1,9}(?::[0-9]{1,9}x[0-9]{1,9})?|s3:[^/]+|filters:[a-z_]+\(.*)/", re.DOTALL
)

_OFFSET = re.compile(r"-?[0-9]{1,5}(\.[0-9]{1,5})?|-?(100|[1-9]?[0-9])p")
_INTEGER = re.compile(r"\s*([+-]?[0-9]{1,9})")
_OFF = frozenset({"", "0", "false"})
_FORMATS = frozenset(["avif", "gif", "heic", "heif", "jpeg", "png", "raw", "tiff", "webp"])

Edits = dict[str, Any]


class FilterSpec(Struct, frozen=True):
    """How many arguments a filter takes, the edit that errors of its value name, and what adds the edit."""

    min_arguments: int
    max_arguments: int
    edit: str
    read: Callable[[Sequence[str], Edits], None]


def is_dit_path(path: str) -> bool:
    """Whether a path begins like one of thumbor's form."""
    return _BEGIN.match(path) is not None


def parse_path(path: str, builder: RequestBuilder) -> dict[str, Any]:
    """The request of a path, as the JSON of the other form has it."""
    request: dict[str, Any] = {}
    edits: Edits = {}
    calls: list[FilterCall] = []
    rest, seen = path, set[str]()
    while True:
        more, after = parse_filters(rest)
        if more:
            calls += more
            rest = after
            continue
        segment, slash, following = rest.partition("/")
        kind = _kind(segment) if slash and following else None
        if kind is None or kind in seen:
            break
        seen.add(kind)
        rest = following
        _apply_segment(kind, segment, request, edits)
    for call in sorted(calls, key=lambda call: call.text):
        _filter(call, edits, builder)
    try:
        return {**request, "key": percent_decode(rest), "edits": edits}
    except UnicodeError:
        builder.add_error("key", "percent-encoded UTF-8", rest)
        return {"key": "", "edits": edits}


def _kind(segment: str) -> str | None:
    if segment == "fit-in":
        return segment
    forms = {"size": _SIZE, "crop": _CROP, "bucket": _BUCKET}
    return next((kind for kind, form in forms.items() if form.fullmatch(segment)), None)


def _apply_segment(kind: str, segment: str, request: dict[str, Any], edits: Edits) -> None:
    if kind == "bucket":
        request["bucket"] = segment.partition(":")[2]
    elif kind == "fit-in":
        _resize(edits, fit="inside")
    elif kind == "size":
        width, height = map(int, segment.split("x"))
        _resize(edits, width=width or None, height=height or None)
        if not (width and height):
            _resize(edits, fit="inside")
    else:
        left, top, right, bottom = map(int, re.findall("[0-9]+", segment))
        crop = {"left": left, "top": top, "width": right - left, "height": bottom - top}
        # Before the resize, as it crops the original.
        later = {name: edits.pop(name) for name in list(edits)}
        edits.update({"crop": crop, **later})


def apply_query(pairs: Sequence[tuple[str, str]], edits: Edits, builder: RequestBuilder) -> None:
    """Apply the query parameters to ``edits``. A size in them replaces that of the path whole, as in DIT,
    which ignores parameters that it does not know."""
    changed: Edits = {}
    seen: set[str] = set()
    for name, value in pairs:
        if name in seen:
            builder.add_error(name, "one value", "two")
        seen.add(name)
        if name in {"width", "height"}:
            changed.setdefault("resize", {})[name] = None if value == "0" else _integer(value)
        elif name == "fit":
            changed.setdefault("resize", {})[name] = value
        elif name == "format":
            changed["toFormat"] = value
        elif name == "rotate":
            changed["rotate"] = _integer(value)
        elif name in {"flip", "flop"}:
            changed[name] = value.lower() not in _OFF
        elif name in QUERY_PARAMETERS:
            edits.pop("grayscale", None)
            changed["greyscale"] = value.lower() not in _OFF
    edits.update(changed)


def _integer(text: str) -> int | str | None:
    """The whole number at the start of ``text``, None if it is empty; ``text`` itself, which is an error
    later, if there is none."""
    match = _INTEGER.match(text)
    return int(match[1]) if match else text or None


def _filter(call: FilterCall, edits: Edits, builder: RequestBuilder) -> None:
    spec = FILTERS.get(call.name)
    if spec is None:
        return  # as DIT does
    arguments = () if call.arguments == ("",) else call.arguments[: spec.max_arguments]
    if len(arguments) < spec.min_arguments:
        expected = f"at least {spec.min_arguments} arguments"
        builder.add_error(call.name, expected, call.text)
        return
    builder.aliases[spec.edit] = call.name
    spec.read(arguments, edits)


def _resize(edits: Edits, **values: Any) -> None:
    edits["resize"] = {**edits.get("resize", {}), **values}


def _blur(arguments: Sequence[str], edits: Edits) -> None:
    if len(arguments) > 1 and re.fullmatch(r"[0-9.]+", arguments[1]):
        edits["blur"] = arguments[1]
    else:
        edits["blur"] = _times(arguments[0], 0.5)


def _sharpen(arguments: Sequence[str], edits: Edits) -> None:
    half = _times(arguments[1], 0.5)
    edits["sharpen"] = 1 + half if isinstance(half, float) else half


def _times(text: str, factor: float) -> float | str:
    """``text`` times ``factor``; ``text`` itself if it is not a number, which is an error later."""
    return float(text) * factor if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) else text


def _rgb(arguments: Sequence[str], edits: Edits) -> None:
    channels = [_times(text, 2.55) for text in arguments]
    edits["tint"] = dict(zip("rgb", channels, strict=True))


def _convolution(arguments: Sequence[str], edits: Edits) -> None:
    kernel = arguments[0].split(";")
    height = (
        len(kernel) / int(arguments[1]) if re.fullmatch(r"[1-9][0-9]{0,3}", arguments[1]) else arguments[1]
    )
    edits["convolve"] = {"width": arguments[1], "height": height, "kernel": kernel}


def _watermark(arguments: Sequence[str], edits: Edits) -> None:
    bucket, key, left, top = arguments[:4]
    alpha = arguments[4] if len(arguments) > 4 else 0
    ratios = dict(zip(("wRatio", "hRatio"), arguments[5:], strict=False))
    # Without a position in numbers the overlay is centred along that side.
    options = {name: text for name, text in (("left", left), ("top", top)) if _OFFSET.fullmatch(text)}
    edits["overlayWith"] = {"bucket": bucket, "key": key, "alpha": alpha, **ratios, "options": options}


def _rotate(arguments: Sequence[str], edits: Edits) -> None:
    """Without an angle the orientation is applied, which always is."""
    edits["rotate"] = _number(arguments[0]) if arguments else None


def _number(text: str) -> float | str:
    return float(text) if re.fullmatch(r"[+-]?[0-9]{1,9}(\.[0-9]{1,9})?", text) else text


def _stretch(arguments: Sequence[str], edits: Edits) -> None:
    del arguments
    if edits.get("resize", {}).get("fit") != "inside":
        _resize(edits, fit="fill")


def _proportion(arguments: Sequence[str], edits: Edits) -> None:
    resize = edits.get("resize", {})
    sides = {side: resize.get(side) for side in ("width", "height")}
    factor = _times(arguments[0], 1)
    if all(sides.values()) and isinstance(factor, float):
        _resize(edits, **{side: length * factor for side, length in sides.items()})
    else:
        _resize(edits, ratio=arguments[0])


def _format(arguments: Sequence[str], edits: Edits) -> None:
    """Other formats are ignored, as in DIT."""
    format_ = re.sub("jpg", "jpeg", re.sub("[^0-9a-zA-Z]", "", arguments[0]), flags=re.IGNORECASE)
    if format_ in _FORMATS:
        edits["toFormat"] = format_


def _quality(arguments: Sequence[str], edits: Edits) -> None:
    edits["quality"] = arguments[0]


def _smart_crop(arguments: Sequence[str], edits: Edits) -> None:
    names = ("faceIndex", "padding")
    edits["smartCrop"] = dict(zip(names, arguments, strict=False)) or True


def _set(edit: str, *, value: Any) -> Callable[[Sequence[str], Edits], None]:
    def read(arguments: Sequence[str], edits: Edits) -> None:
        edits[edit] = arguments[0] if arguments else value

    return read


FILTERS: dict[str, FilterSpec] = {
    "animated": FilterSpec(
        0,
        1,
        "animated",
        lambda arguments, edits: edits.update({"animated": "".join(arguments).lower() != "false"}),
    ),
    "autojpg": FilterSpec(0, 0, "toFormat", _set("toFormat", value="jpeg")),
    "background_color": FilterSpec(
        1,
        1,
        "flatten.background",
        lambda arguments, edits: edits.update({"flatten": {"background": arguments[0]}}),
    ),
    "blur": FilterSpec(1, 2, "blur", _blur),
    "convolution": FilterSpec(2, 3, "convolve", _convolution),
    "equalize": FilterSpec(0, 0, "normalize", _set("normalize", value=True)),
    "fill": FilterSpec(
        1,
        2,
        "resize.background",
        lambda arguments, edits: _resize(edits, fit="contain", background=arguments[0]),
    ),
    "format": FilterSpec(1, 1, "toFormat", _format),
    "grayscale": FilterSpec(0, 0, "grayscale", _set("grayscale", value=True)),
    "no_upscale": FilterSpec(0, 0, "resize", lambda _, edits: _resize(edits, withoutEnlargement=True)),
    "proportion": FilterSpec(1, 1, "resize.ratio", _proportion),
    "quality": FilterSpec(1, 1, "quality", _quality),
    "rgb": FilterSpec(3, 3, "tint", _rgb),
    "rotate": FilterSpec(0, 1, "rotate", _rotate),
    "sharpen": FilterSpec(2, 3, "sharpen", _sharpen),
    "smart_crop": FilterSpec(0, 2, "smartCrop", _smart_crop),
    "stretch": FilterSpec(0, 0, "resize", _stretch),
    "strip_exif": FilterSpec(0, 0, "rotate", _set("rotate", value=None)),
    "strip_icc": FilterSpec(0, 0, "rotate", _set("rotate", value=None)),
    "upscale": FilterSpec(0, 0, "resize", lambda _, edits: _resize(edits, fit="inside")),
    "watermark": FilterSpec(4, 7, "overlayWith", _watermark),
}
