"""Dialects: imgproxy's gravity, what it cuts out first, and how its box is met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from image_processor.delivery.dialects.request_builder import Draft
from image_processor.delivery.request import Box, Cut
from image_processor.domain.transformation import SMART, Fit, Gravity, Length, RelativeLength

GRAVITIES: Mapping[str, Gravity] = MappingProxyType(
    {
        "ce": Gravity.CENTRE,
        "no": Gravity.NORTH,
        "noea": Gravity.NORTHEAST,
        "ea": Gravity.EAST,
        "soea": Gravity.SOUTHEAST,
        "so": Gravity.SOUTH,
        "sowe": Gravity.SOUTHWEST,
        "we": Gravity.WEST,
        "nowe": Gravity.NORTHWEST,
    }
)

_EXPECTED = ", ".join((*GRAVITIES, "sm", "fp:X:Y", "obj:face"))
_FARTHEST = 16_383
_LARGEST = 1_000_000


def gravity(given: Sequence[str], name: str, draft: Draft) -> dict[str, Any] | None:
    """The fields of a transformation that a gravity is; None where it is none."""
    kind, *rest = given
    if kind == "fp" and len(rest) == 2:
        point = tuple(draft.number(text or "0", name, 0, 1) for text in rest)
        return None if None in point else {"focal_point": point}
    if kind == "sm":
        return {"gravity": Gravity.ATTENTION}
    if kind in {"obj", "objw"}:
        if rest[:1] != ["face"] or len(rest) > 2:
            draft.lacks(name, "obj:face, as nothing else is found here", ":".join(given))
        return {"gravity": Gravity.FACES}
    if kind not in GRAVITIES or len(rest) > 2:
        draft.wrong(name, f"one of {_EXPECTED}, the first with two offsets", ":".join(given))
        return None
    offsets = [offset(text, name, draft) for text in (*rest, "", "")[:2]]
    return {"gravity": GRAVITIES[kind], "gravity_x": offsets[0], "gravity_y": offsets[1]}


def offset(text: str, name: str, draft: Draft) -> Length:
    """Pixels, or below 1 a share of the side."""
    value = draft.number(text or "0", name, -_FARTHEST, _FARTHEST) or 0
    return RelativeLength(float(value)) if value and abs(value) < 1 else round(value)


def fit_with_extension(given: Mapping[str, Sequence[str]], draft: Draft) -> None:
    """How the box is met: `fit` unless another type was said, then widened to the box if so said."""
    values = draft.values
    sides = [side for side in ("width", "height") if side in values]
    if not sides:
        return
    if draft.box is None and (draft.preset is None or "fit" in values):
        fit = values.setdefault("fit", Fit.INSIDE)
        if fit is Fit.FILL and len(sides) == 1:
            draft.box = Box.OWN_HEIGHT if sides == ["width"] else Box.OWN_WIDTH
    extend = given.get("extend", ["0"])
    if not draft.flag(extend[0], "extend"):
        return
    if values.get("fit") is not Fit.INSIDE:
        draft.lacks("extend", "the resizing type fit with it", ":".join(extend))
        return
    values["fit"] = Fit.CONTAIN
    draft.drop("gravity", "gravity_x", "gravity_y", "focal_point")
    if len(extend) > 1 and extend[1]:
        found = gravity(extend[1:], "extend", draft)
        if found and (found.get("gravity") in SMART or "focal_point" in found):
            draft.wrong("extend", "a side, a corner or ce", ":".join(extend))
        else:
            values.update(found or {})


def crop(given: Mapping[str, Sequence[str]], draft: Draft) -> None:
    """What is cut out of the original first; it lies where its own gravity says, else as `gravity` does."""
    if "crop" not in given:
        return
    arguments = (*given["crop"], "")
    width, height = (_side(text, draft) for text in arguments[:2])
    rest = given["crop"][2:]
    values = draft.values
    if "gravity" in given and not rest:
        rest = given["gravity"]
    found = gravity(rest, "crop", draft) if rest and rest[0] else {}
    if found is None or (width is None and height is None):
        return
    if found.get("gravity") in SMART:
        draft.lacks("crop", "a gravity that is a side, a corner, ce or fp", ":".join(given["crop"]))
        return
    if "trim" in values:
        draft.lacks("crop", "no trim with it, as it is known only afterwards where it lies", "both")
        return
    draft.cut = Cut(
        width,
        height,
        found.get("gravity", Gravity.CENTRE),
        found.get("gravity_x", 0),
        found.get("gravity_y", 0),
        found.get("focal_point"),
    )


def _side(text: str, draft: Draft) -> Length | None:
    value = draft.number(text or "0", "crop", 0, _LARGEST)
    if not value:
        return None
    return RelativeLength(float(value)) if value < 1 else round(value)
