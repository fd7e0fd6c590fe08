"""AVIF sequences, read and written by Pillow (libavif), where it is installed: libvips has only their stills.

Pillow does not say how often a sequence plays, nor, before it decodes them, how long its frames are shown,
nor a colour space that is given by numbers. sequences.py reads these from the boxes.
"""

from __future__ import annotations

import importlib.util
import io
import struct
from typing import Any

import pyvips

from image_processor.domain.errors import MissingExtra, Reason, Refused

from .codec import Animation, DecodeOptions, PixelLayout, image_from_pixels
from .colour import with_coded_colour
from .sequences import heif_frames, heif_track, patch_times

EXTRA = "sequences"
PACKAGE = "PIL"
_BANDS = {"L": 1, "RGB": 3, "RGBA": 4}
_WORK_BYTES = 30
"""A pixel of one frame: planes of the decoder and the frames that it refers to, then RGB three times."""
_ORIENTATION = 0x0112

# What Pillow raises for files that libavif rejects.
_ERRORS = (
    *(ValueError, EOFError, SyntaxError, RuntimeError, OSError, LookupError, TypeError, ArithmeticError),
    struct.error,
)


def is_installed() -> bool:
    """Whether Pillow is there; a sequence is a still without it."""
    return importlib.util.find_spec(PACKAGE) is not None


def read_animation(data: bytes) -> Animation | None:
    """For `Codec.read_animation`. None also where Pillow is not installed or cannot read the header."""
    if heif_frames(data) == 1 or not is_installed():
        return None
    track = heif_track(data)
    try:
        file = _opened(data)
    except _ERRORS:
        return None
    bands = _BANDS.get(file.mode)
    if bands is None or track is None or len(track.delays) != file.n_frames:
        return None
    held = bands * file.n_frames + _WORK_BYTES
    layout = PixelLayout(file.width, file.height, bands, "uchar", held)
    return Animation.of(layout, track.delays, track.loop, file.getexif().get(_ORIENTATION, 1))


def decode(data: bytes, options: DecodeOptions) -> pyvips.Image:
    """The frames that ``options`` name, from top to bottom, in memory. Raises Refused."""
    try:
        file = _opened(data)
        end = file.n_frames if options.count < 0 else options.first + options.count
        pixels = io.BytesIO()
        for index in range(options.first, end):
            file.seek(index)
            pixels.write(file.tobytes())
    except _ERRORS:
        message = "expected a valid avif, got one that the decoder rejects"
        raise Refused(Reason.CORRUPT, message) from None
    height = file.height * (end - options.first)
    layout = PixelLayout(file.width, height, _BANDS[file.mode], "uchar", 0)
    image = image_from_pixels(pixels.getbuffer(), layout, file.info.get("icc_profile"))
    track = heif_track(data)
    if track is None or track.colour is None or file.info.get("icc_profile"):
        return image
    return with_coded_colour(image, *track.colour)


def encode(image: pyvips.Image, quality: int, effort: int, subsampling: str) -> bytes:
    """The frames stacked in ``image``, with its delays and loop. Raises MissingExtra."""
    if not is_installed():
        raise MissingExtra.of("Pillow", "fm=avifs", EXTRA)
    from PIL import AvifImagePlugin, Image  # noqa: PLC0415 - optional; 70 ms of a cold start

    assert AvifImagePlugin.SUPPORTED
    height = image.get("page-height")
    mode = "RGBA" if image.hasalpha() else "RGB"
    frames = [
        Image.frombytes(
            mode, (image.width, height), image.crop(0, top, image.width, height).write_to_memory()
        )
        for top in range(0, image.height, height)
    ]
    profile = image.get("icc-profile-data") if image.get_typeof("icc-profile-data") else b""
    body = io.BytesIO()
    frames[0].save(
        body,
        AvifImagePlugin.AvifImageFile.format,
        save_all=True,
        append_images=frames[1:],
        duration=image.get("delay"),
        quality=quality,
        speed=9 - effort,
        subsampling="4:4:4" if subsampling == "444" else "4:2:0",
        icc_profile=bytes(profile),
        max_threads=1,
    )
    return patch_times(body.getvalue(), image.get("loop"))


def _opened(data: bytes) -> Any:
    """The file, whose header has been read. Only this one of Pillow's readers gets to see it."""
    from PIL import AvifImagePlugin  # noqa: PLC0415 - optional; 70 ms of a cold start

    # The encoder threads are the only parallelism; Pillow has no parameter for it.
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    return AvifImagePlugin.AvifImageFile(io.BytesIO(data))
