"""Delivery: what a URL asks for, whatever its grammar, before anything is known of the original.

Each grammar ends in an `Asked`; `settle` makes a transformation of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from image_processor.errors import InvalidRequest, Problem
from image_processor.frozen import field, frozen
from image_processor.transformation import PARAMETERS, Gravity, Length
from image_processor.transformation.parameters import read_pairs
from image_processor.transformation.values import unquote

from .grammar import Address
from .names import FORMAT, PRESET

AUTO: Final = "auto"
"""A format that the client's Accept and the original decide."""


class Box(StrEnum):
    """What of the box depends on the original."""

    ADAPTIVE = "adaptive"
    """Width and height change places where that suits the original's orientation (thumbor)."""
    FILL_OR_FIT = "fill-or-fit"
    """Cover where box and original are both upright or both lying, else inside (imgproxy's auto)."""
    OWN_WIDTH = "own-width"
    """The width is the original's (thumbor's `orig`)."""
    OWN_HEIGHT = "own-height"
    """The height is."""


@frozen
class Cut:
    """A part of the original whose place depends on its size: ``width`` and ``height`` are pixels or
    shares, None for the whole side. It lies as ``gravity``, ``x`` and ``y`` or ``focal_point`` say,
    which mean what they mean for a crop."""

    width: Length | None = None
    height: Length | None = None
    gravity: Gravity = Gravity.CENTRE
    x: Length = 0
    y: Length = 0
    focal_point: tuple[float, float] | None = None


@frozen
class Asked:
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
    box: Box | None = None
    cut: Cut | None = None
    focus: tuple[float, float] | None = None
    filename: str | None = None
    attachment: bool = False


_ROWS = tuple(row for row in PARAMETERS if row.name != FORMAT)
_FORMAT = next(row for row in PARAMETERS if row.name == FORMAT)


def ask(address: Address, *, signed: bool) -> Asked:
    """What a URL of ours asks for. Raises InvalidRequest with every mistake of its values."""
    pairs = dict(address.pairs)
    problems: list[Problem] = []
    format_, preset = pairs.get(FORMAT), _preset(pairs.get(PRESET), problems)
    if format_ not in {None, AUTO} and not _FORMAT.kind.valid(format_):
        problems.append(Problem(FORMAT, f"{_FORMAT.expected} | {AUTO}", repr(format_)))
    hinted = tuple(field for name, field in _HINTED if pairs.get(name) == AUTO)
    text = ",".join(f"{name}={value}" for name, value in address.pairs if _is_plain(name, value))
    values: dict[str, Any] = {}
    if text:
        values, found = read_pairs(text, _ROWS, between=",", equals="=")
        problems += found
    if problems:
        raise InvalidRequest(problems)
    return Asked(address.key, values, format_, preset=preset, hinted=hinted, signed=signed)


_HINTED = (("w", "width"), ("dpr", "dpr"))


def _is_plain(name: str, value: str) -> bool:
    return name not in {FORMAT, PRESET} and not (value == AUTO and (name in dict(_HINTED)))


def _preset(text: str | None, problems: list[Problem]) -> str | None:
    if text is None:
        return None
    try:
        return unquote(text)
    except ValueError:
        problems.append(Problem(PRESET, "a preset's name, with ~ and two hex digits for a sign", repr(text)))
        return None
