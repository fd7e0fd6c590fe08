"""Render, step 2: the original, decoded once, at every size that its renditions need.

A level is the whole image at one size. The largest comes from the decoder, every other one from the
nearest larger level; colour space and orientation are resolved on the largest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence, Set
from functools import partial
from math import ceil

import pyvips
from msgspec import Struct

from image_processor.domain.errors import Refused
from image_processor.domain.formats import FORMATS
from image_processor.domain.geometry import Size, Stage, cascade, needed_for, shrink_on_load
from image_processor.domain.models import IccPolicy
from image_processor.domain.transformation import ColourSpace

from .codecs.codec import ShrinkOnLoad, attach_profile
from .codecs.decode import (
    DecoderWarning,
    frames_of,
    open_original,
    raise_late_warning,
    translate_errors,
    without_bands,
)
from .codecs.encode import p3_profile, srgb_profile
from .codecs.registry import CODECS
from .decoded_originals import DecodedOriginalKey, DecodedOriginals
from .operations import pixels
from .operations.decode_plan import DecodePlan, size_before_fine_rotation


class PyramidPlan(Struct, frozen=True):
    """The sizes of the levels to make; those in ``animated`` with all frames of an animation."""

    sizes: Set[Size]
    animated: Set[Size]


class OpenedSource(Struct, frozen=True):
    """An original, opened at the size that its levels need. No frame is decoded yet."""

    source: DecodePlan
    image: pyvips.Image
    """The frames, stacked: all of the source's, or its first."""
    frames: int
    """How many frames are stacked."""
    shrink: int
    """The factor by which the decoder shrinks."""
    base: Size
    """The size of the largest level."""
    stages: tuple[Stage, ...]
    """Lead from the largest level to the others."""
    plan: PyramidPlan
    profile: bytes | None
    """Will be embedded in the renditions."""
    keeps_colours: bool
    """Whether the pixels stay in the colour space of ``profile``."""


def open_source(
    data: bytes, source: DecodePlan, plan: PyramidPlan, icc: IccPolicy, kept: DecodedOriginals | None = None
) -> OpenedSource:
    """Open ``data`` for ``plan``, which names at least one size. A still that is shown whole is decoded here
    and now, and kept, where ``kept`` accepts it. Raises Refused as the decoder does."""
    header = source.header
    base, stages = cascade(_largest_size(source, plan), plan.sizes)
    needed = source.orientation.apply(
        size_before_fine_rotation(source, base) if source.fine_rotation else base
    )
    frames = source.frames if plan.animated else 1
    requested_shrink = _shrink(source, needed)
    open_ = partial(
        open_original,
        data,
        FORMATS[header.format],
        shrink=requested_shrink,
        first=source.first,
        count=frames,
        fail_on=header.fail_on,
        target=_drawn_size(source, needed),
    )
    # A drawing is drawn again at each size, and optional packages have decoded when their image is open.
    codec = CODECS[header.format]
    if kept is not None and header.frames == 1 and not codec.vector and codec.loader is not None:
        key = DecodedOriginalKey(requested_shrink, source.first, header.fail_on.value)
        whole = _with_kept_pixels(kept, key, source, open_)
    else:
        whole = open_()
    # Before resizing, which costs as much for an idle band as for a colour.
    image = without_bands(whole, header.idle_bands)
    own_profile = pixels.rgb_profile(image) if icc is IccPolicy.PRESERVE and not source.colour else None
    profile = None if icc is IccPolicy.STRIP else own_profile or srgb_profile()
    if source.colour is ColourSpace.P3:
        profile = p3_profile()
    # Not every decoder shrinks, and a vector drawing may be larger than its natural size.
    shrink = requested_shrink if whole.width < header.stored.width else 1
    return OpenedSource(source, image, frames, shrink, base, stages, plan, profile, own_profile is not None)


