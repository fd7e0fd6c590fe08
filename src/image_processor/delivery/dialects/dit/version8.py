"""Delivery, step 1: parses the query parameters of DIT's version 8, such as `resize.width`, into edits.

A parameter is a transformation, `blur=5`, or an option of one, `resize.width=300` or `resize[width]=300`.
Lists are written `[1,2,3]`. A transformation that version 8's schema refuses is ignored, as there. Source:
the schemas, parameters and tests of version 8.0.1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from image_processor.domain.transformation import Fit

Pairs = Sequence[tuple[str, str]]
Edits = dict[str, Any]

_OPTION = re.compile(r"([a-zA-Z]+)(?:\.([a-zA-Z0-9]+)|\[([a-zA-Z0-9]*)\])?(?:\[\])?")
_NUMBER = re.compile(r"[+-]?([0-9]{1,12}(\.[0-9]{0,12})?|\.[0-9]{1,12})")
_LIST = re.compile(r"\[[^\[\]]*\]|[^,\[\]]+")
_COLOUR = re.compile(r"[a-zA-Z]{3,20}|#(?:[0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})")
_FORMATS = frozenset({"jpeg", "png", "tiff", "webp", "gif", "avif"})
_FITS = frozenset(fit for fit in Fit if fit is not Fit.FILL_DOWN)
_MAX_SIDE = 4000


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool)


def _is_one_of(value: Any, names: Collection[str]) -> bool:
    return isinstance(value, str) and value in names


def _is_number(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _is_whole(value: Any, low: float, high: float = 10**6) -> bool:
    return _is_number(value, low, high) and float(value).is_integer()


def _is_colour(value: Any) -> bool:
    if isinstance(value, list):
        alpha = value[3:]
        channels = all(_is_whole(part, 0, 255) for part in value[:3])
        return len(value) in {3, 4} and channels and all(_is_number(part, 0, 1) for part in alpha)
    return isinstance(value, str) and _COLOUR.fullmatch(value) is not None


def _has(value: Any, options: Mapping[str, Callable[[Any], bool]]) -> bool:
    """Whether ``value`` is an object with some of ``options`` and no others."""
    return isinstance(value, dict) and all(
        name in options and options[name](item) for name, item in value.items()
    )


def _is_resize(value: Any) -> bool:
    sides = {side: lambda item: _is_whole(item, 1, _MAX_SIDE) for side in ("width", "height")}
    options = {
        **sides,
        "fit": lambda item: _is_one_of(item, _FITS),
        "background": _is_colour,
        "withoutEnlargement": _is_boolean,
        "ratio": lambda item: _is_number(item, 0, 1),
    }
    return _has(value, options) and any(value.get(name) for name in ("width", "height", "ratio"))


def _is_sharpen(value: Any) -> bool:
    whole = {name: lambda item: _is_whole(item, 0) for name in ("m1", "m2", "x1", "y2", "y3")}
    sigma = {"sigma": lambda item: _is_number(item, 0.000001, 10)}
    return _is_boolean(value) or (_has(value, {**sigma, **whole}) and "sigma" in value)


def _is_convolve(value: Any) -> bool:
    def is_kernel(kernel: Any) -> bool:
        return (
            isinstance(kernel, list)
            and len(kernel) == 9
            and all(_is_whole(part, -(10**6)) for part in kernel)
        )

    sides = {side: lambda item: _is_whole(item, 1) for side in ("width", "height")}
    return _has(value, {**sides, "kernel": is_kernel}) and len(value) == 3


def _is_smart_crop(value: Any) -> bool:
    options = {"index": lambda item: _is_whole(item, 0, 15), "padding": lambda item: _is_whole(item, 0)}
    return _is_boolean(value) or _has(value, options)


def _is_watermark(value: Any) -> bool:
    """A source, then offsets (the one from the top first), transparency and two shares of the sides."""
    if not isinstance(value, list) or len(value) != 2 or not isinstance(value[1], list):
        return False
    source, (*numbers,) = value
    shares = [part for part in numbers[2:] if part is not None]
    return (
        isinstance(source, str)
        and 4 <= len(numbers) <= 5
        and all(_is_whole(part, -(10**6)) or _is_percentage(part) for part in numbers[:2])
        and all(_is_number(part, 0, 1) for part in shares)
        and any(part is not None for part in numbers[3:])
    )


def _is_percentage(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,4}p", value) is not None


SCHEMAS: Mapping[str, Callable[[Any], bool]] = MappingProxyType(
    {
        "animated": _is_boolean,
        "blur": lambda value: _is_number(value, 0.3, 1000),
        "convolve": _is_convolve,
        "extract": lambda value: (
            isinstance(value, list) and len(value) == 4 and all(_is_whole(part, 0) for part in value)
        ),
        "flatten": _is_colour,
        "flip": _is_boolean,
        "flop": _is_boolean,
        "format": lambda value: _is_one_of(value, _FORMATS),
        "grayscale": _is_boolean,
        "normalize": _is_boolean,
        "quality": lambda value: _is_whole(value, 1, 100),
        "resize": _is_resize,
        "rotate": lambda value: _is_number(value, -(10**6), 10**6),
        "sharpen": _is_sharpen,
        "smartCrop": _is_smart_crop,
        "stripExif": _is_boolean,
        "stripIcc": _is_boolean,
        "tint": _is_colour,
        "watermark": _is_watermark,
    }
)
"""Every transformation, and whether a value is one of it."""

SHARED = frozenset({"format", "rotate", "flip", "flop", "grayscale"})
"""Those that version 7 has, too."""

OPTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "convolve": ("width", "height", "kernel"),
        "resize": ("width", "height", "fit", "background", "withoutEnlargement", "ratio"),
        "sharpen": ("sigma", "m1", "m2", "x1", "y2", "y3"),
        "smartCrop": ("index", "padding"),
    }
)
"""The options of transformations that have any."""


def is_own(name: str) -> bool:
    """Whether a query parameter is one of version 8 alone."""
    match = _OPTION.fullmatch(name)
    return match is not None and match[1] in SCHEMAS and match[1] not in SHARED


def is_nested(name: str) -> bool:
    """Whether a query parameter is an option of a transformation, such as `resize.width`."""
    match = _OPTION.fullmatch(name)
    return match is not None and match[1] in OPTIONS and (match[2] or match[3] or "") in OPTIONS[match[1]]


def edits_of(pairs: Pairs) -> Edits:
    """The edits of the parameters. With a crop or a watermark version 8 resizes last, else first."""
    values = {name: value for name, value in _grouped(pairs) if name in SCHEMAS and SCHEMAS[name](value)}
    resize = values.pop("resize", None)
    edits: Edits = {}
    for name, value in values.items():
        edits |= _READERS.get(name, lambda value, name=name: {name: value})(value)
    if resize is None:
        return edits
    is_late = "extract" in edits or "overlayWith" in edits
    return {**edits, "resize": resize} if is_late else {"resize": resize, **edits}


def _grouped(pairs: Pairs) -> Iterable[tuple[str, Any]]:
    groups: dict[str, Any] = {}
    for name, text in pairs:
        match = _OPTION.fullmatch(name)
        value = _typed(text)
        if match is None or value is None:
            continue
        base, option = match[1], match[2] or match[3]
        if name.endswith("[]"):  # a list, one parameter for each item
            items = groups.setdefault(base, {}) if option else groups
            if isinstance(items, dict):
                listed = items.get(option or base)
                items[option or base] = [*listed, value] if isinstance(listed, list) else [value]
        elif option:
            groups[base] = {**(groups[base] if isinstance(groups.get(base), dict) else {}), option: value}
        elif not isinstance(groups.get(base), dict):
            groups[base] = "jpeg" if (base, value) == ("format", "jpg") else value
    return groups.items()


def _typed(text: str) -> Any:
    """The JSON value that ``text`` is; None if it is empty."""
    if not text:
        return None
    if "," in text or text.startswith("["):
        inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
        return [_item(part.strip()) for part in _LIST.findall(inner)]
    return _item(text)


def _item(text: str) -> Any:
    if text in {"true", "false"}:
        return text == "true"
    if text.startswith("["):
        return [_item(part.strip()) for part in text[1:-1].split(",")]
    if not _NUMBER.fullmatch(text):
        return None if text == "null" else text
    number = float(text)
    return int(number) if number.is_integer() else number


def _extract(value: Sequence[float]) -> Edits:
    """The corners of the area; the schema calls the second one a size."""
    left, top, right, bottom = value
    return {"extract": {"left": left, "top": top, "width": right - left, "height": bottom - top}}


def _watermark(value: Sequence[Any]) -> Edits:
    source, (top, left, *more) = value
    alpha, across, down = (*more, None, None, None)[:3]
    host, _, key = re.sub(r"^[a-z][a-z0-9+.-]*://", "", source, flags=re.IGNORECASE).partition("/")
    shares = {"wRatio": _percent(across), "hRatio": _percent(down)}
    placed = {"left": left or 0, "top": top or 0}
    return {
        "overlayWith": {
            "bucket": host,
            "key": key,
            "alpha": _percent(alpha),
            **shares,
            "options": placed,
            "stretches": True,
        }
    }


def _percent(share: float | None) -> float | None:
    return None if not share else round(share * 100, 3)


_READERS: Mapping[str, Callable[[Any], Edits]] = MappingProxyType(
    {
        "extract": _extract,
        "flatten": lambda value: {"flatten": {"background": value}},
        "format": lambda value: {"toFormat": value},
        "smartCrop": lambda value: {"smartCrop": _face(value)},
        "watermark": _watermark,
    }
)


def _face(value: Any) -> Any:
    """The first face without padding is the default."""
    return True if isinstance(value, dict) and not any(value.values()) else value
