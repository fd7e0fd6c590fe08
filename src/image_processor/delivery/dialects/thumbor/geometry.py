"""Delivery, step 2: thumbor's filters in the order of the URL, once the original's size is known.

thumbor crops, resizes and flips, then applies its filters one after the other to the result. Where their
order or the size before them matters, they become steps. Source: thumbor's documentation, "Filters", and what
thumbor 7.8 does with the URLs of `tests/delivery/vectors/thumbor.json`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from msgspec import Struct

from image_processor.delivery.source_crop import source_size
from image_processor.domain.geometry import Size, place
from image_processor.domain.models import ImageMetadata
from image_processor.domain.transformation import MAX_SIDE, Backdrop, Step, Transformation


class Filter(Struct, frozen=True):
    """A filter whose effect depends on the size or on its place: its name and its values."""

    name: str
    values: tuple[Any, ...] = ()


class FilterChain(Struct, frozen=True):
    """The filters of one URL in their order.

    ``width`` and ``height`` are those of the URL, 0 where free; ``own_width`` and ``own_height`` say that
    they are the original's. ``fit`` is the part before them: empty, `fit-in`, `full-fit-in` and so on.
    """

    filters: Sequence[Filter]
    width: int = 0
    height: int = 0
    own_width: bool = False
    own_height: bool = False
    fit: str = ""

    def apply(
        self, values: Mapping[str, Any], original: ImageMetadata, format_: str | None
    ) -> Mapping[str, Any]:
        """The fields for ``original``, with the filters as steps."""
        del format_
        source = source_size(values, original)
        asked = [
            source.width if self.own_width else self.width,
            source.height if self.own_height else self.height,
        ]
        if self._is_swapped(source, asked):
            asked.reverse()
        values = _sized(values, asked)
        fields = {name: values[name] for name in _SIZE_FIELDS if name in values}
        size = place(source, Transformation(**fields)).output
        if self.fit and size != source:
            asked = [max(asked[0], size.width), max(asked[1], size.height)]
        steps: list[Step] = []
        for step in self.filters:
            made = _step(step, size, Size(asked[0] or size.width, asked[1] or size.height), asked)
            steps += made
            size = _size_after(size, made)
        return {**values, "steps": tuple(steps)}

    def _is_swapped(self, source: Size, asked: Sequence[int]) -> bool:
        if not self.fit.startswith("adaptive-") or not all(asked):
            return False
        return (source.width < source.height and asked[0] > asked[1]) or (
            source.width > source.height and asked[0] < asked[1]
        )


def _sized(values: Mapping[str, Any], asked: Sequence[int]) -> Mapping[str, Any]:
    sides = {
        side: min(length, MAX_SIDE) for side, length in zip(("width", "height"), asked, strict=True) if length
    }
    return {name: value for name, value in values.items() if name not in {"width", "height"}} | sides


_SIZE_FIELDS = ("width", "height", "fit", "enlarge")


def _step(step: Filter, size: Size, target: Size, asked: Sequence[int]) -> list[Step]:
    """The steps of one filter for an image of ``size``; ``target`` is the size that the URL asks for."""
    name, values = step.name, step.values
    if name == "fill":
        left, top = (target.width - size.width) // 2, (target.height - size.height) // 2
        place_ = (target.width, target.height, left, top)
        if isinstance(values[0], Backdrop):
            return [Step("backdrop", (*place_, values[0]))]
        colour = () if values[0] is None else (values[0],)
        flattened = [Step("bg", values[0])] if values[1] and values[0] is not None else []
        return [*flattened, Step("canvas", (*place_, *colour))]
    if name == "upscale":
        return _upscale(size, asked)
    if name == "proportion":
        scaled = [int(side * Fraction(str(values[0]))) for side in (size.width, size.height)]
        return [Step("resize", tuple(scaled))] if min(scaled) >= 1 else []
    return [Step(name, value) for value in values]


def _upscale(size: Size, asked: Sequence[int]) -> list[Step]:
    width, height = asked
    if not (width and height) or size.width >= width or size.height >= height:
        return []
    if size.width * height >= size.height * width:
        larger = (width, int(Fraction(size.height * width, size.width)))
    else:
        larger = (int(Fraction(size.width * height, size.height)), height)
    return [Step("resize", (max(1, larger[0]), max(1, larger[1])))]


def _size_after(size: Size, steps: Sequence[Step]) -> Size:
    for step in steps:
        if step.new_sides:
            size = Size(*step.new_sides)
        elif step.name == "rotate" and round(step.value[0] / 90) % 2:
            size = size.turned()
    return size


def blur_sigma(radius: int, sigma: float) -> float:
    """The standard deviation of the kernel of thumbor's `blur`: a Gaussian of ``sigma`` that is cut off at
    ``radius`` pixels, at most 150."""
    reach = min(radius, 150)
    weights = [(x * x, math.exp(-(x * x) / (2 * sigma * sigma))) for x in range(-reach, reach + 1)]
    total = sum(weight for _, weight in weights)
    return float((sum(square * weight for square, weight in weights) / total) ** 0.5)
