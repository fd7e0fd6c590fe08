"""Dialects: DIT's paths of thumbor's form, and the parameters of its query, as edits.

The segments that a path begins with are parts of a request while they look like ones, each kind once;
all that stands behind them is the key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from image_processor.delivery.dialects.filter_parser import Call, parse_filters
from image_processor.delivery.dialects.request_builder import RequestBuilder, decoded

NAMES = frozenset({"format", "fit", "width", "height", "rotate", "flip", "flop", "grayscale", "greyscale"})
"""Parameters of the query that change the picture."""

_IGNORED = frozenset({"v"})
_SIZE = re.compile(r"([0-9]{1,9})x([0-9]{1,9})")
_CROP = re.compile(r"([0-9]{1,9})x([0-9]{1,9}):([0-9]{1,9})x([0-9]{1,9})")
_BUCKET = re.compile(r"s3:([^/]+)")
_BEGIN = re.compile(
    r"(?:fit-in|[0-9]{1,9}x[0-9]{1,9}(?::[0-9]{1,9}x[0-9]{1,9})?|s3:[^/]+|filters:[a-z_]+\(.*)/", re.DOTALL
)

Edits = dict[str, Any]


def begins(path: str) -> bool:
    """Whether a path begins as one of thumbor's form."""
    return _BEGIN.match(path) is not None


def read_path(path: str, builder: RequestBuilder) -> dict[str, Any]:
    """What a path asks for, as the JSON of the other form would say it."""
    asked: dict[str, Any] = {}
    edits: Edits = {}
    calls: list[Call] = []
    rest, seen = path, set[str]()
    while True:
        more, after = parse_filters(rest)
        if more:
            calls += more
            rest = after
            continue
        segment, slash, behind = rest.partition("/")
        kind = _kind(segment) if slash and behind else None
        if kind is None or kind in seen:
            break
        seen.add(kind)
        rest = behind
        _part(kind, segment, asked, edits)
    for call in sorted(calls, key=lambda call: call.name):
        _filter(call, edits, builder)
    try:
        return {**asked, "key": decoded(rest), "edits": edits}
    except UnicodeError:
        builder.wrong("key", "percent-encoded UTF-8", rest)
        return {"key": "", "edits": edits}


def _kind(segment: str) -> str | None:
    if segment == "fit-in":
        return segment
    forms = {"size": _SIZE, "crop": _CROP, "bucket": _BUCKET}
    return next((kind for kind, form in forms.items() if form.fullmatch(segment)), None)


def _part(kind: str, segment: str, asked: dict[str, Any], edits: Edits) -> None:
    if kind == "bucket":
        asked["bucket"] = segment.partition(":")[2]
    elif kind == "fit-in":
        _resize(edits, fit="inside")
    elif kind == "size":
        width, height = map(int, segment.split("x"))
        _resize(edits, width=width, height=height)
        if not (width and height):
            _resize(edits, fit="inside")
    else:
        left, top, right, bottom = map(int, re.findall("[0-9]+", segment))
        cut = {"left": left, "top": top, "width": right - left, "height": bottom - top}
        # First, as it is cut out of the original and not of what is resized.
        later = {name: edits.pop(name) for name in list(edits)}
        edits.update({"crop": cut, **later})


def read_query(pairs: Sequence[tuple[str, str]], edits: Edits, builder: RequestBuilder) -> None:
    """Put what the query says over ``edits``."""
    seen: set[str] = set()
    for name, value in pairs:
        if name in seen:
            builder.wrong(name, "one value", "two")
        seen.add(name)
        if name in {"fit", "width", "height"}:
            resize = edits.get("resize") or {}
            edits["resize"] = {**resize, name: value} if isinstance(resize, dict) else {name: value}
        elif name == "format":
            edits["toFormat"] = value
        elif name == "rotate":
            edits["rotate"] = value or None
        elif name in NAMES:
            edits["grayscale" if name == "greyscale" else name] = value
        elif name not in _IGNORED:
            builder.lacks(name, "one of " + ", ".join(sorted(NAMES)), value)


def _filter(call: Call, edits: Edits, builder: RequestBuilder) -> None:
    row = FILTERS.get(call.name)
    if row is None:
        builder.lacks(call.name, "one of " + ", ".join(sorted(FILTERS)), call.text)
        return
    least, most, edit, read = row
    given = () if call.arguments == ("",) else call.arguments
    if not least <= len(given) <= most:
        builder.wrong(call.name, f"{least} to {most} arguments", call.text)
        return
    builder.aliases[edit] = call.name
    read(given, edits)


