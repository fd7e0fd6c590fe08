"""Animated PNG: its frames read from the chunks, and chunks written around them (PNG, third edition, 4.9 and
11.3.6). libvips decodes and encodes each frame as a PNG of its own.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any, Self

import pyvips
from msgspec import Struct

from image_processor.domain.geometry import Box, Size

from .codec import Animation, DecodeOptions, FailOn, PixelLayout, attach_profile, load, sample_bytes
from .png_chunks import SIGNATURE, chunk, chunks
from .png_colour import with_colour

_CONTROL = struct.Struct(">IIIIIHHBB")
"""fcTL: sequence number, width, height, left, top, delay as a fraction, disposal, blend."""
_KEEP, _CLEAR, _RESTORE = 0, 1, 2
_REPLACE, _OVER = 0, 1
_DEFAULT_DENOMINATOR = 100
_SHARED = frozenset({b"PLTE", b"tRNS"})
"""The chunks that each frame needs. Those about colour are written once for all frames."""
_WORK_FRAMES = 4
"""Canvases in addition to those that are kept: before, with and after a frame, and the frame."""


class _Frame(Struct):
    """A frame at ``box`` of the canvas; ``parts`` are the positions of its compressed data."""

    box: Box
    delay: int
    disposal: int
    blend: int
    parts: list[tuple[int, int]]


class PngAnimation(Struct, frozen=True):
    """The frames of ``data``. ``starts_with_default`` says that the first one is also the image that
    decoders of stills show."""

    data: bytes
    canvas: Size
    frames: Sequence[_Frame]
    loop: int
    starts_with_default: bool

    @classmethod
    def read(cls, data: bytes) -> Self | None:
        """None for a still, and where the chunks break a rule: the file is read as a still then, as the
        standard says."""
        try:
            found = _read(data) if _is_announced(data) else None
        except struct.error:
            return None
        return None if found is None else cls(data, *found)

    @property
    def leaves_gaps(self) -> bool:
        """Whether some frame shows canvas that no frame has covered."""
        whole = Box(0, 0, self.canvas.width, self.canvas.height)
        clears = any(frame.disposal == _CLEAR for frame in self.frames[:-1])
        # To restore what was before the first frame is to clear.
        return clears or self.frames[0].box != whole or self.frames[0].disposal == _RESTORE

    def described(self) -> Animation:
        """What the header says. Raises pyvips.Error."""
        still = load("pngload", self.data, access="sequential", fail_on=FailOn.ERROR)
        bands = still.bands + (self.leaves_gaps and not still.hasalpha())
        held = bands * sample_bytes(still) * (len(self.frames) + _WORK_FRAMES)
        orientation = still.get("orientation") if still.get_typeof("orientation") else 1
        layout = PixelLayout(self.canvas.width, self.canvas.height, bands, still.format, held)
        return Animation.of(layout, (frame.delay for frame in self.frames), self.loop, orientation)

    def decoded(self, options: DecodeOptions) -> pyvips.Image:
        """The frames that ``options`` name, from top to bottom, in memory. Raises pyvips.Error."""
        end = len(self.frames) if options.count < 0 else options.first + options.count
        shown = list(self._canvases(end, options.fail_on))[options.first :]
        stacked = pyvips.Image.arrayjoin(shown, across=1)
        still = load("pngload", self.data, access="sequential", fail_on=options.fail_on)
        profile = still.get("icc-profile-data") if still.get_typeof("icc-profile-data") else None
        return with_colour(attach_profile(stacked, profile), self.data)

    def _canvases(self, end: int, fail_on: FailOn) -> Iterator[pyvips.Image]:
        """The canvas as each of the frames before ``end`` shows it."""
        head = list(self._shared())
        canvas: pyvips.Image | None = None
        for index, frame in enumerate(self.frames[:end]):
            picture = self._picture(frame, head, fail_on)
            before = self._empty(picture) if canvas is None else canvas
            shown = _drawn(before, picture, frame).copy_memory()
            yield shown
            disposal = _CLEAR if frame.disposal == _RESTORE and index == 0 else frame.disposal
            if disposal == _CLEAR:
                hole = self._empty(picture).crop(0, 0, frame.box.width, frame.box.height)
                shown = shown.insert(hole, frame.box.left, frame.box.top).copy_memory()
            canvas = before if disposal == _RESTORE else shown

    def _picture(self, frame: _Frame, head: Sequence[bytes], fail_on: FailOn) -> pyvips.Image:
        """One frame, decoded as a PNG of its own."""
        header = struct.pack(">II", frame.box.width, frame.box.height) + self.data[24:29]
        pixels = b"".join(self.data[start:end] for start, end in frame.parts)
        png = b"".join(
            [SIGNATURE, chunk(b"IHDR", header), *head, chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
        )
        picture = load("pngload", png, access="sequential", fail_on=fail_on)
        if self.leaves_gaps and not picture.hasalpha():
            picture = picture.bandjoin(65_535 if picture.format == "ushort" else 255)
        return picture.copy_memory()

    def _shared(self) -> Iterator[bytes]:
        for name, start, end in chunks(self.data):
            if name == b"IDAT":
                return
            if name in _SHARED:
                yield self.data[start:end]

    def _empty(self, like: pyvips.Image) -> pyvips.Image:
        canvas = pyvips.Image.black(self.canvas.width, self.canvas.height, bands=like.bands).cast(like.format)
        return canvas.copy(interpretation=like.interpretation)


def _is_announced(data: bytes) -> bool:
    return any(name == b"acTL" for name, _, _ in _before_pixels(data))


def _before_pixels(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    for found in chunks(data):
        if found[0] == b"IDAT":
            return
        yield found


def _read(data: bytes) -> tuple[Size, list[_Frame], int, bool] | None:
    """The fields of a PngAnimation. Raises struct.error where a chunk is too short."""
    canvas = Size(*struct.unpack_from(">II", data, 16))
    frames: list[_Frame] = []
    announced = loop = sequence = 0
    starts_with_default = False
    for name, start, end in chunks(data):
        content = start + 8
        if name == b"acTL":
            announced, loop = struct.unpack_from(">II", data, content)
        elif name == b"IDAT" and frames:
            starts_with_default = True
            frames[0].parts.append((content, end - 4))
        elif name in {b"fcTL", b"fdAT"}:
            if int.from_bytes(data[content : content + 4], "big") != sequence:
                return None
            sequence += 1
            if name == b"fcTL":
                frames.append(_read_control(data, content))
            elif frames:
                frames[-1].parts.append((content + 4, end - 4))
    is_valid = announced == len(frames) > 1 and all(_fits(frame, canvas) for frame in frames)
    return (canvas, frames, loop, starts_with_default) if is_valid else None


def _read_control(data: bytes, at: int) -> _Frame:
    _, width, height, left, top, number, per, disposal, blend = _CONTROL.unpack_from(data, at)
    delay = round(1000 * number / (per or _DEFAULT_DENOMINATOR))
    return _Frame(Box(left, top, width, height), delay, disposal, blend, [])


def _fits(frame: _Frame, canvas: Size) -> bool:
    box = frame.box
    is_inside = box.left + box.width <= canvas.width and box.top + box.height <= canvas.height
    is_known = frame.disposal in {_KEEP, _CLEAR, _RESTORE} and frame.blend in {_REPLACE, _OVER}
    return bool(frame.parts) and box.width > 0 < box.height and is_inside and is_known


def _drawn(canvas: pyvips.Image, picture: pyvips.Image, frame: _Frame) -> pyvips.Image:
    box = frame.box
    if frame.blend == _OVER and picture.hasalpha():
        below = canvas.crop(box.left, box.top, box.width, box.height)
        picture = below.composite2(picture, "over", compositing_space=picture.interpretation)
    return canvas.insert(picture, box.left, box.top)


# Writing -------------------------------------------------------------------------------------------


def encode(image: pyvips.Image, options: dict[str, Any]) -> bytes:
    """The frames stacked in ``image``, with its delays and loop; ``options`` are those of libvips' pngsave.

    Each frame after the first is the smallest box of what differs from the one before."""
    writer = _Writer(image.get("page-height"), options)
    for index, delay in enumerate(image.get("delay")):
        frame = image.crop(0, index * writer.height, image.width, writer.height).copy_memory()
        if index == 0:
            writer.begin(frame, image.height // writer.height, image.get("loop"))
        writer.add(frame, delay)
    return b"".join([*writer.parts, chunk(b"IEND", b"")])


class _Writer:
    """Collects the chunks of an animation in ``parts``. Frame controls and frames are numbered together."""

    def __init__(self, height: int, options: dict[str, Any]) -> None:
        self.height = height
        self.parts = [SIGNATURE]
        self._options = options
        self._sequence = 0
        self._last: pyvips.Image | None = None

    def begin(self, first: pyvips.Image, count: int, loop: int) -> None:
        """The chunks before the frames, of which those about colours come from the first one."""
        png: bytes = first.pngsave_buffer(keep="icc", **self._options)
        head = [png[start:end] for _, start, end in _before_pixels(png)]
        self.parts += [head[0], chunk(b"acTL", struct.pack(">II", count, loop)), *head[1:]]

    def add(self, frame: pyvips.Image, delay: int) -> None:
        last, self._last = self._last, frame
        box = Box(0, 0, frame.width, frame.height) if last is None else _changed(last, frame)
        part = frame.crop(box.left, box.top, box.width, box.height)
        png: bytes = part.pngsave_buffer(keep="none", **self._options)
        self.parts.append(chunk(b"fcTL", _control(self._next(), box, delay)))
        for name, start, end in chunks(png):
            pixels = png[start + 8 : end - 4]
            if name == b"IDAT" and last is None:
                self.parts.append(chunk(b"IDAT", pixels))
            elif name == b"IDAT":
                self.parts.append(chunk(b"fdAT", self._next().to_bytes(4, "big") + pixels))

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence - 1


def _control(sequence: int, box: Box, delay: int) -> bytes:
    # 16 bits hold 65 seconds in milliseconds, longer ones in fewer parts of a second.
    per = next((per for per in (1000, 100, 10) if delay * per // 1000 < 1 << 16), 1)
    number = min(delay * per // 1000, (1 << 16) - 1)
    return _CONTROL.pack(sequence, box.width, box.height, box.left, box.top, number, per, _KEEP, _REPLACE)


def _changed(before: pyvips.Image, after: pyvips.Image) -> Box:
    """The smallest box of all pixels that differ; a pixel where there is none, because a frame needs one."""
    left, top, width, height = (before != after).bandor().find_trim(background=0, line_art=True)
    return Box(left, top, width, height) if width and height else Box(0, 0, 1, 1)
