"""Delivery, step 2: turns a request into one transformation, once the original's metadata is known.

Pure: request, metadata, headers, recipe and policy in; a frozen value out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from msgspec import Struct

from image_processor.config.recipe import Recipe
from image_processor.domain.errors import InvalidRequest, InvalidTransformation
from image_processor.domain.formats import FORMATS, WRITABLE
from image_processor.domain.models import ImageMetadata
from image_processor.domain.transformation import MAX_SIDE, PARAMETERS, Fit, Transformation

from .http.negotiation import preferred_formats, source_format
from .policy import Policy
from .request import Headers, RenditionRequest, SizingRule
from .source_crop import resolve_crop, source_size
from .url.parameter_names import AUTO

_HINT = re.compile(r"[0-9]{1,5}(\.[0-9]{1,3})?")
_MAX_DPR = 4.0
"""More device pixels per CSS pixel make no visible difference."""


class ResolvedRequest(Struct, frozen=True):
    """The transformation, and the names of the request headers that it depends on."""

    transformation: Transformation
    vary: tuple[str, ...] = ()


def needs_metadata(request: RenditionRequest) -> bool:
    """Whether `resolve` needs the original's metadata."""
    needs_size = request.sizing is not None or request.crop is not None or request.focus is not None
    return needs_size or request.geometry is not None or request.format in {None, AUTO}


def resolve(
    request: RenditionRequest,
    original: ImageMetadata | None,
    headers: Headers,
    recipe: Recipe,
    policy: Policy,
    public: Collection[str] | None = None,
) -> ResolvedRequest:
    """The transformation that ``request`` asks for. ``original`` may be None unless `needs_metadata`.
    ``public`` are the names to which an unsigned request is limited: a format that it leaves open is one that
    they declare. None: no limit.

    Raises InvalidRequest and InvalidTransformation with every problem that depends on the original.
    """
    values, vary = _apply_hints(request, headers, policy)
    members = _preset_members(request, recipe)
    values = resolve_crop(values, request.crop, request.focus, original)
    values = _apply_sizing(values, request.sizing, original)
    if request.geometry is not None:
        assert original is not None
        values = request.geometry.apply(values, original, request.format)
    if members:
        return _resolve_preset(request, members, values, original, headers, vary)
    if request.format not in {None, AUTO}:
        return ResolvedRequest(_in_format(request, values, request.format or ""), vary)
    assert original is not None
    if request.format == AUTO:
        preferred = preferred_formats(headers.get("accept"), original, values)
        vary = (*vary, "Accept")
    else:
        own = source_format(original, values)
        preferred = (request.source_formats.get(original.format, own),)
    declared = preferred if public is None else declared_formats(request, values, public)
    format_ = _best_format(preferred, declared) or preferred[0]
    return ResolvedRequest(_in_format(request, values, format_), vary)


def preview(request: RenditionRequest, recipe: Recipe) -> Transformation:
    """The transformation for a sample original, an opaque JPEG, to validate a request without an original.
    Raises as `resolve`."""
    sample = ImageMetadata(4000, 3000, "jpeg", 1, False, 1, "")
    return resolve(request, sample, {}, recipe, Policy(hints=True)).transformation


def declared_formats(
    request: RenditionRequest, values: Mapping[str, Any], public: Collection[str]
) -> Sequence[str]:
    """The formats in which the names ``public`` have the rendition of these ``values``."""
    found = []
    for format_ in WRITABLE:
        with suppress(InvalidTransformation):  # another format may have the parameter
            if _in_format(request, values, format_).name in public:
                found.append(format_)
    return found


def _in_format(request: RenditionRequest, values: Mapping[str, Any], format_: str) -> Transformation:
    fields = {**_format_quality(request, format_), **values, "format": format_}
    return Transformation(**fields)


def _best_format(preferred: Sequence[str], available: Sequence[str]) -> str | None:
    """The first of ``preferred`` that is available, else the available one that most clients show."""
    most_compatible = max(available, key=lambda name: FORMATS[name].compatibility, default=None)
    return next((name for name in preferred if name in available), most_compatible)


