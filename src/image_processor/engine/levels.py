"""The original, decoded once, at every size that is wanted.

A level is the whole picture at one size. The largest comes out of the decoder, each other one
from the nearest larger level; colour and orientation are settled on the largest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

import pyvips

from image_processor.formats import FORMATS
from image_processor.model import IccPolicy

from . import steps
from .decode import frames_of, open_original, refusing, without_bands
from .encode import srgb_profile
from .geometry import Size, Stage, cascade, needed_for, shrink_on_load
from .probe import Header


@dataclass(frozen=True, slots=True)
class Wanted:
    """The sizes of the levels to make; those in ``moving`` with all frames of an animation."""

    sizes: Set[Size]
    moving: Set[Size]


@dataclass(frozen=True, slots=True)
class Opened:
    """The original, opened at the size that its levels need; no frame is decoded yet.

    ``profile`` is to be embedded in the renditions. ``keeps_colours`` says that the pixels stay
    in the colour space of that profile.
    """

    header: Header
    picture: pyvips.Image
    base: Size
    stages: tuple[Stage, ...]
    wanted: Wanted
    profile: bytes | None
    keeps_colours: bool

    @property
    def frames(self) -> int:
        return self.header.frames if self.wanted.moving else 1


def open_for(data: bytes, header: Header, wanted: Wanted, icc: IccPolicy) -> Opened:
    """Open ``data`` for ``wanted``, which names at least one size."""
    base, stages = cascade(_natural(header, wanted), wanted.sizes)
    need = base.turned() if header.turned else base
    shrink = shrink_on_load(header.stored, need)
    whole = open_original(
        data,
        FORMATS[header.format],
        shrink=shrink,
        first=header.page,
        count=-1 if wanted.moving else 1,
        lenient=header.truncated,
        target=need,
    )
    # Before anything is resized: it costs as much as colour does.
    picture = without_bands(whole, header.idle_bands)
    own = steps.rgb_profile(picture) if icc is IccPolicy.PRESERVE else None
    profile = None if icc is IccPolicy.STRIP else own or srgb_profile()
    return Opened(header, picture, base, stages, wanted, profile, own is not None)


def _natural(header: Header, wanted: Wanted) -> Size:
    """The size up to which the original has something to show: a drawing has no end."""
    if header.format != "svg":
        return header.upright
    sizes = (header.upright, *wanted.sizes)
    return Size(max(size.width for size in sizes), max(size.height for size in sizes))


def levels(opened: Opened) -> Iterator[tuple[Size, list[pyvips.Image]]]:
    """Each wanted size, largest first, with its frames: all of them, or the first alone.

    Frames go through the cascade one by one, so that none bleeds into its neighbour and no more
    than one is held at its full size. Raises Refused where the decoder does.
    """
    wanted = opened.wanted
    made: defaultdict[Size, list[pyvips.Image]] = defaultdict(list)
    for index, frame in enumerate(frames_of(opened.picture, opened.frames)):
        sizes = wanted.moving if index else wanted.sizes
        for size, picture in _descend(_decode(frame, opened), needed_for(opened.stages, sizes)):
            if size not in sizes:
                continue
            made[size].append(picture)
            if len(made[size]) == (opened.frames if size in wanted.moving else 1):
                yield size, made.pop(size)


def _decode(frame: pyvips.Image, opened: Opened) -> pyvips.Image:
    """The base level of one frame, resized as it is stored: everything else is cheaper small."""
    header = opened.header
    with refusing(FORMATS[header.format], truncated=header.truncated):
        small = steps.resize(frame, opened.base.turned() if header.turned else opened.base)
        coloured = steps.to_eight_bits(small) if opened.keeps_colours else steps.to_srgb(small)
        upright = steps.turn_upright(steps.plain(coloured), header.orientation)
    return steps.drop_idle_alpha(upright) if opened.frames == 1 else upright


def _descend(base: pyvips.Image, stages: Sequence[Stage]) -> Iterator[tuple[Size, pyvips.Image]]:
    pictures = {Size(base.width, base.height): base}
    yield from pictures.items()
    for stage in stages:
        pictures[stage.size] = steps.plain(steps.resize(pictures[stage.made_from], stage.size))
        yield stage.size, pictures[stage.size]
