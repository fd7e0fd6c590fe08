"""Lengths of an SVG as CSS defines them, written into the document before librsvg draws it.

libvips lets librsvg take an inch as 72 pixels, and refuses a drawing whose size is less than a pixel or too
large to draw; the size of one without any is that of what is drawn.
"""

from __future__ import annotations

import re

from image_processor.domain.formats import svg_root

_DEFAULT = (300.0, 150.0)
"""Width and height of a drawing without any, and the box of one whose size cannot be drawn: CSS Images 3,
5.1, as in browsers."""

_MAX_PIXELS = 100_000_000
_MIN_SIDE = 0.5

_PIXELS = {b"in": 96.0, b"cm": 96 / 2.54, b"mm": 96 / 25.4, b"q": 96 / 101.6, b"pt": 96 / 72, b"pc": 16.0}
"""CSS Values 4, 6.2."""

_NUMBER = rb"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_ABSOLUTE = re.compile(
    rb"(?<=[\s:=\"'(,])(" + _NUMBER + rb")(in|cm|mm|q|pt|pc)(?=[\s;,\"')!}]|\Z)", re.IGNORECASE
)
_TAG_OR_STYLE = re.compile(rb"<[^<>!?][^<>]*>|(?<=>)[^<>]*(?=</style)")
_ROOT_TAG = re.compile(rb"<svg(?:\s+[^\s=>/]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*", re.IGNORECASE)
_ATTRIBUTE = rb"\s%s\s*=\s*(?:\"([^\"]*)\"|'([^']*)')"


def normalised(data: bytes) -> bytes:
    """The same drawing, with absolute lengths in pixels and a natural size between half a pixel and 100
    megapixels. Unchanged where it cannot be read, for librsvg to refuse."""
    if _ABSOLUTE.search(data):
        data = _TAG_OR_STYLE.sub(lambda found: _ABSOLUTE.sub(_in_pixels, found[0]), data)
    at = svg_root(data)
    root = _ROOT_TAG.match(data, at) if at is not None else None
    if root is None:
        return data
    tag = _sized(root[0])
    return data if tag is root[0] else data[: root.start()] + tag + data[root.end() :]


def _in_pixels(found: re.Match[bytes]) -> bytes:
    return b"%.10gpx" % (float(found[1]) * _PIXELS[found[2].lower()])


def _sized(tag: bytes) -> bytes:
    """The root's tag with a width and a height; ``tag`` itself where librsvg finds them too."""
    width, height = _length(tag, b"width"), _length(tag, b"height")
    view_box = _view_box(tag)
    if width is _UNKNOWN or height is _UNKNOWN:
        return tag
    sides = _natural_size(width, height, view_box)
    if _is_drawable(*sides):
        has_size = view_box is not None or (width is not None and height is not None)
        return tag if has_size else _with_attributes(tag, width=sides[0], height=sides[1])
    if min(sides) <= 0:
        return tag  # It draws nothing.
    scale = min(_DEFAULT[0] / sides[0], _DEFAULT[1] / sides[1])
    fitted = _with_attributes(tag, width=sides[0] * scale, height=sides[1] * scale)
    return fitted if view_box else fitted + b' viewBox="0 0 %.10g %.10g"' % sides


_UNKNOWN = -1.0


def _length(tag: bytes, name: bytes) -> float | None:
    """In pixels; None if there is none or a percentage; _UNKNOWN in other units."""
    found = re.search(_ATTRIBUTE % name, tag)
    text = (found[1] or found[2] or b"").strip().lower() if found else b""
    if not text or text.endswith(b"%") or text == b"auto":
        return None
    number = re.fullmatch(rb"(" + _NUMBER + rb")(?:px)?", text)
    return max(float(number[1]), 0.0) if number else _UNKNOWN


def _view_box(tag: bytes) -> tuple[float, float] | None:
    found = re.search(_ATTRIBUTE % b"viewBox", tag)
    numbers = re.findall(_NUMBER, (found[1] or found[2] or b"") if found else b"")
    if len(numbers) != 4 or min(float(numbers[2]), float(numbers[3])) <= 0:
        return None
    return float(numbers[2]), float(numbers[3])


def _natural_size(
    width: float | None, height: float | None, view_box: tuple[float, float] | None
) -> tuple[float, float]:
    if view_box is None:
        return (_DEFAULT[0] if width is None else width), (_DEFAULT[1] if height is None else height)
    if width is None and height is None:
        return view_box
    ratio = view_box[0] / view_box[1]
    if width is None:
        assert height is not None
        return height * ratio, height
    return width, width / ratio if height is None else height


def _is_drawable(width: float, height: float) -> bool:
    return min(width, height) >= _MIN_SIDE and width * height <= _MAX_PIXELS


def _with_attributes(tag: bytes, **pixels: float) -> bytes:
    for name, value in pixels.items():
        attribute = b' %s="%.10g"' % (name.encode(), value)
        pattern = re.compile(_ATTRIBUTE % name.encode())
        tag = pattern.sub(attribute, tag, count=1) if pattern.search(tag) else tag + attribute
    return tag
