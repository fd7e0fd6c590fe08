"""The original, decoded once, at every size that is wanted.

A level is the whole picture at one size. The largest comes out of the decoder, each other one
from the nearest larger level; colour and orientation are settled on the largest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence, Set

import pyvips
from msgspec import Struct

from image_processor.domain.formats import FORMATS
from image_processor.domain.geometry import Size, Stage, cascade, needed_for, shrink_on_load
from image_processor.domain.models import IccPolicy

from .codecs.decode import frames_of, open_original, refusing, without_bands
from .codecs.encode import srgb_profile
from .operations import pixels as steps
from .operations.decode_plan import DecodePlan, before_fine_rotation


class Wanted(Struct, frozen=True):
    """The sizes of the levels to make; those in ``moving`` with all frames of an animation."""

    sizes: Set[Size]
    moving: Set[Size]


class Opened(Struct, frozen=True):
    """A scene, opened at the size that its levels need; no frame is decoded yet.

    ``frames`` are opened, all of the scene's or its first. ``profile`` is to be embedded in the
    renditions. ``keeps_colours`` says that the pixels stay in the colour space of that profile.
    """

    scene: DecodePlan
    picture: pyvips.Image
    frames: int
    shrink: int
    base: Size
    stages: tuple[Stage, ...]
    wanted: Wanted
    profile: bytes | None
    keeps_colours: bool


def open_for(data: bytes, scene: DecodePlan, wanted: Wanted, icc: IccPolicy) -> Opened:
    """Open ``data`` for ``wanted``, which names at least one size."""
    header = scene.header
    base, stages = cascade(_natural(scene, wanted), wanted.sizes)
    need = scene.turn.apply(before_fine_rotation(scene, base) if scene.fine_rotation else base)
    frames = scene.frames if wanted.moving else 1
    asked = _shrink(scene, need)
    whole = open_original(
        data,
        FORMATS[header.format],
        shrink=asked,
        first=scene.first,
        count=frames,
        lenient=header.truncated,
        target=need if scene.whole else None,
    )
    # Before anything is resized: it costs as much as colour does.
    picture = without_bands(whole, header.idle_bands)
    own = steps.rgb_profile(picture) if icc is IccPolicy.PRESERVE else None
    profile = None if icc is IccPolicy.STRIP else own or srgb_profile()
    # Not every decoder shrinks, and a drawing grows.
    shrink = asked if whole.width < header.stored.width else 1
    return Opened(scene, picture, frames, shrink, base, stages, wanted, profile, own is not None)


def _shrink(scene: DecodePlan, need: Size) -> int:
    """By how much the decoder may shrink: it averages coded values, not light, and a part of the
    picture must begin and end at whole pixels of what it gives."""
    if scene.linear:
        return 1
    if scene.whole:
        return shrink_on_load(scene.header.stored, need)
    shrink = shrink_on_load(scene.box.size, need)
    edges = [scene.box.left, scene.box.top, scene.box.width, scene.box.height]
    if scene.header.format == "webp":
        # libwebp fits the whole picture to rounded sides; libjpeg's pixels stay where they are.
        edges += [scene.header.stored.width, scene.header.stored.height]
    while any(edge % shrink for edge in edges):
        shrink //= 2
    return shrink


def _natural(scene: DecodePlan, wanted: Wanted) -> Size:
    """The size up to which the original has something to show: a drawing has no end."""
    if scene.header.format != "svg" or not scene.whole or scene.fine_rotation:
        return scene.natural
    sizes = (scene.natural, *wanted.sizes)
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
        needed = needed_for(opened.stages, sizes)
        for size, picture in _descend(_decode(frame, opened), needed, _resize(opened.scene)):
            if size not in sizes:
                continue
            made[size].append(picture)
            if len(made[size]) == (opened.frames if size in wanted.moving else 1):
                yield size, made.pop(size)


def _decode(frame: pyvips.Image, opened: Opened) -> pyvips.Image:
    """The base level of one frame, resized as it is stored: everything else is cheaper small."""
    scene = opened.scene
    with refusing(FORMATS[scene.header.format], truncated=scene.header.truncated):
        upright = steps.turn(_small(_part(frame, opened), opened), scene.turn)
        if scene.fine_rotation:
            natural = scene.turn.apply(scene.box.size)
            upright = steps.materialise(
                steps.fine_rotation(upright, scene.fine_rotation, opened.base, natural)
            )
    return steps.drop_opaque_alpha(upright) if opened.frames == 1 else upright


def _part(frame: pyvips.Image, opened: Opened) -> pyvips.Image:
    box, shrink = opened.scene.box, opened.shrink
    if opened.scene.whole:
        return _with_cut_pixels(frame, opened)
    return frame.crop(box.left // shrink, box.top // shrink, box.width // shrink, box.height // shrink)


def _with_cut_pixels(frame: pyvips.Image, opened: Opened) -> pyvips.Image:
    """With the last column and row again where the decoder has left out half a pixel or more of them:
    what is there would be stretched over their place, and everything would be off a little."""
    stored, shrink = opened.scene.header.stored, opened.shrink
    width, height = ((side + shrink // 2) // shrink for side in (stored.width, stored.height))
    if opened.scene.header.format != "jpeg" or (frame.width, frame.height) == (width, height):
        return frame
    return frame.embed(0, 0, width, height, extend="copy")


def _small(part: pyvips.Image, opened: Opened) -> pyvips.Image:
    """In memory, at the least size that the base can be made from, in its colours."""
    scene = opened.scene
    upright = before_fine_rotation(scene, opened.base) if scene.fine_rotation else opened.base
    size, resize = scene.turn.apply(upright), _resize(scene)
    to_colours = steps.to_eight_bits if opened.keeps_colours else steps.to_srgb
    # Light is only known once the colours are.
    small = resize(to_colours(part), size) if scene.linear else to_colours(resize(part, size))
    return steps.materialise(small)


def _resize(scene: DecodePlan) -> Callable[[pyvips.Image, Size], pyvips.Image]:
    return steps.resize_linear if scene.linear else steps.resize


def _descend(
    base: pyvips.Image, stages: Sequence[Stage], resize: Callable[[pyvips.Image, Size], pyvips.Image]
) -> Iterator[tuple[Size, pyvips.Image]]:
    pictures = {Size(base.width, base.height): base}
    yield from pictures.items()
    for stage in stages:
        pictures[stage.size] = steps.materialise(resize(pictures[stage.made_from], stage.size))
        yield stage.size, pictures[stage.size]