def _preset_members(request: RenditionRequest, recipe: Recipe) -> Sequence[Transformation]:
    if request.preset is None:
        return ()
    members = recipe.presets.get(request.preset)
    if not members:
        raise InvalidRequest.one("preset", "one of " + ", ".join(sorted(recipe.presets)), request.preset)
    return members


def _resolve_preset(
    request: RenditionRequest,
    members: Sequence[Transformation],
    values: Mapping[str, Any],
    original: ImageMetadata | None,
    headers: Headers,
    vary: tuple[str, ...],
) -> ResolvedRequest:
    """One member of a preset, changed by the other parameters: in the requested or the best format, with
    the requested width, else the largest."""
    formats = list(dict.fromkeys(member.format for member in members))
    format_ = request.format
    if format_ in {None, AUTO}:
        assert original is not None
        format_ = _best_format(preferred_formats(headers.get("accept"), original, values), formats)
        vary = (*vary, "Accept") if len(formats) > 1 else vary
    width = values.get("width")
    candidates = [member for member in members if member.format == format_] or list(members)
    chosen = next((member for member in candidates if member.width == width), None) if width else None
    chosen = chosen or max(candidates, key=lambda member: (member.width or 0, member.height or 0))
    fields = {row.field: getattr(chosen, row.field) for row in PARAMETERS}
    return ResolvedRequest(Transformation(**{**fields, **values, "format": format_}), vary)


def _format_quality(request: RenditionRequest, format_: str) -> Mapping[str, Any]:
    return {"quality": request.qualities[format_]} if format_ in request.qualities else {}


def _apply_sizing(
    values: Mapping[str, Any], rule: SizingRule | None, original: ImageMetadata | None
) -> Mapping[str, Any]:
    """``values`` with the output size that ``rule`` gives for ``original``."""
    if rule is None:
        return values
    assert original is not None
    source = source_size(values, original)
    if rule is SizingRule.ORIGINAL_WIDTH:
        return {**values, "width": min(source.width, MAX_SIDE)}
    if rule is SizingRule.ORIGINAL_HEIGHT:
        return {**values, "height": min(source.height, MAX_SIDE)}
    width, height = values.get("width"), values.get("height")
    if width is None or height is None or width == height or source.width == source.height:
        return values if rule is SizingRule.ADAPTIVE else {**values, "fit": values.get("fit", Fit.COVER)}
    same_orientation = (width > height) == (source.width > source.height)
    if rule is SizingRule.FILL_OR_FIT:
        return {**values, "fit": Fit.COVER if same_orientation else Fit.INSIDE}
    return values if same_orientation else {**values, "width": height, "height": width}


def _apply_hints(
    request: RenditionRequest, headers: Headers, policy: Policy
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """The request's values with width and pixel ratio from client hints (WICG, "Responsive Image Client
    Hints"), rounded up so that the number of renditions is bounded; and the headers they depend on."""
    if not request.hinted:
        return request.values, ()
    if not policy.hints:
        raise InvalidRequest.one("w, dpr", "a number, as client hints are not enabled", AUTO)
    values, vary = dict(request.values), []
    if "width" in request.hinted:
        vary += ["Sec-CH-Width", "Width"]
        width = _hint(headers, "sec-ch-width", "width")
        if width is not None:
            steps = policy.hint_widths
            values["width"] = next((step for step in steps if step >= width), steps[-1])
    if "dpr" in request.hinted:
        vary += ["Sec-CH-DPR", "DPR"]
        ratio = _hint(headers, "sec-ch-dpr", "dpr")
        # A hinted width is in device pixels already.
        if ratio is not None and values.get("width") == request.values.get("width"):
            values["dpr"] = max(1, math.ceil(min(ratio, _MAX_DPR)))
    return values, tuple(vary)


def _hint(headers: Headers, *names: str) -> float | None:
    text = next((headers[name].strip() for name in names if name in headers), "")
    return float(text) if _HINT.fullmatch(text) and float(text) > 0 else None