def _with_kept_pixels(
    kept: DecodedOriginals,
    key: DecodedOriginalKey,
    source: DecodePlan,
    open_: Callable[[], pyvips.Image],
) -> pyvips.Image:
    """The original with the pixels that are kept of it; else decoded, and its pixels kept, where it is needed
    to the last line: of one that is cropped before, fewer lines are decoded."""
    whole = open_()
    count = whole.width * whole.height * whole.bands
    if whole.format != "uchar" or whole.coding != "none":
        return whole
    pixels = kept.read(key, count)
    if pixels is not None:
        return _replace_pixels(whole, pixels)
    if not _reaches_last_lines(source) or not kept.accepts(count):
        return whole
    try:
        with translate_errors(FORMATS[source.header.format], source.header.fail_on):
            decoded = whole.write_to_memory()
    except (DecoderWarning, Refused):
        if source.is_whole:
            raise
        return open_()  # the damage may be outside of the crop
    kept.keep(key, decoded)
    return _replace_pixels(whole, decoded)


_LAST_LINES = 64
"""How many of the last lines may be missing in a crop that is decoded whole: four rows of a JPEG's blocks."""


def _reaches_last_lines(source: DecodePlan) -> bool:
    return source.box.top + source.box.height + _LAST_LINES >= source.header.stored.height


def _replace_pixels(whole: pyvips.Image, pixels: bytes | memoryview) -> pyvips.Image:
    """``pixels`` with what the header of ``whole`` says about their colours; all other metadata is dropped
    in any case."""
    image = pyvips.Image.new_from_memory(pixels, whole.width, whole.height, whole.bands, "uchar")
    profile = whole.get("icc-profile-data") if whole.get_typeof("icc-profile-data") else None
    return attach_profile(image.copy(interpretation=whole.interpretation), profile)


def _drawn_size(source: DecodePlan, needed: Size) -> Size | None:
    """The size of the whole stored frame at which what is shown of it has the size ``needed``; None where its
    natural size is used. Only a vector drawing can be opened at another one."""
    if source.is_whole:
        return needed
    if not CODECS[source.header.format].vector or source.fine_rotation:
        return None
    stored, box = source.header.stored, source.box
    return Size(
        ceil(stored.width * needed.width / box.width), ceil(stored.height * needed.height / box.height)
    )


def _shrink(source: DecodePlan, needed: Size) -> int:
    """The factor by which the decoder may shrink. It averages coded values, not light, and a cropped source
    must begin and end at whole pixels of the decoder's output."""
    if source.linear or source.header.shrink_on_load is ShrinkOnLoad.NONE:
        return 1
    stored = source.header.stored
    if source.is_whole:
        return shrink_on_load(stored, needed)
    shrink = shrink_on_load(source.box.size, needed)
    edges = [source.box.left, source.box.top, source.box.width, source.box.height]
    if source.header.shrink_on_load is ShrinkOnLoad.ROUNDS:
        edges += [stored.width, stored.height]
    while any(edge % shrink for edge in edges):
        shrink //= 2
    return shrink


def _largest_size(source: DecodePlan, plan: PyramidPlan) -> Size:
    """The largest size at which the original still has detail. A vector drawing has it at any size."""
    if not CODECS[source.header.format].vector or source.fine_rotation:
        return source.size
    return Size(max(size.width for size in plan.sizes), max(size.height for size in plan.sizes))


def build_pyramid(opened: OpenedSource) -> Iterator[tuple[Size, list[pyvips.Image]]]:
    """Each planned size, largest first, with its frames: all of them, or the first alone.

    Frames are resized one by one, so that none bleeds into its neighbour and no more than one is held at
    full size. Raises Refused where the decoder does.
    """
    plan = opened.plan
    levels: defaultdict[Size, list[pyvips.Image]] = defaultdict(list)
    for index, frame in enumerate(frames_of(opened.image, opened.frames)):
        sizes = plan.animated if index else plan.sizes
        stages = needed_for(opened.stages, sizes)
        for size, image in _descend(_decode(frame, opened), stages, _resizer(opened.source)):
            if size not in sizes:
                continue
            levels[size].append(image)
            if len(levels[size]) == (opened.frames if size in plan.animated else 1):
                yield size, levels.pop(size)


