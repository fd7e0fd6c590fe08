"""Render, step 3, after the encoder: the original's own coded data in place of a rendition of more bytes.

A rendition in the format and at the size of its original often has more bytes than it: the original's encoder
took longer, or had a lower quality. The coded data, without metadata, then shows the same pixels without a
second loss. It is sent only if decoding it gives the very pixels that were encoded, so orientation, colours
and every parameter have had their effect.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyvips
from msgspec import Struct

from image_processor.domain.errors import Refused
from image_processor.domain.formats import FORMATS
from image_processor.domain.models import KeepSmaller
from image_processor.domain.transformation import Transformation

from .codecs.codec import DecodeOptions, FailOn
from .codecs.decode import first_warning, frames_of, open_encoded
from .codecs.encode import AnimationTiming
from .codecs.probe import ImageHeader
from .codecs.registry import CODECS
from .codecs.strip import STRIPPERS
from .codecs.webp_parts import shortened
from .operations.pixels import drop_opaque_alpha, to_eight_bits

_NEEDS_MORE = "premature end of data segment"
"""libjpeg's warning about a scan whose data ends before its pixels (jerror.h, JWRN_HIT_MARKER)."""
_TOLERANCE = 2
"""By how much of 255 a sample may differ: what the conversion from an sRGB profile to sRGB rounds."""


class EncodedFrames(Struct, frozen=True):
    """A rendition as it was encoded: its ``frames``, and what the encoder made of them."""

    frames: Sequence[pyvips.Image]
    timing: AnimationTiming
    profile: bytes | None
    body: bytes


def smaller(
    data: bytes, header: ImageHeader, remaining: Transformation, encoded: EncodedFrames
) -> tuple[bytes, KeepSmaller | None]:
    """The bytes of the rendition: ``encoded.body``, or the coded data of the original ``data`` where that has
    fewer bytes and shows the same; and what to record about it. It has the original's format and size."""
    stripped = _stripped(data, header, remaining, encoded)
    if isinstance(stripped, bytes):
        return stripped, KeepSmaller.KEPT
    return encoded.body, stripped if len(encoded.body) > len(data) else None


def _stripped(
    data: bytes, header: ImageHeader, remaining: Transformation, encoded: EncodedFrames
) -> bytes | KeepSmaller:
    strip = STRIPPERS.get(header.format)
    stripped = _obstacle(header, remaining) or (strip(data, encoded.profile) if strip else None)
    if not isinstance(stripped, bytes):
        return stripped or KeepSmaller.STRUCTURE
    if len(stripped) >= len(encoded.body):
        return KeepSmaller.PROFILE
    if header.format == "jpeg" and not _is_needed_to_its_end(stripped):
        return KeepSmaller.STRUCTURE
    if header.format == "webp" and not all(_differ(*pair) for pair in shortened(stripped)):
        return KeepSmaller.STRUCTURE
    return stripped if _shows(stripped, header, encoded) else KeepSmaller.PIXELS


def _obstacle(header: ImageHeader, remaining: Transformation) -> KeepSmaller | None:
    if remaining.progressive or remaining.colours is not None:
        return KeepSmaller.OPTIONS
    if header.orientation != 1:
        return KeepSmaller.ORIENTATION
    return KeepSmaller.DAMAGED if header.truncated else None


def _is_needed_to_its_end(stripped: bytes) -> bool:
    """Whether the last pixels of a JPEG need its last bytes.

    Decoders stop behind the last row that the header announces: further rows, or any bytes, could be hidden
    there. At most 7 bits pad the last byte of a scan (ITU-T T.81, F.1.2.3), so two bytes hold some of a
    pixel. The first warning ends decoding, also one about bytes between two scans.
    """
    shorter = stripped[:-4] + stripped[-2:]
    return _NEEDS_MORE in first_warning(CODECS["jpeg"], shorter)


def _differ(whole: bytes, shorter: bytes) -> bool:
    """Whether ``shorter``, without the end of a part of a WebP, shows something else than ``whole``, or
    nothing. Else no pixel needs that end, and anything could be hidden there."""
    options = DecodeOptions(fail_on=FailOn.WARNING)
    try:
        one, other = (open_encoded(CODECS["webp"], data, options).copy_memory() for data in (whole, shorter))
    except pyvips.Error:
        return True
    return (one.width, one.height) != (other.width, other.height) or bool((one != other).max())


def _shows(stripped: bytes, header: ImageHeader, encoded: EncodedFrames) -> bool:
    """Whether ``stripped`` decodes to the encoded frames, with their timing."""
    count = len(encoded.frames)
    options = DecodeOptions(count=-1 if FORMATS[header.format].animation else 1, fail_on=header.fail_on)
    try:
        opened = open_encoded(CODECS[header.format], stripped, options)
        is_plain = opened.format == "uchar" and opened.interpretation != "cmyk"
        if not is_plain or _timing(opened) != (count, encoded.timing):
            return False
        pairs = zip(frames_of(opened, count), encoded.frames, strict=True)
        return all(_are_equal(_as_rgb(decoded), frame) for decoded, frame in pairs)
    except (pyvips.Error, Refused):
        return False


def _timing(opened: pyvips.Image) -> tuple[int, AnimationTiming]:
    count = opened.get("n-pages") if opened.get_typeof("n-pages") else 1
    if count == 1:
        return count, AnimationTiming()
    return count, AnimationTiming(tuple(opened.get("delay")), opened.get("loop"))


def _as_rgb(decoded: pyvips.Image) -> pyvips.Image:
    return to_eight_bits(decoded).copy(interpretation="srgb")


def _are_equal(decoded: pyvips.Image, frame: pyvips.Image) -> bool:
    if decoded.hasalpha() and not frame.hasalpha():
        decoded = drop_opaque_alpha(decoded.copy_memory())
    same_shape = (decoded.width, decoded.height, decoded.bands) == (frame.width, frame.height, frame.bands)
    return same_shape and bool((decoded - frame).abs().max() <= _TOLERANCE)
