"""Writes thumbor's URLs of transformations: the inverse of `dialect`, for what thumbor has too."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from urllib.parse import quote

from image_processor.delivery.dialects.inverse_values import Values
from image_processor.domain.models import ImageMetadata

_KNOWN = frozenset({
    "w", "h", "fit", "g", "fp", "enlarge", "rot", "flip", "bg", "blur", "grey", "round", "frame", "trim",
    "trim-last", "rect", "max-bytes", "soft", "q", "fm",
})  # fmt: skip
_FITS = {"cover": "", "inside": "fit-in/", "outside": "full-fit-in/", "fill": ""}
_REACH = 4
"""Standard deviations after which thumbor's blur may be cut off without a difference."""


def thumbor_paths(key: str, values: Values, original: ImageMetadata) -> Iterator[str]:
    """Candidates for the original ``key``."""
    if values.has_others(_KNOWN) or values.get("fit") not in _FITS:
        return
    # thumbor turns after it has resized, so its sizes are those before the turn.
    turned = _degrees(values) % 180 == 90
    width, height = values.get("w"), values.get("h")
    size = (height, width) if turned else (width, height)
    for gravity in _gravities(values.get("g")):
        parts = [*_before(values), _FITS[values.get("fit")] + _size(size, _flip(values)), *gravity]
        filters = "filters:" + ":".join(_filters(values, original))
        yield "/" + "/".join(["unsafe", *filter(None, parts), filters, quote(key)])


def _degrees(values: Values) -> int:
    text = values.get("rot")
    return int(text) % 360 if text.lstrip("-").isdigit() else 0


def _flip(values: Values) -> str:
    """A half turn is two flips, which have a place in the URL before the filters."""
    return "hv" if _is_half_turn(values) else values.get("flip")


def _is_half_turn(values: Values) -> bool:
    return _degrees(values) == 180 and not values.get("flip")


def _before(values: Values) -> Iterator[str]:
    if values.get("trim"):
        corner = "bottom-right" if values.get("trim-last") == "1" else "top-left"
        # The parser divides by the square root of three, and rounds down.
        yield f"trim:{corner}:{-int(-float(values.get('trim')) * 3**0.5 // 1)}"
    if values.get("rect"):
        x, y, width, height = values.get("rect").split(":")
        if all(part.isdigit() for part in (x, y, width, height)):
            yield f"{x}x{y}:{int(x) + int(width)}x{int(y) + int(height)}"


def _size(size: tuple[str, str], flip: str) -> str:
    width, height = size
    if not (width or height or flip):
        return ""
    flop, flap = "-" if "h" in flip else "", "-" if "v" in flip else ""
    return f"{flop}{width or 0}x{flap}{height or 0}"


def _gravities(gravity: str) -> Iterator[list[str]]:
    if gravity == "attention":
        yield ["smart"]
        return
    if gravity == "centre":
        yield []
        return
    # A turned or flipped image has another side: which one, the parser knows.
    for across, along in product(("", "left", "right"), ("", "top", "bottom")):
        yield [across, along]


def _filters(values: Values, original: ImageMetadata) -> Iterator[str]:
    is_sized = bool(values.get("w") or values.get("h"))
    degrees, fit = _degrees(values), values.get("fit")
    possible = (
        (values.get("frame") == "1", "cover()"),
        (fit == "fill", "stretch()"),
        (is_sized and fit != "inside" and values.get("enlarge") != "1", "no_upscale()"),
        (values.get("fp"), _focal(values.get("fp"), original)),
        (
            degrees and not _is_half_turn(values),
            f"rotate({degrees if values.get('flip') in {'h', 'v'} else -degrees % 360})",
        ),
        (values.get("blur"), _blur(values.get("blur"))),
        (values.get("grey") == "1", "grayscale()"),
        (values.get("round"), f"round_corner({values.get('round')},0,0,0,1)"),
        (values.get("bg"), f"background_color({values.get('bg')})"),
        (values.get("soft") == "1", f"max_bytes({values.get('max-bytes')})"),
        ("q" in values.texts, f"quality({values.get('q')})"),
        (True, f"format({values.get('fm')})"),
    )
    return (text for condition, text in possible if condition)


def _blur(sigma: str) -> str:
    return f"blur({max(1, round(float(sigma or 0) * _REACH))},{sigma})"


def _focal(point: str, original: ImageMetadata) -> str:
    x, y = (float(part) for part in (point or "0:0").split(":"))
    left, top = round(x * original.width), round(y * original.height)
    return f"focal({left}x{top}:{left}x{top})"
