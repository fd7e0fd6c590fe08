"""Delivery, step 1: puts the operations of an imgix URL in imgix's order.

imgix adjusts the resized image, fills what is transparent, blends, masks, draws a border, pads, and at last
draws watermark and text. The fields of a transformation have one fixed order; where that is another one, what
follows becomes steps.
"""

from __future__ import annotations

from typing import Any

from image_processor.delivery.dialects.request_builder import RequestBuilder
from image_processor.domain.errors import InvalidTransformation
from image_processor.domain.transformation import MAX_STEPS, Overlay, Step

from .arguments import Arguments, Paint


class Composition:
    """What happens to the resized image, filled by the parts of the dialect in any order."""

    def __init__(self, arguments: Arguments) -> None:
        self.arguments = arguments
        self.fields: dict[str, Any] = {}
        """Fields that precede all others here: sizes and adjustments."""
        self.adjustments: list[Step] = []
        self.turning: bool = False
        """Whether steps that depend on the original's size precede all other steps."""
        self.behind: Paint | None = None
        """The colour behind the image and in bars."""
        self.patterns: list[Step] = []
        """What else lies behind the image."""
        self.blends: list[Step] = []
        self.masks: list[Step] = []
        self.mask_colour: Paint | None = None
        self.border: list[Step] = []
        self.padding: tuple[int, int, int, int] = (0, 0, 0, 0)
        self.layers: list[Overlay] = []

    def finish(self, builder: RequestBuilder) -> None:
        """Set the fields of ``builder``."""
        builder.values |= self.fields
        if self.has_steps:
            self._set_steps(builder)
        else:
            self._set_fields(builder)

    @property
    def has_steps(self) -> bool:
        """Whether anything but layers and padding becomes a step, so that all that follows does, too."""
        early = (*self.adjustments, *self.patterns, *self.blends, *self.masks, *self.border)
        return bool(early) or self.turning or self._is_translucent(self.behind)

    def _set_fields(self, builder: RequestBuilder) -> None:
        if self.behind is not None and self.behind.alpha:
            builder.values["background"] = self.behind.colour
        if any(self.padding):
            builder.values["padding"] = self.padding
        if any(self.padding) or builder.values.keys() & {"round", "ellipse"}:
            # Fields would draw overlays before the padding, and mask them.
            _set(builder, [Step("over", layer) for layer in self.layers])
        elif self.layers:
            builder.values["overlays"] = tuple(self.layers)

    def _set_steps(self, builder: RequestBuilder) -> None:
        steps = [*self.adjustments, *self.patterns]
        if self.behind is not None and self.behind.alpha:
            steps.append(self._behind(self.behind))
        steps += [*self.blends, *self.masks]
        if self.mask_colour is not None and self.mask_colour.alpha:
            steps.append(self._behind(self.mask_colour))
        steps += self.border
        if any(self.padding):
            colour = (self.behind.colour,) if self.behind is not None and self.behind.alpha else ()
            steps.append(Step("pad", (*self.padding, *colour)))
        _set(builder, [*steps, *(Step("over", layer) for layer in self.layers)])

    @staticmethod
    def _is_translucent(paint: Paint | None) -> bool:
        return paint is not None and 0 < paint.alpha < 1

    @staticmethod
    def _behind(paint: Paint) -> Step:
        return Step("bg", paint.colour) if paint.alpha == 1 else Step("behind", (paint.colour, paint.percent))


def _set(builder: RequestBuilder, steps: list[Step]) -> None:
    if len(steps) > MAX_STEPS:
        builder.add_error("the query", f"at most {MAX_STEPS} operations", len(steps))
    elif steps:
        builder.values["steps"] = tuple(steps)


def step(name: str, value: Any, parameter: str, arguments: Arguments) -> list[Step]:
    """A step in a list. For an invalid value it adds a problem with ``parameter``, and returns an empty
    list."""
    try:
        return [Step(name, value)]
    except InvalidTransformation as error:
        problem = error.problems[0]
        arguments.builder.add_error(parameter, problem.expected, arguments.text(parameter))
        return []