def _decode(frame: pyvips.Image, opened: OpenedSource) -> pyvips.Image:
    """The base level of one frame. It is resized as stored: everything else is cheaper on few pixels."""
    source = opened.source
    with translate_errors(FORMATS[source.header.format], source.header.fail_on):
        upright = pixels.orient(_resized(_cropped(frame, opened), opened), source.orientation)
        if source.fine_rotation:
            size = source.orientation.apply(source.box.size)
            rotated = pixels.fine_rotation(upright, source.fine_rotation, opened.base, size)
            upright = pixels.materialise(rotated)
    return pixels.drop_opaque_alpha(upright) if opened.frames == 1 else upright


def _cropped(frame: pyvips.Image, opened: OpenedSource) -> pyvips.Image:
    box, shrink = opened.source.box, opened.shrink
    if opened.source.is_whole:
        return _with_dropped_edge(frame, opened)
    if CODECS[opened.source.header.format].vector:
        return _cropped_drawing(frame, opened.source)
    return frame.crop(box.left // shrink, box.top // shrink, box.width // shrink, box.height // shrink)


def _cropped_drawing(frame: pyvips.Image, source: DecodePlan) -> pyvips.Image:
    """The box of a drawing of any size, to the nearest pixel."""
    stored, box = source.header.stored, source.box
    across, down = frame.width / stored.width, frame.height / stored.height
    left, top = min(round(box.left * across), frame.width - 1), min(round(box.top * down), frame.height - 1)
    right, bottom = round((box.left + box.width) * across), round((box.top + box.height) * down)
    return frame.crop(
        left, top, max(1, min(right, frame.width) - left), max(1, min(bottom, frame.height) - top)
    )


def _with_dropped_edge(frame: pyvips.Image, opened: OpenedSource) -> pyvips.Image:
    """``frame`` with its last column and row repeated where the decoder has dropped more than half a pixel of
    them. It costs as much as a fiftieth of a rendition, and what is left moves by a quarter of a pixel."""
    if not _drops_edges(opened):
        return frame
    stored, shrink = opened.source.header.stored, opened.shrink
    width, height = ((side + (shrink - 1) // 2) // shrink for side in (stored.width, stored.height))
    if (frame.width, frame.height) == (width, height):
        return frame
    return frame.embed(0, 0, width, height, extend="copy")


def _drops_edges(opened: OpenedSource) -> bool:
    """Whether the decoder may have dropped a part of the last pixels."""
    header = opened.source.header
    return opened.source.is_whole and opened.shrink > 1 and header.shrink_on_load is ShrinkOnLoad.CROPS


def _resized(cropped: pyvips.Image, opened: OpenedSource) -> pyvips.Image:
    """In memory, at the smallest size that the base level can be made from, in the output colour space."""
    source = opened.source
    upright = size_before_fine_rotation(source, opened.base) if source.fine_rotation else opened.base
    size, resize = source.orientation.apply(upright), _resizer(source)
    if _drops_edges(opened):
        # Otherwise the rest would be stretched over the place of what was dropped.
        stored, shrink = source.header.stored, opened.shrink
        resize = partial(resize, sides=(stored.width / shrink, stored.height / shrink))
    convert = pixels.to_eight_bits if opened.keeps_colours else pixels.to_srgb
    if source.colour is ColourSpace.P3:
        convert = pixels.to_p3
    # Linear resizing needs sRGB first; otherwise converting fewer pixels is cheaper.
    small = resize(convert(cropped), size) if source.linear else convert(resize(cropped, size))
    memory = small.write_to_memory()
    raise_late_warning(FORMATS[source.header.format], source.header.fail_on)
    return pixels.from_memory(memory, small)


def _resizer(source: DecodePlan) -> Callable[..., pyvips.Image]:
    return pixels.resize_linear if source.linear else pixels.resize


def _descend(
    base: pyvips.Image, stages: Sequence[Stage], resize: Callable[[pyvips.Image, Size], pyvips.Image]
) -> Iterator[tuple[Size, pyvips.Image]]:
    images = {Size(base.width, base.height): base}
    yield from images.items()
    for stage in stages:
        images[stage.size] = pixels.materialise(resize(images[stage.made_from], stage.size))
        yield stage.size, images[stage.size]
