"""The messages between a process and its isolated child: JSON of exactly these types.

A decoder that an image has taken over may send anything; what does not have the type of a reply is an error
where it is read, not later. The bytes of images follow as messages of their own.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.json import Decoder, Encoder

from image_processor.domain.errors import Reason
from image_processor.domain.models import (
    Exif,
    ExifField,
    IccPolicy,
    ImageMetadata,
    Limits,
    Timings,
    VisualSummary,
)
from image_processor.engine.decoded_originals import DecodedOriginalKey


class Request(Struct, frozen=True):
    """The parameters of engine.render.render. The original follows, then the overlay sources in the order of
    their keys. An original of ``file_bytes`` comes as a descriptor, over the socket; then the child says what
    it has Read. With it come descriptors of the files of its pixels that are ``kept``, in this order. New
    pixels of at most ``max_new_pixels`` bytes are to be sent back."""

    transformations: tuple[str, ...]
    limits: Limits
    icc: IccPolicy
    threads: int
    summary: bool
    exif: tuple[ExifField, ...]
    overlay_keys: tuple[str, ...]
    file_bytes: int | None = None
    kept: tuple[DecodedOriginalKey, ...] = ()
    max_new_pixels: int = 0


class Ready(Struct, frozen=True, tag="ready"):
    """libvips is loaded and safe. ``sandbox_gaps`` says what of the sandbox this system does not have."""

    sandbox_gaps: tuple[str, ...] = ()


class Unsafe(Struct, frozen=True, tag="unsafe"):
    """libvips cannot be made safe."""

    message: str


class Read(Struct, frozen=True):
    """``count`` bytes of the original's file have been read; ``error`` says what ended that."""

    count: int
    error: str = ""


class Made(Struct, frozen=True, tag="made"):
    """The rendition of the transformation ``number``, from 0, of the request; its bytes follow. They come in
    any order, and a reply follows the last one."""

    number: int
    metadata: ImageMetadata


class Decoded(Struct, frozen=True, tag="decoded"):
    """Pixels of the original that may be worth keeping. The parent says whether they are Wanted; then their
    ``count`` bytes follow. It comes once, after the renditions."""

    key: DecodedOriginalKey
    count: int


class Wanted(Struct, frozen=True):
    """The reply to Decoded."""

    wanted: bool


class Done(Struct, frozen=True, tag="done"):
    """The fields of domain.models.Rendered, after all renditions. ``used`` are the kept pixels that they were
    made of."""

    original: ImageMetadata
    summary: VisualSummary | None
    exif: Exif
    timings: Timings
    used: DecodedOriginalKey | None = None


class Refusal(Struct, frozen=True, tag="refused"):
    reason: Reason
    message: str


class Missing(Struct, frozen=True, tag="missing"):
    """An optional package is not installed."""

    message: str


class Exhausted(Struct, frozen=True, tag="exhausted"):
    """The memory limit was reached."""


class Failed(Struct, frozen=True, tag="failed"):
    """An error of this program."""

    traceback: str


Reply = Done | Refusal | Missing | Exhausted | Failed

encode = Encoder().encode
decode_request = Decoder(Request).decode
decode_start = Decoder(Ready | Unsafe).decode
decode_read = Decoder(Read).decode
decode_wanted = Decoder(Wanted).decode
decode_reply = Decoder(Made | Decoded | Reply).decode
