"""Delivery: what was asked for becomes one transformation, once it is known what the original is.

Pure: facts, headers and recipe in, a frozen value out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from image_processor.config.recipe import Recipe
from image_processor.domain.errors import InvalidRequest
from image_processor.domain.formats import FORMATS
from image_processor.domain.models import ImageMetadata
from image_processor.domain.transformation import MAX_SIDE, PARAMETERS, Fit, Transformation

from .http.negotiation import own_format, preferences
from .policy import Headers, Policy
from .request import AUTO, RenditionRequest, SizingRule
from .source_crop import resolve_crop, source_size

_DECIMAL = re.compile(r"[0-9]{1,5}(\.[0-9]{1,3})?")
_MOST_RATIO = 4.0
"""More pixels per CSS pixel than this nobody sees."""


class ResolvedRequest(Struct, frozen=True):
    """The transformation, and the request headers that had a say in it."""

    transformation: Transformation
    vary: tuple[str, ...] = ()


def needs_metadata(asked: RenditionRequest) -> bool:
    """Whether it takes the original's facts to settle what was asked for."""
    needs_size = asked.box is not None or asked.cut is not None or asked.focus is not None
    return needs_size or asked.format in {None, AUTO}


def resolve(
    asked: RenditionRequest, original: ImageMetadata | None, headers: Headers, recipe: Recipe, policy: Policy
) -> ResolvedRequest:
    """One transformation. ``original`` may be None where `needs_metadata` says so.

    Raises InvalidRequest and InvalidTransformation with every mistake that only shows now.
    """
    values, vary = _hinted(asked, headers, policy)
    base = _preset(asked, recipe)
    values = _boxed(resolve_crop(values, asked.cut, asked.focus, original), asked.box, original)
    if base:
        return _of_preset(asked, base, values, original, headers, vary)
    format_ = asked.format
    if format_ == AUTO:
        assert original is not None
        format_, vary = preferences(headers.get("accept"), original, values)[0], (*vary, "Accept")
    elif format_ is None:
        assert original is not None
        format_ = own_format(original, values)
    return ResolvedRequest(Transformation(**{**_quality(asked, format_), **values, "format": format_}), vary)


def preview(asked: RenditionRequest, recipe: Recipe) -> Transformation:
    """A transformation that was asked for as it would be of some opaque still JPEG, to see whether
    there can be one. Raises as `resolve`."""
    policy = Policy(hints=True)
    return resolve(
        asked, ImageMetadata(4000, 3000, "jpeg", 1, False, 1, ""), {}, recipe, policy
    ).transformation


def _preset(asked: RenditionRequest, recipe: Recipe) -> Sequence[Transformation]:
    if asked.preset is None:
        return ()
    found = recipe.presets.get(asked.preset)
    if not found:
        raise InvalidRequest.one("preset", "one of " + ", ".join(sorted(recipe.presets)), asked.preset)
    return found


def _of_preset(
    asked: RenditionRequest,
    base: Sequence[Transformation],
    values: Mapping[str, Any],
    original: ImageMetadata | None,
    headers: Headers,
    vary: tuple[str, ...],
) -> ResolvedRequest:
    """The member of the preset that is meant, changed by what was said beside it: of its formats the
    one that suits, of its widths the one that was asked for, else the largest."""
    formats = list(dict.fromkeys(one.format for one in base))
    format_ = asked.format
    if format_ in {None, AUTO}:
        assert original is not None
        suited = preferences(headers.get("accept"), original, values)
        widest = max(formats, key=lambda name: FORMATS[name].compatibility)
        format_ = next((name for name in suited if name in formats), widest)
        vary = (*vary, "Accept") if len(formats) > 1 else vary
    width = values.get("width")
    members = [one for one in base if one.format == format_] or list(base)
    member = next((one for one in members if one.width == width), None) if width else None
    member = member or max(members, key=lambda one: (one.width or 0, one.height or 0))
    of_member = {row.field: getattr(member, row.field) for row in PARAMETERS}
    return ResolvedRequest(Transformation(**{**of_member, **values, "format": format_}), vary)


def _quality(asked: RenditionRequest, format_: str) -> Mapping[str, Any]:
    return {"quality": asked.qualities[format_]} if format_ in asked.qualities else {}


def _boxed(
    values: Mapping[str, Any], box: SizingRule | None, original: ImageMetadata | None
) -> Mapping[str, Any]:
    """The box as it suits the original."""
    if box is None:
        return values
    assert original is not None
    own = source_size(values, original)
    if box is SizingRule.OWN_WIDTH:
        return {**values, "width": min(own.width, MAX_SIDE)}
    if box is SizingRule.OWN_HEIGHT:
        return {**values, "height": min(own.height, MAX_SIDE)}
    width, height = values.get("width"), values.get("height")
    if width is None or height is None or width == height or own.width == own.height:
        return values if box is SizingRule.ADAPTIVE else {**values, "fit": values.get("fit", Fit.COVER)}
    alike = (width > height) == (own.width > own.height)
    if box is SizingRule.FILL_OR_FIT:
        return {**values, "fit": Fit.COVER if alike else Fit.INSIDE}
    return values if alike else {**values, "width": height, "height": width}


def _hinted(
    asked: RenditionRequest, headers: Headers, policy: Policy
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """What the client says of its own of width and pixel ratio ("Client Hints", WICG "Responsive Image
    Client Hints"), in steps, so that the number of renditions is bounded."""
    if not asked.hinted:
        return asked.values, ()
    if not policy.hints:
        raise InvalidRequest.one("w, dpr", "a number, as client hints are not enabled here", AUTO)
    values, vary = dict(asked.values), []
    if "width" in asked.hinted:
        vary += ["Sec-CH-Width", "Width"]
        width = _hint(headers, "sec-ch-width", "width")
        if width is not None:
            values["width"] = next((step for step in policy.ladder if step >= width), policy.ladder[-1])
    if "dpr" in asked.hinted:
        vary += ["Sec-CH-DPR", "DPR"]
        ratio = _hint(headers, "sec-ch-dpr", "dpr")
        # The hint of the width counts device pixels already.
        if ratio is not None and values.get("width") == asked.values.get("width"):
            values["dpr"] = max(1, math.ceil(min(ratio, _MOST_RATIO)))
    return values, tuple(vary)


def _hint(headers: Headers, *names: str) -> float | None:
    text = next((headers[name].strip() for name in names if name in headers), "")
    return float(text) if _DECIMAL.fullmatch(text) and float(text) > 0 else None
