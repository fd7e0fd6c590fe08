"""Dialects: where a watermark lies and how large it is, as thumbor and DIT write it."""

from __future__ import annotations

import re

from image_processor.domain.transformation import Gravity, RelativeLength

from .request_builder import RequestBuilder

_PLACE = re.compile(r"(-?)([0-9]{1,5}(?:\.[0-9]{1,6})?)(p?)")

Place = tuple[str, int | RelativeLength]
"""From which side (`start`, `end`, `centre`, `repeat`), and how far from it."""


def place(text: str, name: str, builder: RequestBuilder) -> Place | None:
    """Where an overlay lies along one side: pixels, `p` for percent, negative from the far end."""
    if text in {"center", "repeat"}:
        return ("centre" if text == "center" else "repeat"), 0
    match = _PLACE.fullmatch(text)
    if match is None or (match[3] and float(match[2]) > 100):
        builder.wrong(name, "pixels, a percentage such as 20p, center or repeat for its place", text)
        return None
    far = RelativeLength(round(float(match[2]) / 100, 3)) if match[3] else min(round(float(match[2])), 16_383)
    return ("end" if match[1] else "start"), far


def position_fields(x: Place, y: Place) -> dict[str, object]:
    """The fields of an overlay that lies there."""
    if "repeat" in {x[0], y[0]}:
        return {"tile": True, "gravity": Gravity.NORTHWEST}
    down = {"start": "north", "end": "south", "centre": ""}[y[0]]
    across = {"start": "west", "end": "east", "centre": ""}[x[0]]
    return {"gravity": Gravity(down + across or "centre"), "x": x[1], "y": y[1]}


def share(text: str, name: str, builder: RequestBuilder) -> RelativeLength | None:
    """Percent of a side, or `none`."""
    if text in {"none", ""}:
        return None
    percent = builder.number(text, name, 0, 100)
    return RelativeLength(round(percent / 100, 3)) if percent else None