def _resize(edits: Edits, **values: Any) -> None:
    edits["resize"] = {**edits.get("resize", {}), **values}


def _blur(given: Sequence[str], edits: Edits) -> None:
    if len(given) > 1 and given[1]:
        edits["blur"] = given[1]
    else:
        edits["blur"] = _times(given[0], 0.5)


def _sharpen(given: Sequence[str], edits: Edits) -> None:
    half = _times(given[1] if len(given) > 1 else "0", 0.5)
    edits["sharpen"] = 1 + half if isinstance(half, float) else half


def _times(text: str, factor: float) -> float | str:
    """A number times ``factor``, or what is none as it is, to be told."""
    return float(text) * factor if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) else text


def _rgb(given: Sequence[str], edits: Edits) -> None:
    channels = [_times(text, 2.55) for text in given]
    edits["tint"] = dict(zip("rgb", channels, strict=True))


def _convolution(given: Sequence[str], edits: Edits) -> None:
    kernel = given[0].split(";")
    height = len(kernel) / int(given[1]) if re.fullmatch(r"[1-9][0-9]{0,3}", given[1]) else given[1]
    edits["convolve"] = {"width": given[1], "height": height, "kernel": kernel}


def _watermark(given: Sequence[str], edits: Edits) -> None:
    bucket, key, left, top, alpha = given[:5]
    ratios = dict(zip(("wRatio", "hRatio"), given[5:], strict=False))
    edits["overlayWith"] = {
        "bucket": bucket,
        "key": key,
        "alpha": alpha,
        **ratios,
        "options": {"left": left, "top": top},
    }


def _stretch(given: Sequence[str], edits: Edits) -> None:
    del given
    if edits.get("resize", {}).get("fit") != "inside":
        _resize(edits, fit="fill")


def _quality(given: Sequence[str], edits: Edits) -> None:
    edits["quality"] = given[0]


def _smart_crop(given: Sequence[str], edits: Edits) -> None:
    names = ("faceIndex", "padding")
    edits["smartCrop"] = dict(zip(names, given, strict=False)) or True


def _set(edit: str, *, value: Any) -> Callable[[Sequence[str], Edits], None]:
    def read(given: Sequence[str], edits: Edits) -> None:
        edits[edit] = given[0] if given else value

    return read


# The least and the most arguments, the edit that its mistakes are found in, and what makes that edit.
FILTERS: dict[str, tuple[int, int, str, Callable[[Sequence[str], Edits], None]]] = {
    "animated": (0, 1, "animated", _set("animated", value=True)),
    "autojpg": (0, 0, "toFormat", _set("toFormat", value="jpeg")),
    "background_color": (
        1,
        1,
        "flatten.background",
        lambda given, edits: edits.update({"flatten": {"background": given[0]}}),
    ),
    "blur": (1, 2, "blur", _blur),
    "convolution": (2, 3, "convolve", _convolution),
    "equalize": (0, 0, "normalize", _set("normalize", value=True)),
    "fill": (
        1,
        2,
        "resize.background",
        lambda given, edits: _resize(edits, fit="contain", background=given[0]),
    ),
    "format": (1, 1, "toFormat", _set("toFormat", value=True)),
    "grayscale": (0, 0, "grayscale", _set("grayscale", value=True)),
    "no_upscale": (0, 0, "resize", lambda _, edits: _resize(edits, withoutEnlargement=True)),
    "proportion": (1, 1, "resize.ratio", lambda given, edits: _resize(edits, ratio=given[0])),
    "quality": (1, 1, "quality", _quality),
    "rgb": (3, 3, "tint", _rgb),
    "rotate": (1, 1, "rotate", _set("rotate", value=True)),
    "sharpen": (1, 3, "sharpen", _sharpen),
    "smart_crop": (0, 2, "smartCrop", _smart_crop),
    "stretch": (0, 0, "resize", _stretch),
    "strip_exif": (0, 0, "stripExif", _set("stripExif", value=True)),
    "strip_icc": (0, 0, "stripIcc", _set("stripIcc", value=True)),
    "upscale": (0, 0, "resize", lambda _, edits: _resize(edits, fit="inside")),
    "watermark": (5, 7, "overlayWith", _watermark),
}
