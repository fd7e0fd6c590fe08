"""Delivery, step 1: what a Cloudinary URL says about the file: format, quality, page and flags (`fl_`)."""

from __future__ import annotations

from collections.abc import Sequence

from image_processor.delivery.dialects.request_builder import RequestBuilder
from image_processor.domain.transformation import Subsampling

IGNORED_FLAGS = frozenset({
    "animated", "any_format", "awebp", "draco", "force_icc", "force_strip", "ignore_aspect_ratio",
    "ignore_mask_channels", "immutable_cache", "keep_attribution", "keep_dar", "keep_iptc", "lossy",
    "no_overflow", "no_stream", "preserve_transparency", "progressive", "rasterize", "sanitize",
    "strip_profile",
})  # fmt: skip
"""Flags without effect here, or whose effect is always the same. `progressive:none` is one."""


def set_encoding(pairs: Sequence[tuple[str, str]], builder: RequestBuilder) -> None:
    values = dict(pairs)
    if "f" in values:
        text = values["f"].partition(":")[0]
        if values["f"] in {"auto:video", "auto:animated"}:
            builder.unsupported("f", "auto", f"f_{values['f']}")
        builder.set_format(text, "f", automatic=("auto",))
    if "q" in values and values["q"] != "jpegmini":
        _set_quality(values["q"], builder)
    if "pg" in values:
        page = builder.integer(values["pg"], "pg", 1, 100_000)
        builder.values.update({} if page is None else {"frame": page})
    for text in (value for name, value in pairs if name == "fl"):
        # A file's name may have dots.
        for flag in [text] if text.startswith("attachment:") else text.split("."):
            _set_flag(flag, builder)


def _set_quality(text: str, builder: RequestBuilder) -> None:
    level, _, sampling = text.partition(":")
    if level == "auto":
        # The quality of a preset is its own.
        builder.values.update({} if builder.preset else {"quality": "auto"})
        return
    quality = builder.integer(level, "q", 1, 100)
    builder.values.update({} if quality is None else {"quality": quality})
    if sampling in set(Subsampling) and builder.format in {"jpeg", "avif"}:
        builder.values["subsampling"] = Subsampling(sampling)


def _set_flag(text: str, builder: RequestBuilder) -> None:
    flag, _, argument = text.partition(":")
    if flag == "progressive" and argument != "none":
        builder.values["progressive"] = True
    elif flag == "attachment":
        builder.attachment = True
        builder.filename = argument or builder.filename
    elif flag == "apng":
        builder.source_formats = {"png": "apng"}
        builder.format = "apng" if builder.format == "png" else builder.format
    elif flag == "png8":
        builder.values["colours"] = 256
    elif flag not in IGNORED_FLAGS:
        builder.unsupported(f"fl_{flag}", "a flag of docs/dialects.md", f"fl_{text}")
