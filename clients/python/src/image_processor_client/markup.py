"""Writes `srcset`, `<img>` and `<picture>` for a key, without a request to the server.

Nothing is known of the original, so the server chooses the format by default (`fm=auto`): that preserves
transparency and animation. `Client.markup` asks the server, which knows the image.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from msgspec import Struct

from .canonical import Pairs, Value, canonical_pairs
from .tables import SCALED
from .urls import Expires, UrlBuilder

WIDTHS = (320, 640, 960, 1280, 1920, 2560)
"""The widths of an image with `sizes` and no widths of its own, in pixels."""

DENSITIES = (1, 2)
"""The device pixels for each CSS pixel that an image of a fixed width has renditions for."""

_MEDIA_TYPES = {"avif": "image/avif", "webp": "image/webp", "jxl": "image/jxl"}
"""Formats that some browsers lack, in the order in which `<picture>` offers them."""

_ATTRIBUTE = re.compile(r"[A-Za-z_:][A-Za-z0-9_.:-]*")


class Layout(Struct, frozen=True):
    """How wide an image is shown, and so which renditions it needs.

    With ``sizes`` or ``widths`` the browser chooses by its window's width; otherwise by its pixel density,
    for an image of the fixed width `w`. ``original``: width and height of the original in pixels, if known.
    Then no width beyond it is offered, and the page reserves the image's space.
    """

    widths: Sequence[int] = ()
    sizes: str | None = None
    densities: Sequence[float] = DENSITIES
    original: tuple[int, int] | None = None


FIXED = Layout()
"""For an image of a fixed width, whose original's size is not known."""


class _Candidate(Struct, frozen=True):
    """A rendition of a `srcset`: what it changes of the pairs, and its descriptor."""

    pairs: Pairs
    descriptor: str
    size: tuple[int | None, int | None]


class Element(Struct, frozen=True):
    """The parts of an `<img>`: ``src``, ``srcset`` (empty with one candidate only), and width and height of
    the image in CSS pixels, None where they are not known."""

    src: str
    srcset: str
    width: int | None
    height: int | None


def srcset(
    urls: UrlBuilder,
    key: str,
    transformation: str = "",
    /,
    *,
    layout: Layout = FIXED,
    expires: Expires | None = None,
    signed: bool | None = None,
    **parameters: Value,
) -> str:
    """The value of a `srcset` attribute, not escaped: `srcset(urls, "cat.jpg", layout=Layout([320, 640]))`.

    Raises as `UrlBuilder.url`, and ValueError for a layout that does not fit the parameters.
    """
    pairs = _with_format(canonical_pairs(transformation, parameters), "auto")
    return element(urls, key, pairs, layout, expires=expires, signed=signed).srcset


def img(  # noqa: PLR0913 - options
    urls: UrlBuilder,
    key: str,
    transformation: str = "",
    /,
    *,
    alt: str,
    layout: Layout = FIXED,
    attributes: Mapping[str, object] | None = None,
    expires: Expires | None = None,
    signed: bool | None = None,
    **parameters: Value,
) -> str:
    """An `<img>`: `img(urls, "cat.jpg", alt="A cat", w=640)`, or of any width:
    `img(urls, "cat.jpg", alt="A cat", layout=Layout(sizes="50vw"))`.

    ``alt`` is the alternative text, empty for a decoration. ``attributes`` are further ones; True stands for
    one without a value, None and False leave one out. Raises as `srcset`.
    """
    pairs = _with_format(canonical_pairs(transformation, parameters), "auto")
    parts = element(urls, key, pairs, layout, expires=expires, signed=signed)
    return _img(parts, alt, layout, attributes)


def picture(  # noqa: PLR0913 - options
    urls: UrlBuilder,
    key: str,
    transformation: str = "",
    /,
    *,
    alt: str,
    formats: Sequence[str] = ("avif", "webp"),
    layout: Layout = FIXED,
    attributes: Mapping[str, object] | None = None,
    expires: Expires | None = None,
    signed: bool | None = None,
    **parameters: Value,
) -> str:
    """A `<picture>` with a source for each of ``formats``, for a CDN that cannot vary by `Accept`. Its
    `<img>` has the format of ``parameters``, or leaves it to the server. Raises as `img`."""
    pairs = canonical_pairs(transformation, parameters)
    lines = []
    for name in formats:
        if name not in _MEDIA_TYPES:
            raise ValueError(f"expected some of {', '.join(_MEDIA_TYPES)} for formats, got {name!r}")
        of_format = (*(pair for pair in pairs if pair[0] != "fm"), ("fm", name))
        parts = element(urls, key, of_format, layout, expires=expires, signed=signed)
        source = {"type": _MEDIA_TYPES[name], "srcset": parts.srcset or parts.src, "sizes": layout.sizes}
        lines.append(_tag("source", source))
    fallback = element(urls, key, _with_format(pairs, "auto"), layout, expires=expires, signed=signed)
    lines.append(_img(fallback, alt, layout, attributes))
    return "\n".join(["<picture>", *(f"  {line}" for line in lines), "</picture>"])


