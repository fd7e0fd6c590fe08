"""Render, with step 2: the pixels of decoded originals, kept for the renditions that are requested next.

A page offers a photograph in several widths and formats, each a request of its own, and three quarters of
what a small rendition of a JPEG costs is decoding. `worker.decoded_files` keeps the pixels, for all renderers
of a server.
"""

from __future__ import annotations

from typing import Annotated, Protocol

from msgspec import Meta, Struct

MIN_BYTES = 64 * 1024
"""Fewer bytes of pixels are decoded about as fast as they are kept and read."""


class DecodedOriginalKey(Struct, frozen=True):
    """What the pixels depend on, apart from the version of the original: the options of the decoder (as
    `codecs.decode.open_original`)."""

    shrink: Annotated[int, Meta(ge=1, le=8)]
    first: Annotated[int, Meta(ge=0)]
    fail_on: Annotated[str, Meta(max_length=16)]


class DecodedOriginals(Protocol):
    """The pixels of one version of an original, as its decoder returned them: a byte for each sample, without
    padding."""

    def read(self, key: DecodedOriginalKey, count: int) -> bytes | None:
        """The ``count`` bytes of pixels; None where they are not kept."""
        ...

    def accepts(self, count: int) -> bool:
        """Whether ``count`` bytes of new pixels would be kept."""
        ...

    def keep(self, key: DecodedOriginalKey, pixels: memoryview) -> None:
        """Keep accepted pixels."""
        ...
