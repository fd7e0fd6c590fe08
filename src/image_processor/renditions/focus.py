"""The focus of an original: the point that a person has set, which crops with `g=focus` keep in the centre.

It is a source of the renditions that use it, like an overlay image: it is part of their fingerprints, and not
of their names. The engine does not know it: it gets a focal point instead.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import replace

from image_processor.domain.geometry import Size
from image_processor.domain.hashing import sha256_hex
from image_processor.domain.models import Focus, Record, RenderedImage
from image_processor.domain.ports import OriginalFile
from image_processor.domain.rounding import DECIMALS
from image_processor.domain.transformation import Flip, Gravity, Length, RelativeLength, Transformation

_OUTSIDE = -1.0
_CHUNK = 1 << 20


def uses_focus(transformations: Iterable[Transformation]) -> bool:
    """Whether one of them crops around the focus."""
    return any(item.gravity is Gravity.FOCUS for item in transformations)


def size_of(record: Record | None) -> Size | None:
    """The size of the upright original; None if it is not known."""
    original = record.original if record else None
    return Size(original.width, original.height) if original else None


def with_focus(transformation: Transformation, focus: Focus | None, original: Size | None) -> Transformation:
    """The transformation that the engine renders for an upright ``original`` of this size (None if not
    known).

    The gravity becomes ATTENTION if there is no focus, or if its place in the cropped image is not known:
    after `trim`, with `orient=0`, after rotations by other than right angles, and where `rect` leaves it out.
    """
    if transformation.gravity is not Gravity.FOCUS:
        return transformation
    point = None if focus is None else _in_source(transformation, focus, original)
    if point is None:
        return replace(transformation, gravity=Gravity.ATTENTION)
    return replace(transformation, gravity=Gravity.CENTRE, focal_point=point)


class FocusedPlan:
    """What the engine renders for some transformations of the original ``body``, and the transformations that
    each result stands for."""

    def __init__(
        self, transformations: Sequence[Transformation], record: Record, body: bytes | OriginalFile
    ) -> None:
        focus, size = None, None
        if record.focus is not None and uses_focus(transformations):
            # The record may be that of another file.
            focus = record.focus if _digest(body) == record.focus.sha256 else None
            size = size_of(record)
        self._sources: dict[Transformation, list[Transformation]] = {}
        for item in transformations:
            self._sources.setdefault(with_focus(item, focus, size), []).append(item)
        self.rendered = tuple(self._sources)

    def restore(self, image: RenderedImage, write: Callable[[RenderedImage], None]) -> None:
        """Call ``write`` with ``image`` as each transformation that it is the result of."""
        for item in self._sources[image.transformation]:
            write(replace(image, transformation=item))


def _digest(body: bytes | OriginalFile) -> str:
    if isinstance(body, bytes):
        return sha256_hex(body)
    digest, start = hashlib.sha256(), 0
    while chunk := os.pread(body.descriptor, _CHUNK, start):
        digest.update(chunk)
        start += len(chunk)
    return digest.hexdigest()


def _in_source(
    transformation: Transformation, focus: Focus, original: Size | None
) -> tuple[float, float] | None:
    """The focus as fractions of the image that is cropped; None if it is not known or outside."""
    if transformation.trim is not None or transformation.rotate % 90 or not transformation.orient:
        return None
    x, y = focus.x, focus.y
    if transformation.region is not None:
        left, top, width, height = transformation.region
        x = _within(x, left, width, original.width if original else None)
        y = _within(y, top, height, original.height if original else None)
    for _ in range(int(transformation.rotate % 360) // 90):
        x, y = 1 - y, x
    if transformation.flip in {Flip.HORIZONTAL, Flip.BOTH}:
        x = 1 - x
    if transformation.flip in {Flip.VERTICAL, Flip.BOTH}:
        y = 1 - y
    return (round(x, DECIMALS), round(y, DECIMALS)) if 0 <= x <= 1 and 0 <= y <= 1 else None


def _within(position: float, start: Length, length: Length, side: int | None) -> float:
    """A position on the side, as a fraction of the part that begins at ``start``. The part ends with the side
    at the latest. _OUTSIDE if the part is not known."""
    first, part = _fraction(start, side), _fraction(length, side)
    if first is None or part is None or first >= 1:
        return _OUTSIDE
    return (position - first) / min(part, 1 - first)


def _fraction(length: Length, side: int | None) -> float | None:
    if isinstance(length, RelativeLength):
        return length.of_side
    return length / side if side else None
