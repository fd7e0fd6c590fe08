"""Opens originals and hands out their frames, shrunk while decoding where the format can.

Also the one place where an error of libvips while reading becomes a reason for refusal; its
text stays here, since it may quote the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyvips

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.formats import Format
from image_processor.domain.geometry import Size

from . import optional_decoders as outside
from . import svg

# Parts of libvips' messages, by reason; the first that occurs decides, CORRUPT where none does.
# structure.py has already found the early ends that can be seen without decoding.
_SIGNS = (
    ("premature end", Reason.TRUNCATED),  # libjpeg
    ("unexpected end", Reason.TRUNCATED),  # libnsgif, libheif
    ("bad seek", Reason.TRUNCATED),  # libtiff, at an offset behind the end
    ("read error at", Reason.TRUNCATED),  # libtiff, in the last strip
    ("cannot read tiff header", Reason.TRUNCATED),
    ("io error during reading", Reason.TRUNCATED),  # libtiff, in the directory
    ("security limit", Reason.TOO_MANY_PIXELS),  # libheif's own limits on memory
)
_PAGED = frozenset({"gif", "webp", "tiff"})

# What libvips and its libraries say where an allocation failed.
_EXHAUSTED = ("memory", "failed to allocate")
_MESSAGES = {
    Reason.TRUNCATED: "expected a complete {0}, got one that ends early",
    Reason.TOO_MANY_PIXELS: "expected a {0} within the decoder's limits, got a larger one",
    Reason.CORRUPT: "expected a valid {0}, got one that the decoder rejects",
}


def open_original(
    data: bytes,
    format_: Format,
    *,
    shrink: int = 1,
    first: int = 0,
    count: int = 1,
    lenient: bool = False,
    target: Size | None = None,
) -> pyvips.Image:
    """Open ``data`` for one pass from top to bottom; reads the header only.

    ``shrink`` (1, 2, 4, 8) divides both sides while decoding, as far as libvips can: JPEG and
    still WebP. Others come at their full size, but a drawing is made to cover ``target``.
    ``count`` frames of an animation, from the 0-based ``first`` on, are stacked from top to bottom;
    -1 for all that follow. A TIFF has one page at a time, and other formats have but one picture.
    ``lenient`` takes what is there of a file that is known to end early.
    The caller keeps ``data`` until the picture has been read: libvips reads it where it lies.
    What an optional package decodes is decoded here and now. Raises Refused as `refusing` does.
    """
    if format_.loader is None:
        return outside.decode(data, format_)
    if format_.name == "svg":
        with refusing(format_):
            return svg.open_svg(data, target)
    # "error" is strict where the default is not: a truncated file must not become half a grey
    # picture. "warning" would be too strict, and refuse what every browser shows.
    options: dict[str, Any] = {"access": "sequential", "fail_on": "none" if lenient else "error"}
    if format_.name in _PAGED:
        options |= {"page": first, "n": count}
    if shrink > 1 and format_.name == "jpeg":
        options["shrink"] = shrink
    if shrink > 1 and format_.name == "webp":
        options["scale"] = 1 / shrink
    # A source, since pyvips would copy a buffer.
    source = pyvips.Source.new_from_memory(data)
    with refusing(format_, truncated=lenient):
        return pyvips.Operation.call(f"{format_.loader}_source", source, **options)


def without_bands(opened: pyvips.Image, count: int) -> pyvips.Image:
    """Without the last ``count`` bands."""
    return opened[: opened.bands - count] if count else opened


def frames_of(opened: pyvips.Image, count: int) -> Iterator[pyvips.Image]:
    """The ``count`` frames stacked in ``opened``, in order. Use each before asking for the next:
    the file is read once, from top to bottom."""
    if count == 1:
        yield opened
        return
    height = opened.height // count
    for index in range(count):
        yield opened.crop(0, index * height, opened.width, height)


@contextmanager
def refusing(format_: Format, *, truncated: bool = False) -> Iterator[None]:
    """Turn what libvips raises while it reads into Refused: TRUNCATED, TOO_MANY_PIXELS or CORRUPT.
    Of what is known to be ``truncated``, the early end is the reason."""
    # libvips adds up what it says, warnings of other pictures too, until somebody asks.
    pyvips.vips_lib.vips_error_clear()
    try:
        yield
    except pyvips.Error as error:
        reason = Reason.TRUNCATED if truncated else _reason(error.detail.lower())
        reason = Reason.TOO_MANY_PIXELS if is_out_of_memory(error) else reason
        raise Refused(reason, _MESSAGES[reason].format(format_.name)) from None
    except UnicodeDecodeError:
        # What libvips says quotes the file, which pyvips takes for UTF-8.
        reason = Reason.TRUNCATED if truncated else Reason.CORRUPT
        raise Refused(reason, _MESSAGES[reason].format(format_.name)) from None


def is_out_of_memory(error: pyvips.Error) -> bool:
    """Whether it says that an allocation failed, in whatever library."""
    return any(sign in error.detail.lower() for sign in _EXHAUSTED)


def _reason(text: str) -> Reason:
    return next((reason for sign, reason in _SIGNS if sign in text), Reason.CORRUPT)
