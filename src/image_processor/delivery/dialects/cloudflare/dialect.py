"""Delivery, step 1: parses URLs of Cloudflare's image transformations,
`cdn-cgi/image/width=300,fit=cover/photos/cat.jpg`.

They have no signatures: an unsigned one gets what a public preset declares.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Self

from msgspec import Struct

from image_processor.delivery.dialects import CERTAIN, DialectOptions
from image_processor.delivery.dialects.request_builder import RequestBuilder, clamp, normalise
from image_processor.delivery.request import RenditionRequest
from image_processor.delivery.url.parser import check_length
from image_processor.domain.keys import percent_decode
from image_processor.domain.transformation import WHITE, Fit, Flip, Gravity

from .trim import NAMES as TRIMS
from .trim import read_trim

_START = "cdn-cgi/image/"
_MAX_SIDE = 16_383
_POINT = re.compile(r"([01](?:\.[0-9]{1,6})?|\.[0-9]{1,6})x([01](?:\.[0-9]{1,6})?|\.[0-9]{1,6})")
_SHORT_NAMES = {"w": "width", "h": "height", "q": "quality", "f": "format", "g": "gravity"}
_FITS: Mapping[str, Mapping[str, Any]] = {
    "scale-down": {"fit": Fit.INSIDE},
    "contain": {"fit": Fit.INSIDE, "enlarge": True},
    "cover": {"fit": Fit.COVER, "enlarge": True},
    "crop": {"fit": Fit.COVER},
    "pad": {"fit": Fit.CONTAIN, "enlarge": True, "background": WHITE},
    "squeeze": {"fit": Fit.FILL, "enlarge": True},
}
_GRAVITIES = {
    "auto": Gravity.ATTENTION,
    "face": Gravity.FACES,
    "left": Gravity.WEST,
    "right": Gravity.EAST,
    "top": Gravity.NORTH,
    "bottom": Gravity.SOUTH,
    "center": Gravity.CENTRE,
}
_FLIPS = {"h": Flip.HORIZONTAL, "v": Flip.VERTICAL, "hv": Flip.BOTH, "vh": Flip.BOTH}
_QUALITIES = {"high": 90, "medium-high": 80, "medium-low": 60, "low": 40}

OptionReader = Callable[[str, RequestBuilder], None]
"""Applies the value of an option to a builder."""


class Cloudflare(Struct, frozen=True):
    """The Cloudflare dialect. ``lenient`` and ``buckets`` as for `RequestBuilder`."""

    lenient: bool = False
    buckets: frozenset[str] = frozenset()

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], options: DialectOptions) -> Self:
        """The dialect as the settings configure it."""
        del settings
        return cls(options.lenient, options.buckets)

    @property
    def name(self) -> str:
        return "cloudflare"

    def matches(self, path: str, query: str) -> int:
        """Whether the path begins with Cloudflare's prefix."""
        del query
        return CERTAIN if path.startswith(_START) else 0

    def parse(self, path: str, query: str, *, now: float) -> RenditionRequest:
        """Parse the URL; the query is ignored. Raises InvalidRequest."""
        del now
        check_length(path, query)
        builder = RequestBuilder(lenient=self.lenient, buckets=self.buckets)
        options, _, key = path.removeprefix(_START).partition("/")
        # The size is an upper limit that nothing is enlarged to, unless a fit says otherwise.
        trims: dict[str, str] = {}
        for pair in sorted(filter(None, options.split(",")), key=lambda pair: not pair.startswith("fit=")):
            name, _, value = pair.partition("=")
            name = _SHORT_NAMES.get(name, name)
            read = OPTIONS.get(name)
            if name in TRIMS:
                trims[name] = value
            elif read is None:
                builder.unsupported(name, "one of " + ", ".join((*OPTIONS, "trim")), pair)
            else:
                read(value, builder)
        read_trim(trims, builder)
        if {"width", "height"} & builder.values.keys():
            builder.values.setdefault("fit", Fit.INSIDE)
        return builder.build(_key(key, builder), signed=False)

    def error_body(self, status: int, code: str, message: str) -> tuple[str, str] | None:
        """None: Cloudflare's error responses are for people."""
        del status, code, message
        return None


