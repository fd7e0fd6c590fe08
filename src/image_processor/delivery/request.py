"""Delivery: what a URL asks for, whatever its grammar, before anything is known of the original.

Each grammar ends in an `RenditionRequest`; `resolve` makes a transformation of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from msgspec import Struct, field

from image_processor.domain.errors import InvalidRequest
from image_processor.domain.transformation import Gravity, Length

from .url.parameter_names import AUTO
from .url.parameter_values import parse_values
from .url.parser import ParsedUrl

__all__ = ["AUTO", "CropSpec", "RenditionRequest", "SizingRule", "ask"]


class SizingRule(StrEnum):
    """What of the box depends on the original."""

    ADAPTIVE = "adaptive"
    """Width and height change places where that suits the original's orientation (thumbor)."""
    FILL_OR_FIT = "fill-or-fit"
    """Cover where box and original are both upright or both lying, else inside (imgproxy's auto)."""
    OWN_WIDTH = "own-width"
    """The width is the original's (thumbor's `orig`)."""
    OWN_HEIGHT = "own-height"
    """The height is."""


class CropSpec(Struct, frozen=True):
    """A part of the original whose place depends on its size: ``width`` and ``height`` are pixels or
    shares, None for the whole side. It lies as ``gravity``, ``x`` and ``y`` or ``focal_point`` say,
    which mean what they mean for a crop."""

    width: Length | None = None
    height: Length | None = None
    gravity: Gravity = Gravity.CENTRE
    x: Length = 0
    y: Length = 0
    focal_point: tuple[float, float] | None = None


class RenditionRequest(Struct, frozen=True):
    """``values`` are fields of a transformation, each valid by itself, without its format.

    ``format`` is one that can be written, AUTO, or None for the original's own. ``qualities`` are by
    format, where the URL does not say one quality for all. ``preset`` names one of the recipe.
    ``hinted`` are the fields, width or dpr, that the client's hints give. ``signed`` says that a
    signature was verified. ``filename`` and ``attachment`` are for Content-Disposition. ``cut`` becomes
    the region, and ``focus``, in pixels of the original, the focal point.
    """

    key: str
    values: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    format: str | None = None
    qualities: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    preset: str | None = None
    hinted: tuple[str, ...] = ()
    signed: bool = False
    box: SizingRule | None = None
    cut: CropSpec | None = None
    focus: tuple[float, float] | None = None
    filename: str | None = None
    attachment: bool = False


def ask(address: ParsedUrl, *, signed: bool) -> RenditionRequest:
    """What a URL of ours asks for. Raises InvalidRequest with every mistake of its values."""
    read, problems = parse_values(address.pairs)
    if problems:
        raise InvalidRequest(problems)
    return RenditionRequest(
        address.key, read.values, read.format, preset=read.preset, hinted=read.hinted, signed=signed
    )
