"""Delivery, step 1: imgix's parameters that decide about the file: format, quality, frames, download."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from image_processor.delivery.url.parameter_names import AUTO
from image_processor.domain.transformation import Subsampling

from .arguments import Arguments

_FORMATS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "jpg": ("jpeg", {}),
    "jpeg": ("jpeg", {}),
    "pjpg": ("jpeg", {"progressive": True}),
    "png": ("png", {}),
    "png8": ("png", {"colours": 256}),
    "png32": ("png", {}),
    "gif": ("gif", {}),
    "webp": ("webp", {}),
    "avif": ("avif", {}),
}
_OTHER_FORMATS = ("blurhash", "jp2", "json", "jxr", "mp4", "webm")
_COMPRESSED = 45
"""The quality of `auto=compress`."""

_SUBSAMPLING = {"444": Subsampling.FULL, "422": Subsampling.HALF, "420": Subsampling.HALF}
_FRAMES = re.compile(r"1?[:-]([0-9]{1,6})")
_MAX_FRAMES = 100_000


def apply(arguments: Arguments) -> None:
    """Set format, encoder options, frames and Content-Disposition."""
    builder = arguments.builder
    values = builder.values
    _set_format(arguments)
    # A mask or a rotation makes no PNG of a JPEG: what is transparent becomes white.
    builder.source_formats = {"jpeg": "jpeg"}
    automatic = set(arguments.words("auto"))
    _set_automatic(arguments, automatic)
    quality = arguments.integer("q", 0, 100)
    if quality is not None:
        values["quality"] = max(1, quality)
    elif "compress" in automatic:
        values["quality"] = _COMPRESSED
    subsampling = arguments.chosen("chromasub", _SUBSAMPLING)
    if subsampling is not None:
        values["subsampling"] = subsampling
    colours = arguments.integer("colorquant", 2, 256)
    if colours is not None:
        values["colours"] = colours
    if arguments.flag("jpg-progressive"):
        values["progressive"] = True
    if arguments.flag("lossless"):
        values["lossless"] = True
    _set_frames(arguments)
    if "dl" in arguments:
        builder.filename, builder.attachment = arguments.text("dl"), True


def _set_format(arguments: Arguments) -> None:
    word = arguments.word("fm", _FORMATS, _OTHER_FORMATS)
    if word is not None:
        format_, options = _FORMATS[word]
        arguments.builder.format = format_
        arguments.builder.values.update(options)


def _set_automatic(arguments: Arguments, automatic: set[str]) -> None:
    builder = arguments.builder
    known = {"compress", "enhance", "false", "format", "true"}
    for word in sorted(automatic - known):
        if word == "redeye":
            builder.unsupported("auto", "nothing, as red eyes are not found", word)
        else:
            builder.add_error("auto", " | ".join(sorted(known)), word)
    if "format" in automatic:
        builder.format = AUTO
    if automatic & {"enhance", "true"}:
        builder.values["normalise"] = True


def _set_frames(arguments: Arguments) -> None:
    builder, text = arguments.builder, arguments.text("frame").strip()
    match = _FRAMES.fullmatch(text)
    if match is not None and int(match[1]):
        builder.values["frames"] = min(int(match[1]), _MAX_FRAMES)
    elif re.fullmatch(r"[0-9]*[:-][0-9]*", text) and text != "":
        builder.unsupported("frame", "one frame, or frames from the first on such as 1-10", text)
    else:
        frame = arguments.integer("frame", 1, _MAX_FRAMES) or arguments.integer("page", 1, _MAX_FRAMES)
        if frame is not None:
            builder.values["frame"] = frame