def element(
    urls: UrlBuilder,
    key: str,
    pairs: Pairs,
    layout: Layout,
    *,
    expires: Expires | None = None,
    signed: bool | None = None,
) -> Element:
    """The parts of an `<img>` for canonical pairs."""

    def url(of_candidate: Pairs) -> str:
        text = ",".join(f"{name}={value}" for name, value in of_candidate)
        return urls.url(key, text, expires=expires, signed=signed)

    candidates = list(_candidates(pairs, layout))
    if not candidates:
        return Element(url(pairs), "", *_css_size(pairs, layout))
    shown = candidates[-1] if _by_width(layout) else candidates[0]
    listed = ", ".join(f"{url(item.pairs)} {item.descriptor}" for item in candidates)
    return Element(url(shown.pairs), listed if len(candidates) > 1 else "", *shown.size)


def _by_width(layout: Layout) -> bool:
    return bool(layout.widths or layout.sizes is not None)


def _candidates(pairs: Pairs, layout: Layout) -> Iterator[_Candidate]:
    """The candidates in ascending order; none if the parameters name no width to multiply."""
    if _by_width(layout):
        yield from _width_candidates(pairs, layout)
    elif _pixels(pairs, "w") is not None and not any(name == "dpr" for name, _ in pairs):
        size = _css_size(pairs, layout)
        for density in sorted(set(layout.densities)):
            yield _Candidate(_dense(pairs, density), f"{density:g}x", size)


def _width_candidates(pairs: Pairs, layout: Layout) -> Iterator[_Candidate]:
    width, height = _pixels(pairs, "w"), _pixels(pairs, "h")
    if height is not None and width is None:
        raise ValueError("expected w beside h for renditions of several widths, got h alone")
    most = layout.original[0] if layout.original else None
    shown = sorted({min(one, most) if most else one for one in layout.widths or WIDTHS})
    for one in shown:
        changed: dict[str, str] = {"w": str(one)}
        scaled = None
        if height is not None and width is not None:
            scaled = max(1, round(one * height / width))
            changed["h"] = str(scaled)
        elif layout.original and not _changes_shape(pairs):
            scaled = max(1, round(one * layout.original[1] / layout.original[0]))
        yield _Candidate(_replaced(pairs, changed), f"{one}w", (one, scaled))


def _css_size(pairs: Pairs, layout: Layout) -> tuple[int | None, int | None]:
    """The width and height of an image of a fixed width in CSS pixels, as far as they are known."""
    width, height = _pixels(pairs, "w"), _pixels(pairs, "h")
    if width and height is None and layout.original and not _changes_shape(pairs):
        return width, max(1, round(width * layout.original[1] / layout.original[0]))
    return width, height


_SHAPING = frozenset({"ar", "rect", "trim", "rot", "orient", "pad", "then", "preset", "fit", "min-h", "zoom"})


def _changes_shape(pairs: Pairs) -> bool:
    """Whether the rendition may have other proportions than the original."""
    return any(name in _SHAPING for name, _ in pairs)


def _dense(pairs: Pairs, density: float) -> Pairs:
    if density == 1:
        return pairs
    if any(name in SCALED for name, _ in pairs):
        return (*pairs, ("dpr", f"{density:g}"))  # the server multiplies every length
    sides = {name: _pixels(pairs, name) for name in ("w", "h")}
    return _replaced(pairs, {name: str(round(side * density)) for name, side in sides.items() if side})


def _replaced(pairs: Pairs, changed: Mapping[str, str]) -> Pairs:
    return (*(pair for pair in pairs if pair[0] not in changed), *changed.items())


def _with_format(pairs: Pairs, format_: str) -> Pairs:
    return pairs if any(name == "fm" for name, _ in pairs) else (*pairs, ("fm", format_))


def _pixels(pairs: Pairs, name: str) -> int | None:
    value = dict(pairs).get(name, "")
    return int(value) if value.isascii() and value.isdigit() else None


def _img(parts: Element, alt: str, layout: Layout, attributes: Mapping[str, object] | None) -> str:
    own: dict[str, object] = {
        "src": parts.src,
        "srcset": parts.srcset or None,
        "sizes": (layout.sizes or "100vw") if parts.srcset and _by_width(layout) else None,
        "width": parts.width,
        "height": parts.height,
        "alt": alt,
    }
    return _tag("img", {**own, **(attributes or {})})


def _tag(name: str, attributes: Mapping[str, object]) -> str:
    return f"<{name}" + "".join(_attribute(key, value) for key, value in attributes.items()) + ">"


def _attribute(name: str, value: object) -> str:
    if not _ATTRIBUTE.fullmatch(name):
        raise ValueError(f"expected the name of an attribute, got {name!r}")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
