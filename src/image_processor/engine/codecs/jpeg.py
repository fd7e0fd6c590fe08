"""JPEG: markers, scans and memory read from the file's structure; libjpeg-turbo and mozjpeg by libvips."""

from __future__ import annotations

import struct
from typing import Any

import pyvips

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.models import Limits

from .codec import (
    Codec,
    DecodeOptions,
    EncodeOptions,
    FailOn,
    QualityFit,
    ShrinkOnLoad,
    always,
    load,
)
from .jpeg_markers import END_OF_IMAGE, START_OF_SCAN, markers

_SEQUENTIAL_FRAMES = frozenset({0xC0, 0xC1, 0xC9})
_PROGRESSIVE_FRAMES = frozenset({0xC2, 0xCA})

_COEFFICIENT_BYTES = 2.3
"""Two bytes for a coefficient, and what five renditions take at the same time."""

_SUBSAMPLE_MODES = {"auto": "auto", "420": "on", "444": "off"}


def count_scans(data: bytes) -> int:
    """How many scans libjpeg will decode; each scan of a progressive JPEG costs a full pass.

    Markers are walked, because their two bytes also occur by chance: in a thumbnail inside the EXIF
    block, or in the video that phones append after the image.
    """
    scans = 0
    components = b""
    for marker, at in markers(data):
        if marker in _SEQUENTIAL_FRAMES:
            components = data[at + 7 : at + 8]
        if marker == START_OF_SCAN:
            scans += 1
            # A scan with all components of a sequential frame is the last that libjpeg reads.
            # Stopping here avoids the walk through the data of most photographs.
            if data[at + 2 : at + 3] == components:
                break
    return scans


def buffered_coefficients(data: bytes) -> int:
    """How many coefficients libjpeg holds at a time: all where they come in several scans, 0 (but for a
    few lines) where one pass is enough."""
    frames = _SEQUENTIAL_FRAMES | _PROGRESSIVE_FRAMES
    marker, at = next((found for found in markers(data) if found[0] in frames), (0, 0))
    if len(data) < at + 8 or (marker not in _PROGRESSIVE_FRAMES and count_scans(data) < 2):
        return 0
    height, width, components = struct.unpack_from(">HHB", data, at + 3)
    # T.81, B.2.2: the horizontal and vertical sampling factors of a component, in the halves of a byte.
    factors = [(byte >> 4, byte & 15) for byte in data[at + 9 : at + 8 + 3 * components : 3]]
    samples = sum(across * down for across, down in factors)
    largest = max((across for across, _ in factors), default=1) * max(
        (down for _, down in factors), default=1
    )
    coefficients: int = width * height * samples // max(largest, 1)
    return coefficients


def lacks_end(data: bytes) -> bool:
    """Whether there is no end-of-image marker. Walks through the whole file."""
    return all(marker != END_OF_IMAGE for marker, _ in markers(data))


def _check_scans(data: bytes, limits: Limits) -> None:
    scans = count_scans(data)
    if scans > limits.max_scans:
        raise Refused(Reason.TOO_MANY_SCANS, f"expected at most {limits.max_scans} scans, got {scans}")


def _open(data: bytes, options: DecodeOptions) -> pyvips.Image:
    """For one sequential pass. Raises pyvips.Error.

    A missing end-of-image marker is added where it cannot hide a missing scan: libjpeg then warns only if
    pixels are missing too.
    """
    if options.fail_on is not FailOn.NONE and not data.endswith(_END) and _lacks_only_end(data):
        data += _END
    shrink = {"shrink": options.shrink} if options.shrink > 1 else {}
    return load("jpegload", data, access="sequential", fail_on=options.fail_on, **shrink)


_END = bytes([0xFF, END_OF_IMAGE])


def _lacks_only_end(data: bytes) -> bool:
    """Whether there is no end-of-image marker, and the last scan of a sequential image has begun."""
    components, has_last_scan = b"", False
    for marker, at in markers(data):
        if marker == END_OF_IMAGE:
            return False
        if marker in _SEQUENTIAL_FRAMES:
            components = data[at + 7 : at + 8]
        if marker == START_OF_SCAN and components:
            has_last_scan = data[at + 2 : at + 3] == components
    return has_last_scan


def _save_options(options: EncodeOptions, quality: int | None) -> dict[str, Any]:
    # Optimised tables save 2 % of the bytes for 10 ms of CPU at 1920 x 1440. Progressive would
    # save 1 % more for another 20 ms, and cost every reader 3 bytes of memory a pixel.
    subsampling = _SUBSAMPLE_MODES[options.subsampling]
    saver = {"Q": quality, "optimize_coding": True, "subsample_mode": subsampling}
    if options.progressive:
        saver["interlace"] = True
    if options.optimise:
        # Table 3 is tuned for perception, the others for PSNR. Together with trellis quantisation
        # it saves a fifth of the bytes at one quality, for three times the CPU.
        saver |= {"trellis_quant": True, "overshoot_deringing": True, "quant_table": 3}
        # Only a progressive JPEG has scans to split.
        saver["optimize_scans"] = options.progressive
    return saver


CODEC = Codec(
    loader="jpegload",
    open=_open,
    fail_on=FailOn.WARNING,
    saver="jpegsave",
    save_options=_save_options,
    quality_fit=QualityFit(54.6, (-10.24, 6.41, -5.37, -0.42), 0.53),
    check=_check_scans,
    lacks_end=lambda data, _page: lacks_end(data),
    decodes_partially=always,
    decode_memory=lambda data, _opened, _pixels, _page: int(_COEFFICIENT_BYTES * buffered_coefficients(data)),
    shrink_on_load=ShrinkOnLoad.CROPS,
)
