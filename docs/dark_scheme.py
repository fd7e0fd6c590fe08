"""The colours of the diagrams in a dark scheme: each light colour has a dark one in its place.

A diagram is described once, in light colours; what is drawn for dark pages is the same with other colours. A
colour without a dark one is an error.
"""

from __future__ import annotations

import re
from dataclasses import replace

from canvas import Block, Drawing, Shape

DARK = {
    # words and borders
    "#1f2328": "#e6edf3",
    "#4d5560": "#b1bac4",
    "#57606a": "#a5b0bb",
    "#8c959f": "#768390",
    "#d0d7de": "#373e47",
    # grounds
    "#ffffff": "#161b22",
    "#f6f8fa": "#1c2128",
    "#eef4ff": "#182130",
    "#f1f6fd": "#182130",
    "#f1f8f0": "#18231c",
    "#f1f9f2": "#18231c",
    "#fdf5ef": "#271f18",
    "#dbe7ff": "#20304f",
    # services, paths and functions
    "#1f4f99": "#86b4f5",
    "#0969da": "#58a6ff",
    "#2e55b5": "#8caef5",
    "#1a7f37": "#57c76a",
    "#3f8624": "#7cc45f",
    "#bc4c00": "#f0883e",
    "#b85309": "#f0883e",
    "#bc1356": "#f778a8",
    "#7b3fb5": "#c79bf2",
    "#cf222e": "#ff8078",
}
_COLOUR = re.compile(r"#[0-9a-f]{6}")


def darkened_text(text: str) -> str:
    """SVG text in dark colours."""
    return _COLOUR.sub(lambda found: DARK[found[0]], text)


def darkened(drawing: Drawing) -> Drawing:
    return replace(
        drawing, ground=DARK[drawing.ground], shapes=tuple(_darkened(shape) for shape in drawing.shapes)
    )


def _darkened(shape: Shape) -> Shape:
    if isinstance(shape, Block):
        return replace(shape, fill=DARK[shape.fill], stroke=DARK[shape.stroke])
    return replace(shape, colour=DARK[shape.colour])