def _key(text: str, builder: RequestBuilder) -> str:
    try:
        return builder.parse_key(percent_decode(text), "the key") or ""
    except UnicodeError:
        builder.add_error("the key", "percent-encoded UTF-8", text)
        return ""


def _side(field: str) -> OptionReader:
    def read(value: str, builder: RequestBuilder) -> None:
        side = builder.integer(value, field, 1, _MAX_SIDE)
        builder.values.update({} if side is None else {field: side})

    return read


def _one_of(name: str, fields: Mapping[str, Mapping[str, Any]]) -> OptionReader:
    def read(value: str, builder: RequestBuilder) -> None:
        if value in fields:
            builder.values.update(fields[value])
        else:
            builder.add_error(name, " | ".join(fields), value)

    return read


def _gravity(value: str, builder: RequestBuilder) -> None:
    point = _POINT.fullmatch(value)
    if point is not None:
        builder.set_field(
            "focal_point", tuple(clamp(float(part), 0, 1) for part in point.groups()), "gravity"
        )
    elif value in _GRAVITIES:
        builder.values["gravity"] = _GRAVITIES[value]
    else:
        builder.add_error("gravity", " | ".join((*_GRAVITIES, "XxY such as 0.5x0.2")), value)


def _quality(value: str, builder: RequestBuilder) -> None:
    quality = _QUALITIES.get(value) or builder.integer(value, "quality", 1, 100)
    builder.values.update({} if quality is None else {"quality": quality})


def _format(value: str, builder: RequestBuilder) -> None:
    if value == "baseline-jpeg":
        builder.set_format("jpeg", "format")
    else:
        builder.set_format(value, "format", automatic=("auto",))


def _number(name: str, field: str, low: float, high: float) -> OptionReader:
    """Sets ``field`` to a number; 0 means none."""

    def read(value: str, builder: RequestBuilder) -> None:
        number = builder.number(value, name, low, high)
        if number:
            builder.set_field(field, number, name)

    return read


def _factor(field: str) -> OptionReader:
    """A factor of which 1 changes nothing, as percent."""

    def read(value: str, builder: RequestBuilder) -> None:
        factor = builder.number(value, field, 0, 2)
        builder.values.update({} if factor is None else {field: normalise(100 * factor - 100)})

    return read


def _sharpen(value: str, builder: RequestBuilder) -> None:
    amount = builder.number(value, "sharpen", 0, 10)
    if amount:
        builder.values["sharpen"] = (1, clamp(amount, 0.1, 10))


def _background(value: str, builder: RequestBuilder) -> None:
    try:
        colour = builder.colour(percent_decode(value), "background")
    except UnicodeError:
        builder.add_error("background", "percent-encoded UTF-8", value)
        return
    builder.values.update({} if colour is None else {"background": colour})


def _animation(value: str, builder: RequestBuilder) -> None:
    if builder.flag(value, "anim") is False:
        builder.values["frame"] = 1


def _no_effect(value: str, builder: RequestBuilder) -> None:
    """An option without effect on the picture."""


OPTIONS: dict[str, OptionReader] = {
    "fit": _one_of("fit", _FITS),
    "width": _side("width"),
    "height": _side("height"),
    "dpr": _number("dpr", "dpr", 0.1, 10),
    "gravity": _gravity,
    "quality": _quality,
    "format": _format,
    "anim": _animation,
    "background": _background,
    "blur": _number("blur", "blur", 0, 250),
    "brightness": _factor("brightness"),
    "contrast": _factor("contrast"),
    "saturation": _factor("saturation"),
    "gamma": _number("gamma", "gamma", 0, 10),
    "rotate": _one_of("rotate", {str(degrees): {"rotate": degrees} for degrees in (0, 90, 180, 270)}),
    "flip": _one_of("flip", {name: {"flip": flip} for name, flip in _FLIPS.items()}),
    "sharpen": _sharpen,
    "compression": _no_effect,
    "metadata": _no_effect,
    "onerror": _no_effect,
    "slow-connection-quality": _no_effect,
}
